#include "ffbench/net/socket_loops.hpp"

#include <fmt/core.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "ffbench/measure/clock.hpp"

namespace ff::bench {
namespace {

std::unexpected<Error> socket_failure(const char* what) {
  const int code = errno;
  if (code == EPIPE || code == ECONNRESET || code == ENOTCONN || code == ESHUTDOWN)
    return fail(Errc::kUnavailable, fmt::format("{}: the peer has ended the connection", what), code);
  return fail(errno_error(what, code));
}

Result<> send_all(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EINTR) continue;
      return socket_failure("send");
    }
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

// Bytes read; fewer than asked: the peer ended its direction, or (spinning, unless `to_the_end`) `stop` was seen.
Result<std::size_t> receive_all(int fd, std::span<std::byte> into, const SocketLoop& loop, bool to_the_end = false) {
  std::size_t have = 0;
  while (have < into.size()) {
    const ssize_t n = ::recv(fd, into.data() + have, into.size() - have, loop.spin ? MSG_DONTWAIT : 0);
    if (n > 0) {
      have += static_cast<std::size_t>(n);
    } else if (n == 0) {
      break;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      if (!to_the_end && loop.stop.load(std::memory_order_relaxed)) break;
    } else if (errno != EINTR) {
      return socket_failure("receive");
    }
  }
  return have;
}

void count(SocketLoop& loop, std::uint64_t bytes) noexcept {
  // The only writer: no read-modify-write is needed.
  loop.bytes.store(loop.bytes.load(std::memory_order_relaxed) + bytes, std::memory_order_relaxed);
}
void count_message(SocketLoop& loop) noexcept {
  loop.messages.store(loop.messages.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

std::unexpected<Error> ended_early() {
  return fail(Errc::kUnavailable, "receive: the peer has ended the connection before its time");
}

void sleep_ns(std::int64_t ns) noexcept {
  const timespec wait{ns / 1'000'000'000, ns % 1'000'000'000};
  ::nanosleep(&wait, nullptr);
}

// Sleeps towards a point in ticks and spins the rest: sleeping alone would be late by a scheduler's whim each time.
void wait_until(std::uint64_t ticks, const std::atomic<bool>& stop) noexcept {
  constexpr std::int64_t kSpinNs = 60'000;
  constexpr std::int64_t kNapNs = 50'000'000;  // so that a stop is seen
  while (!stop.load(std::memory_order_relaxed)) {
    const std::uint64_t now = ticks_now();
    if (now >= ticks) return;
    const std::int64_t left = ticks_to_ns(ticks - now);
    if (left > kSpinNs) sleep_ns(std::min(left - kSpinNs, kNapNs));
  }
}

// When the requests without answer were due, for the thread that reads the answers, which come in the same order.
class Due {
 public:
  void push(std::uint64_t due) {
    const std::lock_guard lock(mutex_);
    requests_.push_back(due);
  }
  std::optional<std::uint64_t> pop() {
    const std::lock_guard lock(mutex_);
    if (requests_.empty()) return std::nullopt;
    const std::uint64_t front = requests_.front();
    requests_.pop_front();
    return front;
  }
  bool empty() {
    const std::lock_guard lock(mutex_);
    return requests_.empty();
  }

 private:
  std::mutex mutex_;  // guards requests_
  std::deque<std::uint64_t> requests_;
};

// Reads answers until the connection ends, also after `stop`: those under way count. Each belongs to the oldest request
// that waits.
void read_answers(int fd, std::span<std::byte> into, SocketLoop& loop, Due& due) {
  for (;;) {
    const Result<std::size_t> got = receive_all(fd, into, loop, true);
    if (!got || *got < into.size()) return;
    const std::uint64_t now = ticks_now();
    const auto when = due.pop();
    if (!when) return;
    count_message(loop);
    if (!loop.in_window(*when)) continue;
    loop.round_trip.record(ticks_to_ns(now - *when));
    ++loop.answered;
  }
}

}  // namespace

Result<> send_loop(int fd, std::span<const std::byte> message, SocketLoop& loop) {
  const std::uint64_t began = ticks_now();
  for (std::uint64_t sent = 0; loop.iterations == 0 || sent < loop.iterations; ++sent) {
    if (loop.stop.load(std::memory_order_relaxed)) break;
    FF_TRY(send_all(fd, message));
    count(loop, message.size());
    count_message(loop);
  }
  ::shutdown(fd, SHUT_WR);
  if (loop.iterations == 0) return {};
  std::byte word{};
  FF_TRY_ASSIGN(const std::size_t heard, receive_all(fd, std::span(&word, 1), loop));
  if (heard == 0) return ended_early();
  loop.elapsed_ns = static_cast<std::uint64_t>(ticks_to_ns(ticks_now() - began));
  return {};
}

Result<> receive_loop(int fd, std::span<std::byte> buffer, SocketLoop& loop) {
  for (;;) {
    const ssize_t n = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (n > 0) {
      count(loop, static_cast<std::uint64_t>(n));
    } else if (n == 0) {
      const std::byte word{1};
      (void)::send(fd, &word, 1, MSG_NOSIGNAL);
      return {};
    } else if (errno != EINTR) {
      return socket_failure("receive");
    }
  }
}

Result<> ask_loop(int fd, std::span<std::byte> message, SocketLoop& loop) {
  const std::uint64_t first = ticks_now();
  for (std::uint64_t asked = 0; loop.iterations == 0 || asked < loop.iterations; ++asked) {
    if (loop.stop.load(std::memory_order_relaxed)) break;
    const std::uint64_t began = ticks_now();
    FF_TRY(send_all(fd, message));
    FF_TRY_ASSIGN(const std::size_t got, receive_all(fd, message, loop));
    if (got < message.size()) {
      if (loop.stop.load(std::memory_order_relaxed)) break;
      return ended_early();
    }
    const std::uint64_t ended = ticks_now();
    count_message(loop);
    if (loop.iterations == 0 && !loop.in_window(began)) continue;
    loop.round_trip.record(ticks_to_ns(ended - began));
    ++loop.answered;
  }
  loop.elapsed_ns = static_cast<std::uint64_t>(ticks_to_ns(ticks_now() - first));
  ::shutdown(fd, SHUT_WR);
  return {};
}

Result<> open_ask_loop(int fd, std::span<std::byte> message, SocketLoop& loop) {
  Due due;
  std::vector<std::byte> answers(message.size());
  std::atomic<bool> reader_ended{false};
  std::jthread reader([&] {
    read_answers(fd, answers, loop, due);
    reader_ended.store(true, std::memory_order_release);
  });
  const std::uint64_t began = ticks_now();
  const double interval_ns = 1e9 / loop.rate;
  const auto due_at = [&](std::uint64_t k) {
    return began + ns_to_ticks(static_cast<std::int64_t>(static_cast<double>(k) * interval_ns));
  };
  Result<> result;
  std::uint64_t k = 0;
  for (; !loop.stop.load(std::memory_order_relaxed) && !reader_ended; ++k) {
    wait_until(due_at(k), loop.stop);
    if (loop.stop.load(std::memory_order_relaxed)) break;
    due.push(due_at(k));
    if (const auto sent = send_all(fd, message); !sent) {
      result = std::unexpected(sent.error());
      ++k;
      break;
    }
  }
  if (result && reader_ended && !loop.stop) result = ended_early();
  // Answers that are under way count; what has none at the end has waited at least until now.
  const std::uint64_t give_up = ticks_now() + ns_to_ticks(loop.tail_ns);
  while (!due.empty() && !reader_ended && ticks_now() < give_up) sleep_ns(200'000);
  ::shutdown(fd, SHUT_RDWR);
  reader.join();
  const std::uint64_t ended = ticks_now();
  const auto never_answered = [&](std::uint64_t when) {
    if (!loop.in_window(when)) return;
    loop.round_trip.record(ticks_to_ns(ended - when));
    ++loop.unanswered;
  };
  while (const auto when = due.pop()) never_answered(*when);
  // Those that a sender that was stuck had no time for were due all the same. As many at once as share a bucket: at
  // high rates they are billions.
  const std::uint64_t last = std::min(loop.window_until.load(), ended);
  while (loop.window_until.load() != UINT64_MAX && due_at(k) < last) {
    const std::uint64_t when = due_at(k);
    if (!loop.in_window(when)) {
      const std::uint64_t from = loop.window_from.load();
      if (when >= from || from >= last) break;
      k = std::max(k + 1, static_cast<std::uint64_t>(static_cast<double>(ticks_to_ns(from - began)) / interval_ns));
      continue;
    }
    const metrics::HistogramLayout& layout = loop.round_trip.layout();
    const std::int64_t waited = ticks_to_ns(ended - when);
    const std::int64_t within = waited - layout.lowest(layout.index_of(layout.clamp(waited)));
    const auto left = static_cast<double>(ticks_to_ns(last - when));
    const auto times = 1 + static_cast<std::uint64_t>(std::min(static_cast<double>(within), left) / interval_ns);
    loop.round_trip.record(waited, times);
    loop.unanswered += times;
    k += times;
  }
  return result;
}

Result<> answer_loop(int fd, std::span<std::byte> message, SocketLoop& loop) {
  for (;;) {
    FF_TRY_ASSIGN(const std::size_t got, receive_all(fd, message, loop));
    if (got < message.size()) return {};
    FF_TRY(send_all(fd, message));
    count_message(loop);
  }
}

}  // namespace ff::bench
