#include "hfreduce/net/socket.hpp"

#include <fmt/core.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <string_view>

namespace ff::hfreduce::net {
namespace {

constexpr int kLocalBufferBytes = 4 << 20;
constexpr int kBacklog = 4096;

void set_int(int fd, int level, int name, int value) noexcept {
  // A refused option costs speed, not correctness (see tune_connection).
  static_cast<void>(setsockopt(fd, level, name, &value, sizeof value));
}

bool set_congestion_control(int fd, std::string_view name) noexcept {
  return setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name.data(), static_cast<socklen_t>(name.size())) == 0;
}

}  // namespace

Result<SocketAddress> resolve(const std::string& address, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int rc = getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found); rc != 0)
    return fail(Errc::kInvalidArgument,
                fmt::format("address '{}': {} (give a numeric IPv4 or IPv6 address)", address, gai_strerror(rc)));
  SocketAddress out;
  std::memcpy(&out.storage, found->ai_addr, found->ai_addrlen);
  out.length = found->ai_addrlen;
  freeaddrinfo(found);
  return out;
}

Result<UniqueFd> listen_on(const SocketAddress& address) {
  UniqueFd fd(socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return fail(errno_error("open a TCP socket"));
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.length) != 0)
    return fail(errno_error("bind the listening socket"));
  if (listen(fd.get(), kBacklog) != 0) return fail(errno_error("listen"));
  return fd;
}

Result<UniqueFd> begin_connect(const SocketAddress& address, bool same_machine) {
  UniqueFd fd(socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return fail(errno_error("open a TCP socket"));
  tune_connection(fd.get(), same_machine);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.length) != 0 &&
      errno != EINPROGRESS)
    return fail(errno_error("connect"));
  return fd;
}

int socket_error(int fd) noexcept {
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) return errno;
  return error;
}

Result<std::uint16_t> local_port(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0)
    return fail(errno_error("ask for the listening port"));
  if (storage.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_port);
  return ntohs(reinterpret_cast<const sockaddr_in*>(&storage)->sin_port);
}

void tune_connection(int fd, bool same_machine) noexcept {
  set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, 10);
  set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, 5);
  set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, 4);
  if (!same_machine) return;
  if (!set_congestion_control(fd, "cubic")) static_cast<void>(set_congestion_control(fd, "reno"));
  set_int(fd, SOL_SOCKET, SO_SNDBUF, kLocalBufferBytes);
  set_int(fd, SOL_SOCKET, SO_RCVBUF, kLocalBufferBytes);
}

void set_user_timeout(int fd, std::chrono::milliseconds timeout) noexcept {
  constexpr auto kMax = static_cast<std::int64_t>(std::numeric_limits<int>::max());
  set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT,
          static_cast<int>(std::min(kMax, static_cast<std::int64_t>(timeout.count()))));
}

}  // namespace ff::hfreduce::net
