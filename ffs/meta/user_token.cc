#include "ffs/meta/user_token.hpp"

#include <fmt/core.h>

#include <charconv>
#include <utility>

#include "libcommon/base/defer.hpp"
#include "libcommon/net/auth.hpp"
#include "libcommon/net/private_file.hpp"

namespace ff::ffs {

namespace {

constexpr std::string_view kTag = "fftoken1_";
constexpr std::string_view kNoun = "token file";
constexpr std::string_view kHex = "0123456789abcdef";
constexpr std::size_t kTextBytes = kTag.size() + 2 * kTokenBytes;

std::span<std::byte> writable(std::string& text) { return std::as_writable_bytes(std::span(text)); }

std::unexpected<Error> malformed(std::string_view reason) {
  return fail(Errc::kInvalidArgument, fmt::format("user token: {} (a token is one line: {} and {} hexadecimal digits)",
                                                  reason, kTag, 2 * kTokenBytes));
}

}  // namespace

UserToken::UserToken(UserToken&& other) noexcept : bytes_(other.bytes_) { net::wipe(other.bytes_); }
UserToken::~UserToken() { net::wipe(bytes_); }

UserToken UserToken::generate() {
  UserToken token;
  net::secure_random(token.bytes_);
  return token;
}

Result<UserToken> UserToken::parse(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (!text.starts_with(kTag)) return malformed(text.empty() ? "empty" : "does not begin as one");
  if (text.size() < kTextBytes) return malformed(fmt::format("{} bytes too few", kTextBytes - text.size()));
  if (text.size() > kTextBytes) return malformed("too long");
  UserToken token;
  for (std::size_t i = 0; i < kTokenBytes; ++i) {
    const std::size_t high = kHex.find(text[kTag.size() + 2 * i]), low = kHex.find(text[kTag.size() + 2 * i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos)
      return malformed("holds what is no lower-case hexadecimal digit");
    token.bytes_[i] = static_cast<std::byte>(high << 4 | low);
  }
  return token;
}

Result<UserToken> UserToken::load(const std::string& path) {
  if (parse(path)) {
    return fail(Errc::kInvalidArgument,
                "user token: given itself, where others can see it, and not the file that holds it (revoke it, and put "
                "a new one into a file of mode 0600)");
  }
  // Two more than a token has: a newline, and to see files that are too long.
  FF_TRY_ASSIGN(std::string text, net::read_private_file(path, kNoun, kTextBytes + 2));
  const Defer forget([&] { net::wipe(writable(text)); });
  auto token = parse(text);
  if (!token) return fail(std::move(token).error().context(path));
  return token;
}

Result<> UserToken::create_file(const std::string& path) const {
  std::string line = text() + '\n';
  const Defer forget([&] { net::wipe(writable(line)); });
  return net::create_private_file(path, kNoun, line);
}

std::string UserToken::text() const {
  std::string text(kTag);
  text.reserve(kTextBytes);
  for (const std::byte b : bytes_) {
    text += kHex[static_cast<unsigned>(b) >> 4];
    text += kHex[static_cast<unsigned>(b) & 15];
  }
  return text;
}

std::string UserToken::bytes() const { return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()}; }
net::Digest UserToken::digest() const { return net::sha256({bytes_}); }

net::Digest token_digest(std::string_view bytes) { return net::sha256({std::as_bytes(std::span(bytes))}); }

std::uint64_t token_number(const net::Digest& digest) noexcept {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < 8; ++i) number = number << 8 | static_cast<std::uint64_t>(digest[i]);
  return number;
}

std::string token_number_text(std::uint64_t number) { return fmt::format("{:016x}", number); }

Result<std::uint64_t> parse_token_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, 16);
  if (error != std::errc() || end != text.data() + text.size() || text.size() != 16) {
    return fail(Errc::kInvalidArgument,
                "token: not the number of one, 16 hexadecimal digits (`ffs user token-list` shows them)");
  }
  return number;
}

}  // namespace ff::ffs
