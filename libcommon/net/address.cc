#include "libcommon/net/address.hpp"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <memory>
#include <utility>

namespace ff::net {
namespace {

constexpr std::size_t kNameBytesMax = 253, kLabelBytesMax = 63;
constexpr std::string_view kForms = "write HOST:PORT, [IPV6]:PORT, unix:/PATH or unix:@NAME";

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_character(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

// What came may hold anything; what is shown is one readable line.
std::string shown(std::string_view text) {
  constexpr std::size_t kShownMax = 120;
  std::string out(text.substr(0, kShownMax));
  std::ranges::replace_if(out, [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  return text.size() > kShownMax ? out + "..." : out;
}

std::unexpected<Error> refuse(std::string_view text, std::string_view reason) {
  return fail(Errc::kInvalidArgument, fmt::format("address '{}': {}", shown(text), reason));
}

// Empty when the name is one that a resolver can be asked for, else what is wrong.
std::string name_problem(std::string_view name) {
  if (name.size() > kNameBytesMax) return fmt::format("the name is longer than {} bytes", kNameBytesMax);
  std::string_view label;
  for (std::string_view rest = name;;) {
    const std::size_t dot = rest.find('.');
    label = rest.substr(0, dot);
    if (label.empty()) return "a part of the name between dots is empty";
    if (label.size() > kLabelBytesMax) return fmt::format("a part of the name is longer than {} bytes", kLabelBytesMax);
    if (!std::ranges::all_of(label, is_name_character)) return fmt::format("'{}' is no host name", shown(name));
    if (label.front() == '-' || label.back() == '-') return "a part of the name begins or ends with '-'";
    if (dot == std::string_view::npos) break;
    rest.remove_prefix(dot + 1);
  }
  // No top-level domain is a number: this is an IPv4 address with a mistake, and a resolver may read it as another one.
  if (std::ranges::all_of(label, is_digit)) return fmt::format("'{}' is no IPv4 address", shown(name));
  return {};
}

// The one spelling of each IPv6 address; empty when it is none.
std::string canonical_ipv6(std::string_view text) {
  const std::size_t percent = text.find('%');
  in6_addr address;
  if (::inet_pton(AF_INET6, std::string(text.substr(0, percent)).c_str(), &address) != 1) return {};
  char canonical[INET6_ADDRSTRLEN];
  ::inet_ntop(AF_INET6, &address, canonical, sizeof canonical);
  if (percent == std::string_view::npos) return canonical;
  const std::string_view scope = text.substr(percent + 1);
  const bool named = !scope.empty() && scope.size() < IFNAMSIZ &&
                     std::ranges::all_of(scope, [](char c) { return is_name_character(c) || c == '.'; });
  return named ? fmt::format("{}%{}", canonical, scope) : std::string();
}

Result<std::uint16_t> parse_port(std::string_view text, std::string_view port) {
  const bool digits = !port.empty() && port.size() <= 5 && std::ranges::all_of(port, is_digit);
  unsigned value = 0;
  if (digits) std::from_chars(port.data(), port.data() + port.size(), value);
  if (!digits || value > 65535) return refuse(text, fmt::format("'{}' is no port (give 0 to 65535)", shown(port)));
  if (port.size() > 1 && port.front() == '0') return refuse(text, "the port has a leading zero (leave it out)");
  return static_cast<std::uint16_t>(value);
}

Result<Address> parse_unix(std::string_view text, std::string_view name) {
  if (name.empty() || (name.front() != '/' && name.front() != '@'))
    return refuse(text, "a Unix socket is an absolute path or @ and a name (write unix:/PATH or unix:@NAME)");
  const bool abstract = name.front() == '@';
  if (abstract) name.remove_prefix(1);
  if (name.empty()) return refuse(text, "the name after @ is empty");
  if (name.size() > kUnixPathBytesMax)
    return refuse(text, fmt::format("{} bytes are more than the {} of a Unix socket's name (use a shorter one)",
                                    name.size(), kUnixPathBytesMax));
  if (!std::ranges::all_of(name, [](char c) { return c > 0x20 && c < 0x7f && c != ','; }))
    return refuse(text, "a Unix socket's name is printable ASCII without spaces and commas");
  if (!abstract && name.back() == '/') return refuse(text, "the path is a folder's (name a socket in it)");
  return abstract ? Address::unix_abstract(std::string(name)) : Address::unix_path(std::string(name));
}

Result<SocketAddress> unix_socket_address(const Address& address) {
  const bool abstract = address.kind == Address::Kind::kUnixAbstract;
  if (address.host.empty() || address.host.size() > kUnixPathBytesMax || address.host.find('\0') != std::string::npos)
    return refuse(address.text(), fmt::format("a Unix socket's name has 1 to {} bytes", kUnixPathBytesMax));
  SocketAddress out;
  sockaddr_un& un = reinterpret_cast<sockaddr_un&>(out.storage);
  un.sun_family = AF_UNIX;
  std::memcpy(un.sun_path + (abstract ? 1 : 0), address.host.data(), address.host.size());
  // An abstract name ends with the length, a path with its zero byte: one byte more than the text in both cases.
  out.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.host.size() + 1);
  return out;
}

Error resolver_error(const Address& address, int rc) {
  const std::string what = fmt::format("resolve '{}'", shown(address.host));
  if (rc == EAI_SYSTEM) return errno_error(what);
  const Errc code = rc == EAI_AGAIN ? Errc::kUnavailable : rc == EAI_MEMORY ? Errc::kExhausted : Errc::kNotFound;
  return Error(code, fmt::format("{}: {}", what, ::gai_strerror(rc)));
}

using AddressList = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

Result<std::vector<SocketAddress>> resolve_tcp(const Address& address, ResolveFor use, int flags) {
  if (use == ResolveFor::kConnect && address.host.empty())
    return refuse(address.text(), "'*' is for listening (name the machine to connect to)");
  if (use == ResolveFor::kConnect && address.port == 0)
    return refuse(address.text(), "port 0 is for listening (give the peer's port)");
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV | (use == ResolveFor::kListen ? AI_PASSIVE : 0);
  addrinfo* raw = nullptr;
  const char* host = address.host.empty() ? nullptr : address.host.c_str();
  const int rc = ::getaddrinfo(host, std::to_string(address.port).c_str(), &hints, &raw);
  if (rc == EAI_NONAME && (flags & AI_NUMERICHOST) != 0)
    return refuse(address.text(), "no numeric address (give an IPv4 or IPv6 address)");
  if (rc != 0) return fail(resolver_error(address, rc));
  const AddressList list(raw, &::freeaddrinfo);
  std::vector<SocketAddress> out;
  for (const addrinfo* a = list.get(); a != nullptr; a = a->ai_next) {
    SocketAddress& next = out.emplace_back();
    std::memcpy(&next.storage, a->ai_addr, a->ai_addrlen);
    next.length = a->ai_addrlen;
  }
  return out;
}

}  // namespace

std::string Address::text() const {
  switch (kind) {
    case Kind::kUnixPath: return "unix:" + host;
    case Kind::kUnixAbstract: return "unix:@" + host;
    case Kind::kTcp: break;
  }
  if (host.find(':') != std::string::npos) return fmt::format("[{}]:{}", host, port);
  return fmt::format("{}:{}", host.empty() ? "*" : host, port);
}

Result<Address> parse_address(std::string_view text) {
  if (text.empty()) return refuse(text, fmt::format("empty ({})", kForms));
  if (text.starts_with("unix:")) return parse_unix(text, text.substr(5));
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || text.back() == ']') return refuse(text, fmt::format("no port ({})", kForms));
  std::string_view host = text.substr(0, colon);
  FF_TRY_ASSIGN(const std::uint16_t port, parse_port(text, text.substr(colon + 1)));
  if (host.empty()) return refuse(text, "no host (write *:PORT for every interface)");
  if (host == "*") return Address::tcp("", port);
  if (host.front() == '[' || host.back() == ']') {
    const bool paired = host.size() > 2 && host.front() == '[' && host.back() == ']';
    std::string canonical = paired ? canonical_ipv6(host.substr(1, host.size() - 2)) : std::string();
    if (canonical.empty()) return refuse(text, "what stands in brackets is no IPv6 address");
    return Address::tcp(std::move(canonical), port);
  }
  if (host.find(':') != std::string_view::npos)
    return refuse(text, "more than one ':' (write an IPv6 address in brackets: [::1]:80)");
  in_addr v4;
  if (::inet_pton(AF_INET, std::string(host).c_str(), &v4) == 1 && host.find('\0') == std::string_view::npos)
    return Address::tcp(std::string(host), port);
  if (const std::string problem = name_problem(host); !problem.empty()) return refuse(text, problem);
  return Address::tcp(std::string(host), port);
}

std::string PeerAddress::text() const {
  std::string out;
  for (const Address& plane : planes) out += (out.empty() ? "" : ",") + plane.text();
  return out;
}

Result<PeerAddress> parse_peer_address(std::string_view text) {
  PeerAddress out;
  for (std::string_view rest = text;;) {
    if (out.planes.size() == kPlanesMax)
      return fail(Errc::kInvalidArgument, fmt::format("peer '{}': more than {} addresses", shown(text), kPlanesMax));
    const std::size_t comma = rest.find(',');
    auto plane = parse_address(rest.substr(0, comma));
    if (!plane) return fail(std::move(plane).error().context(fmt::format("peer '{}'", shown(text))));
    if (std::ranges::find(out.planes, *plane) != out.planes.end())
      return fail(
          Errc::kInvalidArgument,
          fmt::format("peer '{}': {} stands there twice (give one address of each plane)", shown(text), plane->text()));
    out.planes.push_back(std::move(*plane));
    if (comma == std::string_view::npos) return out;
    rest.remove_prefix(comma + 1);
  }
}

bool SocketAddress::is_loopback() const noexcept {
  const auto v4 = [](std::uint32_t network_order) { return (ntohl(network_order) >> 24) == 127; };
  if (family() == AF_INET) return v4(reinterpret_cast<const sockaddr_in&>(storage).sin_addr.s_addr);
  if (family() != AF_INET6) return false;
  const in6_addr& address = reinterpret_cast<const sockaddr_in6&>(storage).sin6_addr;
  return IN6_IS_ADDR_LOOPBACK(&address) || (IN6_IS_ADDR_V4MAPPED(&address) && v4(address.s6_addr32[3]));
}

Result<Address> SocketAddress::address() const {
  if (family() == AF_UNIX) {
    const auto& un = reinterpret_cast<const sockaddr_un&>(storage);
    constexpr std::size_t kHead = offsetof(sockaddr_un, sun_path);
    const std::size_t bytes = length > kHead ? std::min<std::size_t>(length - kHead, sizeof un.sun_path) : 0;
    if (bytes > 0 && un.sun_path[0] != '\0')
      return Address::unix_path(shown({un.sun_path, ::strnlen(un.sun_path, bytes)}));
    return Address::unix_abstract(bytes > 0 ? shown({un.sun_path + 1, bytes - 1}) : std::string());
  }
  if (family() != AF_INET && family() != AF_INET6)
    return fail(Errc::kInvalidArgument, fmt::format("socket address: family {} is neither TCP nor Unix", family()));
  char host[NI_MAXHOST], service[NI_MAXSERV];
  const int rc =
      ::getnameinfo(get(), length, host, sizeof host, service, sizeof service, NI_NUMERICHOST | NI_NUMERICSERV);
  if (rc != 0) return fail(Errc::kInvalidArgument, fmt::format("socket address: {}", ::gai_strerror(rc)));
  FF_TRY_ASSIGN(const std::uint16_t port, parse_port(service, service));
  return Address::tcp(host, port);
}

Result<std::vector<SocketAddress>> resolve(const Address& address, ResolveFor use) {
  if (!address.is_unix()) return resolve_tcp(address, use, 0);
  FF_TRY_ASSIGN(SocketAddress one, unix_socket_address(address));
  return std::vector{one};
}

Result<SocketAddress> resolve_numeric(const Address& address, ResolveFor use) {
  if (address.is_unix()) return unix_socket_address(address);
  FF_TRY_ASSIGN(auto all, resolve_tcp(address, use, AI_NUMERICHOST));
  return all.front();
}

}  // namespace ff::net
