#include <fmt/core.h>

#include <cerrno>

#include <vector>

#include "ffs/client/file_system.hpp"

namespace ff::ffs {

namespace {

constexpr std::size_t kPathBytesMax = 4096;
constexpr std::size_t kNameBytesMax = 255;

}  // namespace

Result<std::string> clean_path(std::string_view path) {
  if (path.empty() || path.front() != '/') {
    return fail(Errc::kInvalidArgument, fmt::format("'{}': not an absolute path (begin it with /)", path), EINVAL);
  }
  if (path.size() > kPathBytesMax) {
    return fail(Errc::kInvalidArgument,
                fmt::format("a path of {} bytes: up to {} are allowed", path.size(), kPathBytesMax), ENAMETOOLONG);
  }
  if (path.find('\0') != path.npos) return fail(Errc::kInvalidArgument, "a path with a zero byte", EINVAL);
  std::vector<std::string_view> names;
  for (std::size_t begin = 0; begin < path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view name = path.substr(begin, end - begin);
    begin = end + 1;
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      if (!names.empty()) names.pop_back();
      continue;
    }
    if (name.size() > kNameBytesMax) {
      return fail(Errc::kInvalidArgument,
                  fmt::format("a name of {} bytes: up to {} are allowed", name.size(), kNameBytesMax), ENAMETOOLONG);
    }
    names.push_back(name);
  }
  std::string clean;
  for (const std::string_view name : names) clean.append("/").append(name);
  return clean.empty() ? "/" : clean;
}

Where at(std::string path, bool follow) {
  Where where;
  where.set_path(std::move(path));
  where.set_follow(follow);
  return where;
}

}  // namespace ff::ffs
