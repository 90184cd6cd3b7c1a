#include "hfreduce/run/rendezvous.hpp"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdlib>
#include <cstring>
#include <vector>

#include "libcommon/base/defer.hpp"

namespace ff::hfreduce::run {
namespace {

constexpr int kBacklog = 4096;

std::string numeric(const sockaddr* address, socklen_t bytes) {
  char text[NI_MAXHOST] = {};
  return ::getnameinfo(address, bytes, text, sizeof text, nullptr, 0, NI_NUMERICHOST) == 0 ? text : "";
}

bool is_loopback(const sockaddr* address) {
  if (address->sa_family == AF_INET)
    return (ntohl(reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr) >> 24) == 127;
  return IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr) != 0;
}

Result<std::vector<std::string>> addresses_of(const std::string& host, bool wide) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int rc = ::getaddrinfo(host.c_str(), nullptr, &hints, &found); rc != 0)
    return fail(Errc::kNotFound, fmt::format("address of '{}': {}", host, ::gai_strerror(rc)));
  Defer release([&] { ::freeaddrinfo(found); });
  std::vector<std::string> out;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next)
    if (!wide || !is_loopback(entry->ai_addr)) out.push_back(numeric(entry->ai_addr, entry->ai_addrlen));
  return out;
}

// Where others reach this machine, best guess first: the address that the ssh client used, then IPv4 before IPv6 of the
// interfaces that are up.
std::vector<std::string> reachable_addresses() {
  std::vector<std::string> out;
  if (const char* connection = std::getenv("SSH_CONNECTION"); connection != nullptr) {
    char client[128], client_port[16], server[128];
    if (std::sscanf(connection, "%127s %15s %127s", client, client_port, server) == 3) out.push_back(server);
  }
  ifaddrs* found = nullptr;
  if (::getifaddrs(&found) != 0) return out;
  Defer release([&] { ::freeifaddrs(found); });
  for (const int family : {AF_INET, AF_INET6}) {
    for (const ifaddrs* entry = found; entry != nullptr; entry = entry->ifa_next) {
      if (entry->ifa_addr == nullptr || entry->ifa_addr->sa_family != family || (entry->ifa_flags & IFF_UP) == 0)
        continue;
      if (is_loopback(entry->ifa_addr)) continue;
      const bool v6 = family == AF_INET6;
      if (v6 && IN6_IS_ADDR_LINKLOCAL(&reinterpret_cast<const sockaddr_in6*>(entry->ifa_addr)->sin6_addr)) continue;
      out.push_back(numeric(entry->ifa_addr, v6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in)));
    }
  }
  return out;
}

Result<Rendezvous> bind_numeric(const std::string& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int rc = ::getaddrinfo(address.c_str(), nullptr, &hints, &found); rc != 0)
    return fail(Errc::kInvalidArgument, fmt::format("address '{}': {}", address, ::gai_strerror(rc)));
  Defer release([&] { ::freeaddrinfo(found); });
  Rendezvous out;
  out.address = address;
  out.listener.reset(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!out.listener) return fail(errno_error("socket"));
  if (::bind(out.listener.get(), found->ai_addr, found->ai_addrlen) != 0)
    return fail(errno_error(fmt::format("bind '{}'", address)));
  if (::listen(out.listener.get(), kBacklog) != 0) return fail(errno_error(fmt::format("listen on '{}'", address)));
  sockaddr_storage bound{};
  socklen_t bytes = sizeof bound;
  if (::getsockname(out.listener.get(), reinterpret_cast<sockaddr*>(&bound), &bytes) != 0)
    return fail(errno_error("getsockname"));
  out.port = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(bound).sin6_port
                                               : reinterpret_cast<sockaddr_in&>(bound).sin_port);
  return out;
}

bool is_numeric(const std::string& host) {
  unsigned char bytes[sizeof(in6_addr)];
  return ::inet_pton(AF_INET, host.c_str(), bytes) == 1 || ::inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

}  // namespace

Result<Rendezvous> bind_rendezvous(const std::string& host, bool wide) {
  if (is_numeric(host)) return bind_numeric(host);  // said exactly: anything else would surprise
  std::vector<std::string> candidates;
  if (!host.empty())
    if (auto named = addresses_of(host, wide)) candidates = std::move(*named);
  if (wide) {
    for (std::string& address : reachable_addresses()) candidates.push_back(std::move(address));
  } else {
    candidates.push_back("127.0.0.1");
  }
  for (const std::string& address : candidates)
    if (auto bound = bind_numeric(address)) return bound;
  return fail(Errc::kUnavailable, fmt::format("rendezvous of '{}': no address of this machine that others could reach "
                                              "(name one with --master-address)",
                                              host));
}

}  // namespace ff::hfreduce::run
