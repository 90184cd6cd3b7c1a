#include "libcommon/net/tcp_socket.hpp"

#include <fmt/core.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <memory>
#include <thread>

namespace ff::net {
namespace {

using AddressList = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

Result<AddressList> resolve(const SocketAddress& address, bool passive) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_family = AF_UNSPEC;
  hints.ai_flags = AI_NUMERICSERV | (passive ? AI_PASSIVE : 0);
  addrinfo* list = nullptr;
  const std::string port = std::to_string(address.port);
  const int rc =
      ::getaddrinfo(address.address.empty() ? nullptr : address.address.c_str(), port.c_str(), &hints, &list);
  if (rc != 0) return fail(Errc::kNotFound, fmt::format("resolve '{}': {}", address.address, ::gai_strerror(rc)));
  return AddressList(list, &::freeaddrinfo);
}

Result<SocketAddress> numeric(const sockaddr_storage& storage, socklen_t length) {
  char host[NI_MAXHOST], service[NI_MAXSERV];
  const int rc = ::getnameinfo(reinterpret_cast<const sockaddr*>(&storage), length, host, sizeof host, service,
                               sizeof service, NI_NUMERICHOST | NI_NUMERICSERV);
  if (rc != 0) return fail(Errc::kInternal, fmt::format("socket address: {}", ::gai_strerror(rc)));
  return SocketAddress{host, static_cast<std::uint16_t>(std::stoi(service))};
}

// One attempt on one address; the error is errno.
int try_connect(const addrinfo& target, const Deadline& deadline, UniqueFd& out) {
  UniqueFd fd(::socket(target.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return errno;
  if (::connect(fd.get(), target.ai_addr, target.ai_addrlen) != 0) {
    if (errno != EINPROGRESS) return errno;
    pollfd p{fd.get(), POLLOUT, 0};
    for (;;) {
      const int n = ::poll(&p, 1, deadline.poll_timeout_ms(60'000));
      if (n > 0) break;
      if (n < 0 && errno != EINTR) return errno;
      if (deadline.expired()) return ETIMEDOUT;
    }
    int error = 0;
    socklen_t length = sizeof error;
    if (::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &length) != 0) return errno;
    if (error != 0) return error;
  }
  out = std::move(fd);
  return 0;
}

}  // namespace

std::string SocketAddress::text() const {
  return address.find(':') == std::string::npos ? fmt::format("{}:{}", address, port)
                                                : fmt::format("[{}]:{}", address, port);
}

Result<UniqueFd> listen_tcp(const SocketAddress& at) {
  FF_TRY_ASSIGN(const AddressList list, resolve(at, true));
  int last = EADDRNOTAVAIL;
  for (const addrinfo* a = list.get(); a != nullptr; a = a->ai_next) {
    UniqueFd fd(::socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int on = 1;
    if (fd && ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        ::bind(fd.get(), a->ai_addr, a->ai_addrlen) == 0 && ::listen(fd.get(), SOMAXCONN) == 0)
      return fd;
    last = errno;
  }
  return fail(errno_error("listen on " + at.text(), last));
}

Result<UniqueFd> connect_tcp(const SocketAddress& to, const Deadline& deadline) {
  FF_TRY_ASSIGN(const AddressList list, resolve(to, false));
  auto pause = std::chrono::milliseconds(5);
  for (;;) {
    int last = EADDRNOTAVAIL;
    for (const addrinfo* a = list.get(); a != nullptr; a = a->ai_next) {
      UniqueFd fd;
      last = try_connect(*a, deadline, fd);
      if (last == 0) {
        set_connection_options(fd.get());
        return fd;
      }
    }
    const bool may_come = last == ECONNREFUSED || last == EHOSTUNREACH || last == ENETUNREACH || last == ECONNRESET;
    if (!may_come || deadline.remaining() <= pause) return fail(errno_error("connect to " + to.text(), last));
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::milliseconds(200));
  }
}

void set_connection_options(int fd) {
  // All of these are refinements; a kernel that refuses one still gives a correct connection.
  const int on = 1, idle_s = 10, interval_s = 2, probes = 3;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

Result<SocketAddress> local_address(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return fail(errno_error("getsockname"));
  return numeric(storage, length);
}

Result<SocketAddress> peer_address(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return fail(errno_error("getpeername"));
  return numeric(storage, length);
}

}  // namespace ff::net
