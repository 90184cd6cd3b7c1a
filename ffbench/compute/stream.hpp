// Memory bandwidth by the kernels of STREAM, and by reading and writing alone.
//
//   copy   c[i] = a[i]            2 arrays      add    c[i] = a[i] + b[i]       3 arrays
//   scale  b[i] = s * c[i]        2 arrays      triad  a[i] = b[i] + s * c[i]   3 arrays
//   read   sum of a[i]            1 array       write  a[i] = s                 1 array
//
// Counting  As STREAM: each array named above counts once, 8 bytes an element; the read-for-ownership that an ordinary
//           store causes is not counted. Non-temporal stores avoid it, and so can show a third more.
// Arrays    Doubles, one private slice a processor, first touched (so placed on its NUMA node) by the thread that uses
//           it. Four times the last-level caches that the processors use, together, unless told otherwise.
// Checked   Every element of the result after each measurement (values are whole numbers, so exact): kCorrupt.
// Threads   One a processor, bound to it. The object serves one caller at a time.
// Source    McCalpin, "Memory Bandwidth and Machine Balance in Current High Performance Computers", 1995.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <string_view>
#include <vector>

#include "libcommon/base/result.hpp"

namespace ff::bench {

enum class StreamKernel : std::uint8_t { kCopy, kScale, kAdd, kTriad, kRead, kWrite };
inline constexpr int kStreamKernelCount = 6;
std::string_view stream_kernel_name(StreamKernel kernel) noexcept;
// Arrays that a pass moves: 2, 2, 3, 3, 1, 1.
int stream_arrays(StreamKernel kernel) noexcept;

// kAuto: non-temporal where the arrays do not fit the last-level caches.
enum class Stores : std::uint8_t { kAuto, kNormal, kNonTemporal };
Result<Stores> parse_stores(std::string_view text);  // "auto", "normal", "nt"

struct StreamOptions {
  std::vector<int> cpus;              // one thread each; empty: all that this process may use
  std::uint64_t bytes_per_array = 0;  // of all threads together; 0: 4x the last-level caches
  Stores stores = Stores::kAuto;
};

// The arrays of a run, kept between measurements.
class Stream {
 public:
  // kExhausted: the memory is not there. kInvalidArgument: unknown processor, arrays of less than 4 KiB a thread.
  static Result<Stream> open(const StreamOptions& options);
  Stream(Stream&&) noexcept;
  Stream& operator=(Stream&&) noexcept;
  ~Stream();

  // Bytes a second over all threads. kCancelled when stopped before the end, kCorrupt when a result is wrong.
  Result<double> measure(StreamKernel kernel, std::chrono::nanoseconds duration, std::stop_token stop);

  std::uint64_t bytes_per_array() const noexcept;
  bool non_temporal() const noexcept;
  std::size_t threads() const noexcept;
  std::string_view isa() const noexcept;  // "sse2", "avx2", "avx512", "plain"

 private:
  struct State;
  explicit Stream(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

// open() and measure() once.
Result<double> measure_stream(StreamKernel kernel, const StreamOptions& options, std::chrono::nanoseconds duration,
                              std::stop_token stop);

}  // namespace ff::bench
