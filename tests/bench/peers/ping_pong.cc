// Peer: the least that measures a round trip over TCP on loopback: two processes, one blocking connection with
// TCP_NODELAY, send() and recv(), and two readings of the clock a round trip. As perftest has it, a latency is half of
// the round trip.
//
// usage: ping_pong BYTES SECONDS      prints "p50_ns p99_ns requests_per_second"
//
// The first tenth of the time is not counted.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

int tuned(int fd) {
  const int on = 1;
  const timeval patience{10, 0};
  if (fd < 0) die("socket");
  if (::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) die("TCP_NODELAY");
  if (::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0) die("SO_RCVTIMEO");
  return fd;
}

void send_whole(int fd, const std::vector<char>& message) {
  for (std::size_t at = 0; at < message.size();) {
    const ssize_t n = ::send(fd, message.data() + at, message.size() - at, MSG_NOSIGNAL);
    if (n <= 0) die("send");
    at += static_cast<std::size_t>(n);
  }
}

// False when the peer has ended.
bool receive_whole(int fd, std::vector<char>& message) {
  for (std::size_t at = 0; at < message.size();) {
    const ssize_t n = ::recv(fd, message.data() + at, message.size() - at, 0);
    if (n == 0 && at == 0) return false;
    if (n <= 0) die("recv");
    at += static_cast<std::size_t>(n);
  }
  return true;
}

void ask(int fd, std::vector<char>& message, double seconds) {
  const auto time = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  const auto begin = Clock::now(), counted = begin + time / 10, end = counted + time;
  std::vector<std::int64_t> round_trips;
  round_trips.reserve(static_cast<std::size_t>(seconds * 1e6) + 1);
  for (auto now = begin; now < end;) {
    send_whole(fd, message);
    if (!receive_whole(fd, message)) die("the answerer ended");
    const auto answered = Clock::now();
    if (now >= counted) round_trips.push_back((answered - now).count());
    now = answered;
  }
  if (round_trips.empty()) die("no round trip in the time");
  std::sort(round_trips.begin(), round_trips.end());
  const auto quantile = [&](double q) {
    return static_cast<double>(round_trips[static_cast<std::size_t>(q * static_cast<double>(round_trips.size() - 1))]);
  };
  std::printf("%.0f %.0f %.0f\n", quantile(0.5) / 2, quantile(0.99) / 2,
              static_cast<double>(round_trips.size()) / seconds);
}

}  // namespace

int main(int argc, char** argv) {
  const long bytes = argc == 3 ? std::atol(argv[1]) : 0;
  const double seconds = argc == 3 ? std::atof(argv[2]) : 0;
  if (bytes < 1 || bytes > 1 << 30 || !(seconds > 0 && seconds <= 3600)) {
    std::fprintf(stderr, "usage: ping_pong BYTES SECONDS (1 to 2^30, up to 3600)\n");
    return 2;
  }
  std::vector<char> message(static_cast<std::size_t>(bytes), 'x');
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  const int listener = tuned(::socket(AF_INET, SOCK_STREAM, 0));
  auto* at = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener, at, length) != 0 || ::listen(listener, 1) != 0 || ::getsockname(listener, at, &length) != 0)
    die("listen");
  const pid_t child = ::fork();
  if (child < 0) die("fork");
  if (child == 0) {
    const int fd = tuned(::accept(listener, nullptr, nullptr));
    while (receive_whole(fd, message)) send_whole(fd, message);
    ::_exit(0);
  }
  const int fd = tuned(::socket(AF_INET, SOCK_STREAM, 0));
  if (::connect(fd, at, sizeof address) != 0) die("connect");
  ask(fd, message, seconds);
  ::close(fd);
  int status = 0;
  return ::waitpid(child, &status, 0) == child && status == 0 ? 0 : 1;
}
