#include "libcommon/net/cluster_key.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "libcommon/base/assert.hpp"
#include "libcommon/base/defer.hpp"
#include "libcommon/base/file.hpp"
#include "libcommon/net/crypto.hpp"

namespace ff::net {
namespace {

constexpr std::string_view kTag = "ffkey1 ";
constexpr std::string_view kHex = "0123456789abcdef";
constexpr std::size_t kFileBytes = kTag.size() + 2 * kClusterKeyBytes + 1;

std::span<std::byte> writable(std::string& text) { return std::as_writable_bytes(std::span(text)); }

std::unexpected<Error> malformed(std::string_view reason) {
  return fail(Errc::kInvalidArgument,
              fmt::format("cluster key: {} (a key file is one line: ffkey1, a space and {} hexadecimal digits)", reason,
                          2 * kClusterKeyBytes));
}

// Of the open file, so that nobody can exchange it between check and read.
Result<> check_private(int fd, const std::string& path) {
  struct stat about;
  if (::fstat(fd, &about) != 0) return fail(errno_error(path));
  if (!S_ISREG(about.st_mode)) return fail(Errc::kInvalidArgument, fmt::format("{}: is no regular file", path));
  if ((about.st_mode & 077) != 0)
    return fail(Errc::kPermission, fmt::format("{}: other users may use this key file, its mode is {:04o} (chmod 600 "
                                               "'{}'; make a new key if somebody may have read it)",
                                               path, about.st_mode & 07777, path));
  if (about.st_uid != ::geteuid() && about.st_uid != 0)
    return fail(Errc::kPermission, fmt::format("{}: this key file belongs to user {}, who is neither us nor root "
                                               "(chown it to user {})",
                                               path, about.st_uid, ::geteuid()));
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

ClusterKey::ClusterKey(ClusterKey&& other) noexcept : bytes_(other.bytes_) { wipe(other.bytes_); }

ClusterKey& ClusterKey::operator=(ClusterKey&& other) noexcept {
  if (this == &other) return *this;
  bytes_ = other.bytes_;
  wipe(other.bytes_);
  return *this;
}

ClusterKey::~ClusterKey() { wipe(bytes_); }

ClusterKey ClusterKey::generate() {
  ClusterKey key;
  // Up to 256 bytes come whole once the system has booted; before that the call waits.
  ssize_t n = 0;
  do n = ::getrandom(key.bytes_.data(), key.bytes_.size(), 0);
  while (n < 0 && errno == EINTR);
  FF_ASSERT(n == static_cast<ssize_t>(key.bytes_.size()), n, errno);
  return key;
}

Result<ClusterKey> ClusterKey::parse(std::string_view text) {
  if (!text.starts_with(kTag)) return malformed(text.empty() ? "empty" : "does not begin with 'ffkey1 '");
  if (text.size() < kFileBytes)
    return malformed(fmt::format("{} bytes, {} too few", text.size(), kFileBytes - text.size()));
  if (text.size() > kFileBytes)
    return malformed(fmt::format("{} bytes, {} too many", text.size(), text.size() - kFileBytes));
  if (text.back() != '\n') return malformed("does not end with a newline");
  ClusterKey key;
  for (std::size_t i = 0; i < kClusterKeyBytes; ++i) {
    const std::size_t high = kHex.find(text[kTag.size() + 2 * i]), low = kHex.find(text[kTag.size() + 2 * i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos)
      return malformed("holds what is no lower-case hexadecimal digit");
    key.bytes_[i] = static_cast<std::byte>(high << 4 | low);
  }
  if (std::ranges::all_of(key.bytes_, [](std::byte b) { return b == std::byte{0}; }))
    return malformed("all zeros are no key");
  return key;
}

Result<ClusterKey> ClusterKey::load(const std::string& path) {
  // Non-blocking: a FIFO in its place must not hang us before check_private() refuses it.
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return fail(errno_error(fmt::format("{}: open the cluster key", path)));
  FF_TRY(check_private(fd.get(), path));
  std::string text(kFileBytes + 1, '\0');  // one more than a key has, to see files that are too long
  Defer forget([&] { wipe(writable(text)); });
  std::size_t got = 0;
  while (got < text.size()) {
    const ssize_t n = ::read(fd.get(), text.data() + got, text.size() - got);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(errno_error(fmt::format("{}: read the cluster key", path)));
    if (n == 0) break;
    got += static_cast<std::size_t>(n);
  }
  auto key = parse(std::string_view(text).substr(0, got));
  if (!key) return fail(std::move(key).error().context(path));
  return key;
}

Result<> ClusterKey::create_file(const std::string& path) const {
  std::string text(kTag);
  text.reserve(kFileBytes);  // no reallocation leaves a copy behind
  Defer forget([&] { wipe(writable(text)); });
  for (const std::byte b : bytes_) {
    text += kHex[static_cast<unsigned>(b) >> 4];
    text += kHex[static_cast<unsigned>(b) & 15];
  }
  text += '\n';
  const std::string temporary = fmt::format("{}.tmp.{}", path, ::getpid());
  FF_TRY_ASSIGN(const UniqueFd fd, open_new_private(temporary));
  Defer remove([&] { ::unlink(temporary.c_str()); });
  FF_TRY_CTX(write_all(fd.get(), std::as_bytes(std::span(text))), temporary);
  if (::fsync(fd.get()) != 0) return fail(errno_error(fmt::format("{}: fsync", temporary)));
  // link(2) is the one step that makes the whole file appear and refuses to replace another.
  if (::link(temporary.c_str(), path.c_str()) != 0) {
    if (errno == EEXIST)
      return fail(Errc::kAlreadyExists,
                  fmt::format("{}: exists, and a key is never overwritten (move it away, or name another file)", path),
                  EEXIST);
    return fail(errno_error(fmt::format("{}: create", path)));
  }
  return fsync_folder(parent_folder(path));
}

std::string ClusterKey::fingerprint() const {
  const Digest digest = labelled_hmac(bytes_, "fingerprint", {});
  std::string out;
  for (std::size_t i = 0; i < 4; ++i) {
    out += kHex[static_cast<unsigned>(digest[i]) >> 4];
    out += kHex[static_cast<unsigned>(digest[i]) & 15];
  }
  return out;
}

}  // namespace ff::net
