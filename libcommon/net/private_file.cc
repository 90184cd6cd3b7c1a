#include "libcommon/net/private_file.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <span>

#include "libcommon/base/defer.hpp"
#include "libcommon/base/file.hpp"
#include "libcommon/net/crypto.hpp"

namespace ff::net {

namespace {

// Of the open file, so that nobody can exchange it between check and read.
Result<> check_private(int fd, const std::string& path, std::string_view noun) {
  struct stat about;
  if (::fstat(fd, &about) != 0) return fail(errno_error(path));
  if (!S_ISREG(about.st_mode)) return fail(Errc::kInvalidArgument, fmt::format("{}: is no regular file", path));
  if ((about.st_mode & 077) != 0)
    return fail(Errc::kPermission, fmt::format("{}: other users may use this {}, its mode is {:04o} (chmod 600 '{}'; "
                                               "make a new one if somebody may have read it)",
                                               path, noun, about.st_mode & 07777, path));
  if (about.st_uid != ::geteuid() && about.st_uid != 0)
    return fail(Errc::kPermission, fmt::format("{}: this {} belongs to user {}, who is neither us nor root (chown it "
                                               "to user {})",
                                               path, noun, about.st_uid, ::geteuid()));
  return {};
}

Result<UniqueFd> open_new_private(const std::string& path) {
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
  UniqueFd fd(::open(path.c_str(), kFlags, 0600));
  if (!fd && errno == EEXIST && ::unlink(path.c_str()) == 0)  // of a process with our pid that was killed
    fd.reset(::open(path.c_str(), kFlags, 0600));
  if (!fd) return fail(errno_error(fmt::format("{}: create", path)));
  return fd;
}

}  // namespace

Result<std::string> read_private_file(const std::string& path, std::string_view noun, std::size_t bytes_max) {
  // Non-blocking: a FIFO in its place must not hang us before check_private() refuses it.
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return fail(errno_error(fmt::format("{}: open the {}", path, noun)));
  FF_TRY(check_private(fd.get(), path, noun));
  std::string text(bytes_max, '\0');
  std::size_t got = 0;
  while (got < text.size()) {
    const ssize_t n = ::read(fd.get(), text.data() + got, text.size() - got);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      Error why = errno_error(fmt::format("{}: read the {}", path, noun));
      wipe(std::as_writable_bytes(std::span(text)));
      return fail(std::move(why));
    }
    if (n == 0) break;
    got += static_cast<std::size_t>(n);
  }
  text.resize(got);
  return text;
}

Result<> create_private_file(const std::string& path, std::string_view noun, std::string_view text) {
  const std::string temporary = fmt::format("{}.tmp.{}", path, ::getpid());
  FF_TRY_ASSIGN(const UniqueFd fd, open_new_private(temporary));
  Defer remove([&] { ::unlink(temporary.c_str()); });
  FF_TRY_CTX(write_all(fd.get(), std::as_bytes(std::span(text))), temporary);
  if (::fsync(fd.get()) != 0) return fail(errno_error(fmt::format("{}: fsync", temporary)));
  // link(2) is the one step that makes the whole file appear and refuses to replace another.
  if (::link(temporary.c_str(), path.c_str()) != 0) {
    if (errno == EEXIST)
      return fail(
          Errc::kAlreadyExists,
          fmt::format("{}: exists, and a {} is never overwritten (move it away, or name another file)", path, noun),
          EEXIST);
    return fail(errno_error(fmt::format("{}: create", path)));
  }
  return fsync_folder(parent_folder(path));
}

}  // namespace ff::net
