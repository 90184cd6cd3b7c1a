#include "ffctl/cluster/executables.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

namespace ff::ctl {

namespace fs = std::filesystem;

namespace {

bool runs(const std::string& file) {
  std::error_code error;
  return fs::is_regular_file(file, error) && ::access(file.c_str(), X_OK) == 0;
}

}  // namespace

Result<std::string> find_executable(const std::string& name) {
  std::error_code error;
  const fs::path own = fs::read_symlink("/proc/self/exe", error);
  if (!error) {
    const fs::path folder = own.parent_path();
    for (const fs::path& file : {folder / name, folder.parent_path() / name / name})
      if (runs(file.string())) return file.string();
  }
  const char* const path = std::getenv("PATH");
  const std::string list = path == nullptr ? "" : path;
  for (std::size_t at = 0; at <= list.size();) {
    const std::size_t colon = std::min(list.find(':', at), list.size());
    const std::string file = list.substr(at, colon - at) + "/" + name;
    if (colon != at && runs(file)) return file;
    at = colon + 1;
  }
  return fail(Errc::kNotFound, fmt::format("{}: is neither beside ffctl nor in PATH (install it)", name));
}

}  // namespace ff::ctl
