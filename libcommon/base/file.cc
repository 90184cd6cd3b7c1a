#include "libcommon/base/file.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

namespace ff {

Result<std::string> read_file(const std::string& path, std::size_t bytes_max) {
  UniqueFd owned;
  int fd = STDIN_FILENO;
  if (path != "-") {
    owned.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!owned) return fail(errno_error("open '" + path + "'"));
    fd = owned.get();
  }
  std::string text;
  char block[65536];
  for (;;) {
    const ssize_t n = ::read(fd, block, sizeof block);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(errno_error("read '" + path + "'"));
    if (n == 0) return text;
    if (text.size() + static_cast<std::size_t>(n) > bytes_max)
      return fail(Errc::kExhausted, fmt::format("'{}' is larger than {} bytes", path, bytes_max));
    text.append(block, static_cast<std::size_t>(n));
  }
}

Result<> write_all(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(errno_error("write"));
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

Result<> read_exact(int fd, std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::read(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(errno_error("read"));
    if (n == 0) return fail(Errc::kCorrupt, fmt::format("file ends {} bytes early", bytes.size()));
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

Result<> fsync_folder(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return fail(errno_error("fsync folder '" + path + "'"));
  return {};
}

std::string parent_folder(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

Result<AtomicFile> AtomicFile::create(const std::string& path, unsigned mode) {
  return create_in({}, path, path, mode);
}

Result<AtomicFile> AtomicFile::create_in(UniqueFd folder, const std::string& name, std::string shown, unsigned mode) {
  AtomicFile file;
  file.folder_ = std::move(folder);
  file.path_ = name;
  file.shown_ = std::move(shown);
  const std::string temporary = fmt::format("{}.tmp.{}", name, ::getpid());
  // The name can be guessed: whoever may write in the folder could have laid a link there. O_EXCL follows none.
  const auto open_new = [&] {
    file.fd_.reset(::openat(file.folder(), temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                            static_cast<mode_t>(mode)));
  };
  open_new();
  if (!file.fd_ && errno == EEXIST && ::unlinkat(file.folder(), temporary.c_str(), 0) == 0) open_new();
  if (!file.fd_) return fail(errno_error("create '" + file.shown_ + "'"));
  file.temporary_ = temporary;
  return file;
}

int AtomicFile::folder() const noexcept { return folder_ ? folder_.get() : AT_FDCWD; }

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : folder_(std::move(other.folder_)),
      path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})),
      shown_(std::move(other.shown_)),
      fd_(std::move(other.fd_)) {}

AtomicFile& AtomicFile::operator=(AtomicFile&& other) noexcept {
  std::swap(folder_, other.folder_);
  std::swap(path_, other.path_);
  std::swap(temporary_, other.temporary_);
  std::swap(shown_, other.shown_);
  std::swap(fd_, other.fd_);
  return *this;
}

AtomicFile::~AtomicFile() {
  if (!temporary_.empty()) ::unlinkat(folder(), temporary_.c_str(), 0);
}

Result<> AtomicFile::write(std::span<const std::byte> bytes) {
  FF_TRY_CTX(write_all(fd_.get(), bytes), "'" + shown_ + "'");
  return {};
}

Result<> AtomicFile::commit() {
  if (::fsync(fd_.get()) != 0) return fail(errno_error("fsync '" + shown_ + "'"));
  if (::renameat(folder(), temporary_.c_str(), folder(), path_.c_str()) != 0) {
    return fail(errno_error("rename to '" + shown_ + "'"));
  }
  temporary_.clear();
  fd_.reset();
  if (!folder_) return fsync_folder(parent_folder(path_));
  if (::fsync(folder_.get()) != 0) return fail(errno_error("fsync folder of '" + shown_ + "'"));
  return {};
}

Result<> write_file_atomic(const std::string& path, std::string_view bytes) {
  FF_TRY_ASSIGN(AtomicFile file, AtomicFile::create(path));
  FF_TRY(file.write(std::as_bytes(std::span(bytes))));
  return file.commit();
}

}  // namespace ff
