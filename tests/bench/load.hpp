// What every load generator of the benchmarks shares, peers' and ours, so that all are asked and measured alike:
// the options of a load, latencies, processor time, and servers that report when they are told to end.
#pragma once

#include <netinet/in.h>

#include <array>
#include <bit>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "libcommon/cli/app.hpp"
#include "libcommon/report/json.hpp"

namespace ff::bench {

using Clock = std::chrono::steady_clock;

// Latencies in nanoseconds with a relative error below 1 %, from 1 ns to 584 years; recording allocates nothing.
// Threads: one a thread, merged at the end.
class LatencyHistogram {
 public:
  void record(std::chrono::nanoseconds latency) noexcept {
    const auto ns = latency.count() > 0 ? static_cast<std::uint64_t>(latency.count()) : 0;
    ++(*counts_)[slot_of(ns)];
    ++count_;
  }
  void merge(const LatencyHistogram& other) noexcept;
  std::uint64_t count() const noexcept { return count_; }
  // The latency that a share `quantile` (0 to 1) of all did not exceed; 0 when nothing was recorded.
  std::uint64_t quantile_ns(double quantile) const noexcept;

 private:
  // A power of two is cut into 2^kBits equal parts.
  static constexpr unsigned kBits = 7;
  static constexpr std::size_t kSlots = (64 - kBits + 1) << kBits;
  static std::size_t slot_of(std::uint64_t ns) noexcept {
    const auto width = static_cast<unsigned>(std::bit_width(ns));
    if (width <= kBits) return ns;
    const unsigned shift = width - kBits - 1;
    return ((shift + 1UL) << kBits) + ((ns >> shift) - (1UL << kBits));
  }
  static std::uint64_t middle_of(std::size_t slot) noexcept;

  std::unique_ptr<std::array<std::uint64_t, kSlots>> counts_ = std::make_unique<std::array<std::uint64_t, kSlots>>();
  std::uint64_t count_ = 0;
};

// Fields latency_ns_p50, _p90, _p99 and _p999 into an open object.
void write_latencies(report::JsonWriter& json, const LatencyHistogram& latencies);

// User and system time of this process, all threads.
double cpu_seconds();

// A load of equal requests over `connections` connections. With `rate` 0 the loop is closed: `outstanding` requests
// wait on each connection all the time. Else it is open: `rate` requests a second are due at fixed times whatever the
// server does, and a latency counts from that time, so that a stall shows in all the requests that it delays.
struct LoadOptions {
  std::int64_t port = 0;
  std::int64_t connections = 1;
  std::int64_t outstanding = 64;  // on each connection; with a rate, the bound of what may wait on each
  std::int64_t bytes = 64;        // of payload in the request, and the same back
  double seconds = 5;
  double rate = 0;  // of all connections together, per second

  std::vector<cli::Option> options();
};

// Prints what a load reached: requests, seconds, requests_per_second, cpu_seconds and latencies.
Result<int> print_load(const LatencyHistogram& latencies, double elapsed_seconds, double cpu_seconds);

// A program `NAME server --port P` and `NAME client` with the options of a load.
struct EchoProgram {
  std::string name;
  std::string summary;
  std::function<Result<int>(std::int64_t port)> serve;
  std::function<Result<int>(const LoadOptions&)> load;
};
int run_echo(const EchoProgram& program, int argc, char** argv);

// 127.0.0.1:port; 0: one that the kernel chooses.
sockaddr_in loopback(std::int64_t port) noexcept;

// Blocks SIGTERM and SIGINT in this thread and those that it will start. Call it before any other thread exists.
void block_termination();

// A server's main thread: prints {"listening":true,"port":N} at once, waits for SIGTERM or SIGINT, prints one JSON
// object with cpu_seconds and whatever `more` adds, and ends the process without waiting for other threads.
// REQUIRES: block_termination() was called.
[[noreturn]] void report_when_terminated(std::uint16_t port, const std::function<void(report::JsonWriter&)>& more = {});

// Prints a complete JSON text and a newline on standard output, and flushes it.
Result<void> print_line(const std::string& text);

}  // namespace ff::bench
