#include "hfreduce/unique_id.hpp"

#include <fmt/core.h>
#include <openssl/sha.h>
#include <sys/random.h>

#include <array>
#include <charconv>
#include <map>
#include <mutex>

#include "libcommon/net/socket.hpp"

namespace ff::hfreduce {
namespace {

constexpr std::size_t kTokenBytes = 16;

std::string hex(const unsigned char* bytes, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += fmt::format("{:02x}", bytes[i]);
  return text;
}

struct Pending {
  std::mutex mutex;
  std::map<std::string, UniqueFd> by_token;
};
Pending& pending() {
  static Pending instance;
  return instance;
}

}  // namespace

std::string UniqueId::to_text() const { return fmt::format("hfr1|{}|{}|{}", address, port, token); }

Result<UniqueId> UniqueId::from_text(std::string_view text) {
  const auto bad = [&] {
    return fail(Errc::kInvalidArgument, fmt::format("'{}' is not a unique id (hfr1|ADDRESS|PORT|TOKEN)", text));
  };
  std::array<std::string_view, 4> parts;
  for (std::size_t i = 0; i < 4; ++i) {
    const auto bar = i < 3 ? text.find('|') : text.size();
    if (bar == std::string_view::npos) return bad();
    parts[i] = text.substr(0, bar);
    text.remove_prefix(i < 3 ? bar + 1 : bar);
  }
  UniqueId id;
  const auto [end, error] = std::from_chars(parts[2].data(), parts[2].data() + parts[2].size(), id.port);
  if (parts[0] != "hfr1" || parts[1].empty() || parts[1].size() > 64 || error != std::errc() ||
      end != parts[2].data() + parts[2].size() || id.port == 0 || parts[3].size() != 2 * kTokenBytes ||
      parts[3].find_first_not_of("0123456789abcdef") != std::string_view::npos)
    return bad();
  id.address = parts[1];
  id.token = parts[3];
  return id;
}

Result<std::string> random_token() {
  std::array<unsigned char, kTokenBytes> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    return fail(errno_error("getrandom"));
  return hex(bytes.data(), bytes.size());
}

std::string derive_token(const std::string& token, const std::string& label) {
  const std::string input = token + "/" + label;
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  ::SHA256(reinterpret_cast<const unsigned char*>(input.data()), input.size(), digest.data());
  return hex(digest.data(), kTokenBytes);
}

Result<UniqueId> Communicator::create_id(const std::string& address) {
  UniqueId id;
  id.address = address;
  FF_TRY_ASSIGN(id.token, random_token());
  FF_TRY_ASSIGN(UniqueFd listener, net::listen_on(net::Address::tcp(address, 0)));
  FF_TRY_ASSIGN(const net::Address bound, net::local_address(listener.get()));
  id.port = bound.port;
  const std::lock_guard lock(pending().mutex);
  pending().by_token[id.token] = std::move(listener);
  return id;
}

UniqueFd take_listener_of(const UniqueId& id) {
  const std::lock_guard lock(pending().mutex);
  const auto it = pending().by_token.find(id.token);
  if (it == pending().by_token.end()) return UniqueFd();
  UniqueFd fd = std::move(it->second);
  pending().by_token.erase(it);
  return fd;
}

}  // namespace ff::hfreduce
