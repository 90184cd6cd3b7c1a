#include "libcommon/net/cluster_key.hpp"

#include <fmt/core.h>
#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "libcommon/base/assert.hpp"
#include "libcommon/base/defer.hpp"
#include "libcommon/net/crypto.hpp"
#include "libcommon/net/private_file.hpp"

namespace ff::net {
namespace {

constexpr std::string_view kTag = "ffkey1 ";
constexpr std::string_view kNoun = "key file";
constexpr std::string_view kHex = "0123456789abcdef";
constexpr std::size_t kFileBytes = kTag.size() + 2 * kClusterKeyBytes + 1;

std::span<std::byte> writable(std::string& text) { return std::as_writable_bytes(std::span(text)); }

std::unexpected<Error> malformed(std::string_view reason) {
  return fail(Errc::kInvalidArgument,
              fmt::format("cluster key: {} (a key file is one line: ffkey1, a space and {} hexadecimal digits)", reason,
                          2 * kClusterKeyBytes));
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
  // One more than a key has, to see files that are too long.
  FF_TRY_ASSIGN(std::string text, read_private_file(path, kNoun, kFileBytes + 1));
  Defer forget([&] { wipe(writable(text)); });
  auto key = parse(text);
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
  return create_private_file(path, kNoun, text);
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
