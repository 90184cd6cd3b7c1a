#include "ffctl/cluster/local_folder.hpp"

#include <fmt/core.h>

#include <cstdlib>
#include <filesystem>

#include "libcommon/net/address.hpp"

namespace ff::ctl {

namespace {

std::string from_environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

std::string local_socket(const std::string& folder) { return folder + "/ffctld.sock"; }

Result<std::string> local_folder(const std::string& given) {
  std::string folder = given.empty() ? from_environment("FF_LOCAL_DIR") : given;
  if (folder.empty()) {
    const std::string state = from_environment("XDG_STATE_HOME"), home = from_environment("HOME");
    if (state.empty() && home.empty())
      return fail(Errc::kInvalidArgument, "local cluster: no HOME to keep it in (give --dir, or set FF_LOCAL_DIR)");
    folder = (state.empty() ? home + "/.local/state" : state) + "/fire-flyer/local";
  }
  std::error_code error;
  std::filesystem::path path = std::filesystem::absolute(folder, error).lexically_normal();
  if (error) return fail(Errc::kInvalidArgument, fmt::format("{}: {}", folder, error.message()));
  folder = path.string();
  while (folder.size() > 1 && folder.ends_with('/')) folder.pop_back();
  if (const auto socket = net::parse_address("unix:" + local_socket(folder)); !socket)
    return fail(Errc::kInvalidArgument,
                fmt::format("{}: cannot hold a socket (choose a path of at most {} plain characters)", folder,
                            net::kUnixPathBytesMax - local_socket("").size()));
  return folder;
}

}  // namespace ff::ctl
