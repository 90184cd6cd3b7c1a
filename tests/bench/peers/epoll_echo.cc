// Peer: the least that answers small messages over TCP on many connections: epoll, non-blocking sockets, one thread on
// each side; no framing, no check, no deadline, no copies beyond the kernel's. What a library adds to this is its own;
// what this needs is the kernel's and the machine's.
//
// One system call a message each way and one epoll_wait() for all that is ready; with a rate the client sleeps in
// epoll_pwait2() until the next message is due, as ours does. One message at a time on each connection.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "libcommon/base/unique_fd.hpp"
#include "libcommon/cli/app.hpp"
#include "tests/bench/load.hpp"

namespace ff::bench {
namespace {

constexpr std::chrono::seconds kPatience{10};
constexpr int kEventsMax = 512;

Result<UniqueFd> open_socket() {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return std::unexpected(errno_error("socket"));
  const int on = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  return fd;
}

Result<void> watch(int epoll, int fd, void* what) {
  epoll_event event{.events = EPOLLIN, .data = {.ptr = what}};
  if (::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) return std::unexpected(errno_error("epoll_ctl"));
  return {};
}

// Messages of this size fit the kernel's buffers many times over: a part sent or a full buffer is an error here.
Result<void> send_whole(int fd, const std::vector<std::byte>& message, std::size_t size) {
  const ssize_t n = ::send(fd, message.data(), size, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (n < 0) return std::unexpected(errno_error("send"));
  if (static_cast<std::size_t>(n) != size) return fail(Errc::kInternal, "send: the kernel took a part only");
  return {};
}

// Sends back what comes, as it comes.
void answer(int epoll, int listener) {
  std::vector<std::byte> buffer(64 * 1024);
  std::array<epoll_event, kEventsMax> events{};
  for (;;) {
    const int ready = ::epoll_wait(epoll, events.data(), kEventsMax, -1);
    for (int i = 0; i < ready; ++i) {
      const int fd = events[static_cast<std::size_t>(i)].data.fd;
      if (fd == listener) {
        const int connection = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
        if (connection < 0) continue;
        const int on = 1;
        ::setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        epoll_event event{.events = EPOLLIN, .data = {.fd = connection}};
        if (::epoll_ctl(epoll, EPOLL_CTL_ADD, connection, &event) != 0) ::close(connection);
        continue;
      }
      const ssize_t n = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (n <= 0 || !send_whole(fd, buffer, static_cast<std::size_t>(n))) ::close(fd);
    }
  }
}

Result<int> serve(std::int64_t port) {
  block_termination();
  FF_TRY_ASSIGN(const UniqueFd listener, open_socket());
  sockaddr_in address = loopback(port);
  socklen_t length = sizeof address;
  if (::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener.get(), 1024) != 0 ||
      ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0)
    return std::unexpected(errno_error("--port"));
  const UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{.events = EPOLLIN, .data = {.fd = listener.get()}};
  if (!epoll || ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, listener.get(), &event) != 0)
    return std::unexpected(errno_error("epoll"));
  std::thread(&answer, epoll.get(), listener.get()).detach();
  report_when_terminated(ntohs(address.sin_port));
}

struct Connection {
  UniqueFd fd;
  std::size_t received = 0;  // of the answer under way
  Clock::time_point due;
};

class Client {
 public:
  explicit Client(const LoadOptions& options)
      : options_(options), message_(static_cast<std::size_t>(options.bytes), std::byte{'x'}), buffer_(64 * 1024) {}

