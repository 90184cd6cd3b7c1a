#include "ffbench/net/socket_lane.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <span>

#include "ffbench/net/traffic.hpp"
#include "libcommon/base/file.hpp"
#include "libcommon/net/socket.hpp"
#include "libcommon/net/traffic_class.hpp"

namespace ff::bench {
namespace {

using JoinBytes = std::array<std::byte, kTestTokenBytes + 8>;

JoinBytes encode(const NetTest& test, Joining joining) {
  JoinBytes out;
  std::memcpy(out.data(), test.token().data(), kTestTokenBytes);
  std::memcpy(out.data() + kTestTokenBytes, &joining.flow, 4);
  std::memcpy(out.data() + kTestTokenBytes + 4, &joining.index, 4);
  return out;
}

// Non-blocking sockets.
Result<> wait_for(int fd, short events, const Deadline& deadline, const std::atomic<bool>& giving_up) {
  for (;;) {
    if (giving_up) return fail(Errc::kCancelled, "stopped on request");
    pollfd waiting{fd, events, 0};
    const int ready = ::poll(&waiting, 1, deadline.poll_timeout_ms(100));
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return fail(errno_error("poll"));
    if (deadline.expired()) return fail(Errc::kTimeout, "the peer does not answer in time");
  }
}

Result<> exchange(int fd, std::span<std::byte> bytes, bool sending, const Deadline& deadline,
                  const std::atomic<bool>& giving_up) {
  while (!bytes.empty()) {
    const ssize_t n = sending ? ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT)
                              : ::recv(fd, bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (n > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    } else if (n == 0 || errno == EPIPE || errno == ECONNRESET) {
      return fail(Errc::kUnavailable, "the peer has ended the connection (does it run this test?)");
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      FF_TRY(wait_for(fd, sending ? POLLOUT : POLLIN, deadline, giving_up));
    } else if (errno != EINTR) {
      return fail(errno_error(sending ? "send" : "receive"));
    }
  }
  return {};
}

std::string congestion_controls() {
  const auto text = read_file("/proc/sys/net/ipv4/tcp_available_congestion_control", 4096);
  return text ? text->substr(0, text->find('\n')) : std::string("see tcp_available_congestion_control");
}

Result<> prepare(const NetTest& test, int fd) {
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK);
  if (!test.traffic_class().empty() && test.transport() == NET_TCP) {
    FF_TRY_ASSIGN(const net::TrafficClass traffic, net::parse_traffic_class(test.traffic_class()));
    FF_TRY(net::apply_to_socket(fd, traffic));
  }
  if (test.transport() != NET_TCP) return {};
  // A stream of small messages may be gathered into full packets; requests and answers may not wait for company.
  const int no_delay = test.pattern() == NET_LATENCY ? 1 : 0;
  if (::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, sizeof no_delay) != 0)
    return fail(errno_error("TCP_NODELAY"));
  const std::string& name = test.congestion();
  if (name.empty() ||
      ::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name.data(), static_cast<socklen_t>(name.size())) == 0)
    return {};
  return fail(Errc::kInvalidArgument,
              fmt::format("--cc {}: {} (available here: {}; others: modprobe tcp_{})", name, std::strerror(errno),
                          congestion_controls(), name),
              errno);
}

}  // namespace

std::string unix_name_of(const NetTest& test) {
  std::string name = "ffbench-";
  for (const char c : test.token()) name += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return name;
}

Result<UniqueFd> listen_for(const NetTest& test) {
  if (test.transport() == NET_UDS) return net::listen_on(net::Address::unix_abstract(unix_name_of(test)));
  return net::listen_on(net::Address::tcp("", 0));
}

Result<UniqueFd> join_test(const NetTest& test, const net::Address& peer, Joining joining, const Deadline& deadline,
                           const std::atomic<bool>& giving_up) {
  // In slices, so that giving up is seen.
  Result<UniqueFd> fd = fail(Errc::kTimeout, "not tried");
  do {
    if (giving_up) return fail(Errc::kCancelled, "stopped on request");
    fd = net::connect_to(peer, deadline.earlier(Deadline::after(std::chrono::seconds(1))));
  } while (!fd && fd.error().code() == Errc::kTimeout && !deadline.expired());
  if (!fd) return fd;
  JoinBytes bytes = encode(test, joining);
  FF_TRY_CTX(exchange(fd->get(), bytes, true, deadline, giving_up), peer.text());
  std::byte word{};
  FF_TRY_CTX(exchange(fd->get(), std::span(&word, 1), false, deadline, giving_up), peer.text());
  FF_TRY(prepare(test, fd->get()));
  return fd;
}

Result<Joining> read_joining(const NetTest& test, int fd, const Deadline& deadline,
                             const std::atomic<bool>& giving_up) {
  JoinBytes bytes;
  FF_TRY(exchange(fd, bytes, false, deadline, giving_up));
  if (std::memcmp(bytes.data(), test.token().data(), kTestTokenBytes) != 0)
    return fail(Errc::kPermission, "not a connection of this test");
  Joining joining;
  std::memcpy(&joining.flow, bytes.data() + kTestTokenBytes, 4);
  std::memcpy(&joining.index, bytes.data() + kTestTokenBytes + 4, 4);
  return joining;
}

Result<> admit(const NetTest& test, int fd, const Deadline& deadline, const std::atomic<bool>& giving_up) {
  FF_TRY(prepare(test, fd));
  std::byte word{1};
  return exchange(fd, std::span(&word, 1), true, deadline, giving_up);
}

}  // namespace ff::bench
