// The innermost loops of the socket plane: one thread, one blocking stream socket, one system call a step, and one
// relaxed store to a counter that nobody else writes. What they measure is the kernel and the network.
//
// Bandwidth  The sender sends `message` again and again (one send a message; what the kernel did not take is sent on);
//            the receiver reads what is there into a buffer of kReceiveBytes and counts bytes. Rates come from the
//            counter at two instants (measure windows), read by another thread.
// Latency    closed loop: time from the first byte sent to the last byte of the answer received, then the next request.
//            open loop (rate r): request k is due at t0 + k/r, whether request k-1 was answered or not, and its latency
//            is counted from when it was due. A stall therefore costs all requests that were due in it, not only the
//            one that met it (no coordinated omission).
// Ending     `stop` is seen between messages; a thread that is blocked in the kernel is freed by ::shutdown() of its
//            socket, upon which the loop ends like one whose peer is gone.
// Errors     kUnavailable: the peer ended or reset the connection; kIo else.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "libcommon/base/result.hpp"
#include "libcommon/metrics/histogram.hpp"

namespace ff::bench {

inline constexpr std::size_t kReceiveBytes = 256u << 10;

// What one thread tells and is told. Each on cache lines of its own: the counter is stored millions of times a second.
struct SocketLoop {
  alignas(128) std::atomic<std::uint64_t> bytes{0};  // written by the loop only
  std::atomic<std::uint64_t> messages{0};
  alignas(128) std::atomic<bool> stop{false};  // told
  // Latency, in ticks (measure/clock.hpp): what was due, or began, in [from, until) is recorded.
  std::atomic<std::uint64_t> window_from{UINT64_MAX};
  std::atomic<std::uint64_t> window_until{UINT64_MAX};
  bool spin = false;             // set before the thread starts, as all below
  std::uint64_t iterations = 0;  // messages to send; 0: until `stop`
  double rate = 0;
  std::int64_t tail_ns = 0;  // open loop: how long answers are waited for after `stop`
  // Written by the thread, read when it has ended.
  metrics::Histogram round_trip{};
  std::uint64_t answered = 0;
  std::uint64_t unanswered = 0;
  std::uint64_t elapsed_ns = 0;  // with iterations: from the first byte sent until the receiver had the last

  bool in_window(std::uint64_t ticks) const noexcept {
    return ticks >= window_from.load(std::memory_order_relaxed) && ticks < window_until.load(std::memory_order_relaxed);
  }
};

// With iterations it then ends its direction and waits for the receiver's word that all has arrived.
Result<> send_loop(int fd, std::span<const std::byte> message, SocketLoop& loop);
// Until the peer ends its direction; that word included.
Result<> receive_loop(int fd, std::span<std::byte> buffer, SocketLoop& loop);
// `message` is overwritten by the answers.
Result<> ask_loop(int fd, std::span<std::byte> message, SocketLoop& loop);
Result<> open_ask_loop(int fd, std::span<std::byte> message, SocketLoop& loop);
// Answers until the peer ends its direction or `stop`.
Result<> answer_loop(int fd, std::span<std::byte> message, SocketLoop& loop);

}  // namespace ff::bench
