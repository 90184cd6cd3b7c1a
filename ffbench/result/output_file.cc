#include "ffbench/result/output_file.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <span>

#include "libcommon/base/defer.hpp"
#include "libcommon/base/file.hpp"

namespace ff::bench {
namespace {

std::unexpected<Error> exists(const std::string& path) {
  return fail(Errc::kAlreadyExists, fmt::format("{}: exists (choose another name)", path));
}

}  // namespace

Result<> check_output_path(const std::string& path, bool force) {
  if (path.empty() || path == "-" || path.ends_with('/'))
    return fail(Errc::kInvalidArgument, fmt::format("'{}': is no name of a file", path));
  struct stat found{};
  if (::lstat(path.c_str(), &found) == 0) {
    if (S_ISDIR(found.st_mode)) return fail(Errc::kInvalidArgument, fmt::format("{}: is a folder", path));
    if (!force) return exists(path);
  } else if (errno != ENOENT) {
    return fail(errno_error(path));
  }
  const std::string folder = parent_folder(path);
  if (::access(folder.c_str(), W_OK | X_OK) != 0) return fail(errno_error(fmt::format("{}: folder {}", path, folder)));
  return {};
}

Result<> write_output_file(const std::string& path, std::string_view bytes, bool force) {
  FF_TRY(check_output_path(path, force));
  if (force) return write_file_atomic(path, bytes);
  // A link to a finished file either makes the new name or fails because it is taken; rename would replace it.
  const std::string temporary = fmt::format("{}.tmp.{}", path, ::getpid());
  UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!fd) return fail(errno_error(temporary));
  const Defer unlink_temporary([&] { ::unlink(temporary.c_str()); });
  FF_TRY_CTX(write_all(fd.get(), std::as_bytes(std::span(bytes))), path);
  if (::fsync(fd.get()) != 0) return fail(errno_error(path));
  if (::link(temporary.c_str(), path.c_str()) != 0) {
    if (errno == EEXIST) return exists(path);
    // File systems without links (FAT, some network mounts).
    if (errno != EPERM && errno != EOPNOTSUPP) return fail(errno_error(path));
    if (::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) != 0)
      return errno == EEXIST ? exists(path) : fail(errno_error(path));
  }
  return fsync_folder(parent_folder(path));
}

Result<> check_output(const std::string& path, bool force) {
  return path == "-" ? Result<>() : check_output_path(path, force);
}

Result<> write_output(const std::string& path, std::string_view bytes, bool force) {
  if (path != "-") return write_output_file(path, bytes, force);
  if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size() || std::fflush(stdout) != 0)
    return fail(errno_error("standard output"));
  return {};
}

}  // namespace ff::bench