  Result<void> connect() {
    if (options_.bytes == 0) return fail(Errc::kInvalidArgument, "--bytes: an empty message has no answer (give 1)");
    if (options_.outstanding != 1)
      return fail(Errc::kInvalidArgument, "--outstanding: one message a connection is all this client can (give 1)");
    epoll_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
    if (!epoll_) return std::unexpected(errno_error("epoll"));
    const sockaddr_in address = loopback(options_.port);
    for (std::int64_t i = 0; i < options_.connections; ++i) {
      auto connection = std::make_unique<Connection>();
      FF_TRY_ASSIGN(connection->fd, open_socket());
      if (::connect(connection->fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return std::unexpected(errno_error("--port (start `epoll_echo server` there)"));
      FF_TRY(watch(epoll_.get(), connection->fd.get(), connection.get()));
      idle_.push_back(connection.get());
      connections_.push_back(std::move(connection));
    }
    return {};
  }

  Result<int> run() {
    const double cpu_before = cpu_seconds();
    const auto start = Clock::now();
    FF_TRY(load(start, start + std::chrono::nanoseconds(static_cast<std::int64_t>(options_.seconds * 1e9))));
    const double elapsed = std::chrono::duration<double>(Clock::now() - start).count();
    return print_load(latencies_, elapsed, cpu_seconds() - cpu_before);
  }

 private:
  Result<void> load(Clock::time_point start, Clock::time_point end) {
    std::uint64_t sent = 0;
    for (;;) {
      const auto now = Clock::now();
      auto wake = now + kPatience;
      if (now >= end && idle_.size() == connections_.size()) return {};
      while (!idle_.empty() && now < end) {
        // Without a rate a message is due when its connection is free.
        const auto due = options_.rate > 0 ? start + std::chrono::nanoseconds(static_cast<std::int64_t>(
                                                         static_cast<double>(sent) * 1e9 / options_.rate))
                                           : now;
        if (due > now) {
          wake = std::min(due, end);
          break;
        }
        FF_TRY(send(due));
        ++sent;
      }
      FF_TRY(receive(wake));
    }
  }

  Result<void> send(Clock::time_point due) {
    Connection& connection = *idle_.front();
    idle_.pop_front();
    connection.received = 0;
    connection.due = due;
    return send_whole(connection.fd.get(), message_, message_.size());
  }

  Result<void> receive(Clock::time_point wake) {
    std::array<epoll_event, kEventsMax> events{};
    const auto left = std::max(wake - Clock::now(), Clock::duration(0));
    const auto whole = std::chrono::floor<std::chrono::seconds>(left);
    const timespec limit{.tv_sec = whole.count(), .tv_nsec = (left - whole).count()};
    const int ready = ::epoll_pwait2(epoll_.get(), events.data(), kEventsMax, &limit, nullptr);
    if (ready < 0 && errno != EINTR) return std::unexpected(errno_error("epoll_pwait2"));
    if (ready == 0 && left >= kPatience / 2) return fail(Errc::kTimeout, "no answer for 10 s (is the server stopped?)");
    for (int i = 0; i < ready; ++i)
      FF_TRY(take(*static_cast<Connection*>(events[static_cast<std::size_t>(i)].data.ptr)));
    return {};
  }

  Result<void> take(Connection& connection) {
    const ssize_t n = ::recv(connection.fd.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return {};
    if (n < 0) return std::unexpected(errno_error("receive"));
    if (n == 0) return fail(Errc::kUnavailable, "the server ended the connection");
    connection.received += static_cast<std::size_t>(n);
    if (connection.received < message_.size()) return {};
    latencies_.record(Clock::now() - connection.due);
    idle_.push_back(&connection);
    return {};
  }

  const LoadOptions options_;
  const std::vector<std::byte> message_;
  std::vector<std::byte> buffer_;
  UniqueFd epoll_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::deque<Connection*> idle_;
  LatencyHistogram latencies_;
};

Result<int> load(const LoadOptions& options) {
  Client client(options);
  FF_TRY(client.connect());
  return client.run();
}

}  // namespace
}  // namespace ff::bench

int main(int argc, char** argv) {
  using namespace ff::bench;
  return run_echo({.name = "epoll_echo",
                   .summary = "Small messages over bare sockets, to compare with",
                   .serve = &serve,
                   .load = &load},
                  argc, argv);
}
