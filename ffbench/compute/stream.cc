// Three arrays: x[i] = 1 + i % 8, y[i] = 2 + i % 4 and the target, which every kernel writes from x and y alone; so a
// kernel may run any number of times, in parts, and its result is known: x, s x, x + y, x + s y, s.
#include "ffbench/compute/stream.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>

#include "ffbench/compute/big_memory.hpp"
#include "ffbench/compute/caches.hpp"
#include "ffbench/compute/cpu_team.hpp"
#include "ffbench/compute/stream_kernels.hpp"
#include "libcommon/base/byte_size.hpp"

namespace ff::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kScalar = 3;
constexpr std::size_t kChunk = 32 * 1024;           // doubles between two looks at the clock
constexpr std::uint64_t kSliceBytesMin = 4 * kKiB;  // of one array and thread
constexpr std::uint64_t kCachesCovered = 4;

double x_at(std::size_t i) { return 1 + static_cast<double>(i % 8); }
double y_at(std::size_t i) { return 2 + static_cast<double>(i % 4); }

double expected_at(StreamKernel kernel, std::size_t i) {
  switch (kernel) {
    case StreamKernel::kCopy: return x_at(i);
    case StreamKernel::kScale: return kScalar * x_at(i);
    case StreamKernel::kAdd: return x_at(i) + y_at(i);
    case StreamKernel::kTriad: return x_at(i) + kScalar * y_at(i);
    case StreamKernel::kWrite: return kScalar;
    case StreamKernel::kRead: break;
  }
  return 0;
}

// What one thread works on and finds. A cache line of its own.
struct alignas(64) Slice {
  double* x = nullptr;
  double* y = nullptr;
  double* to = nullptr;
  std::size_t count = 0;
  double rate = 0;        // bytes a second
  std::size_t wrong = 0;  // elements, or chunks whose sum is wrong
  std::size_t first_wrong = 0;
};

class Runner {
 public:
  Runner(const StreamKernels& set, StreamKernel kernel, bool non_temporal, Slice& slice)
      : set_(set), kernel_(kernel), non_temporal_(non_temporal), slice_(slice) {}

  void run(std::size_t from, std::size_t count) {
    double* const to = slice_.to + from;
    const double* const x = slice_.x + from;
    const double* const y = slice_.y + from;
    switch (kernel_) {
      case StreamKernel::kCopy: return set_.copy(to, x, count, non_temporal_);
      case StreamKernel::kScale: return set_.scale(to, x, kScalar, count, non_temporal_);
      case StreamKernel::kAdd: return set_.add(to, x, y, count, non_temporal_);
      case StreamKernel::kTriad: return set_.triad(to, x, y, kScalar, count, non_temporal_);
      case StreamKernel::kWrite: return set_.write(to, kScalar, count, non_temporal_);
      case StreamKernel::kRead:
        // 1 + 2 + ... + 8 is 36: exact in any order.
        if (set_.read(x, count) != 4.5 * static_cast<double>(count) && slice_.wrong++ == 0) slice_.first_wrong = from;
        return;
    }
  }

  // At least one chunk's worth of elements, from `at` on and around; returns where it stopped.
  std::size_t run_some(std::size_t at, std::size_t& moved) {
    std::size_t done = 0;
    while (done < kChunk) {
      const std::size_t count = std::min(kChunk - done, slice_.count - at) / kStreamUnit * kStreamUnit;
      if (count == 0) break;
      run(at, count);
      done += count;
      at = at + count == slice_.count ? 0 : at + count;
    }
    moved += done;
    return at;
  }

  void run_all() {
    for (std::size_t at = 0; at < slice_.count; at += kChunk) run(at, std::min(kChunk, slice_.count - at));
  }

  void check() {
    if (kernel_ == StreamKernel::kRead) return;
    std::array<double, 8> expected{};
    for (std::size_t i = 0; i < 8; ++i) expected[i] = expected_at(kernel_, i);
    for (std::size_t i = 0; i < slice_.count; ++i) {
      if (slice_.to[i] != expected[i % 8] && slice_.wrong++ == 0) slice_.first_wrong = i;
    }
  }

 private:
  const StreamKernels& set_;
  StreamKernel kernel_;
  bool non_temporal_;
  Slice& slice_;
};

}  // namespace

std::string_view stream_kernel_name(StreamKernel kernel) noexcept {
  constexpr std::array<std::string_view, kStreamKernelCount> kNames = {"copy",  "scale", "add",
                                                                       "triad", "read",  "write"};
  return kNames[static_cast<std::size_t>(kernel)];
}

int stream_arrays(StreamKernel kernel) noexcept {
  constexpr std::array<int, kStreamKernelCount> kArrays = {2, 2, 3, 3, 1, 1};
  return kArrays[static_cast<std::size_t>(kernel)];
}

Result<Stores> parse_stores(std::string_view text) {
  if (text == "auto") return Stores::kAuto;
  if (text == "normal") return Stores::kNormal;
  if (text == "nt") return Stores::kNonTemporal;
  return fail(Errc::kInvalidArgument, fmt::format("{}: no kind of stores (use auto, normal or nt)", text));
}

struct Stream::State {
  std::vector<int> cpus;
  std::uint64_t bytes = 0;
  bool non_temporal = false;
  const StreamKernels* set = nullptr;
  std::array<BigMemory, 3> arrays;
  std::vector<Slice> slices;
};

Stream::Stream(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
Stream::Stream(Stream&&) noexcept = default;
Stream& Stream::operator=(Stream&&) noexcept = default;
Stream::~Stream() = default;

std::uint64_t Stream::bytes_per_array() const noexcept { return state_->bytes; }
bool Stream::non_temporal() const noexcept { return state_->non_temporal; }
std::size_t Stream::threads() const noexcept { return state_->cpus.size(); }
std::string_view Stream::isa() const noexcept { return state_->set->name; }

Result<Stream> Stream::open(const StreamOptions& options) {
  auto state = std::make_unique<State>();
  FF_TRY_ASSIGN(state->cpus, usable_cpus(options.cpus));
  const std::size_t threads = state->cpus.size();
  const Caches caches = read_caches(state->cpus);
  const std::uint64_t asked =
      options.bytes_per_array > 0 ? options.bytes_per_array : kCachesCovered * caches.last_level_sum;
  if (asked / threads < kSliceBytesMin || asked > UINT64_MAX / 4)
    return fail(Errc::kInvalidArgument,
                fmt::format("arrays of {} for {} threads: not between {} a thread and 4EiB", format_byte_size(asked),
                            threads, format_byte_size(kSliceBytesMin)));
  const std::size_t count = asked / sizeof(double) / kStreamUnit * kStreamUnit;
  state->bytes = count * sizeof(double);
  state->set = *stream_kernels();
  state->non_temporal =
      options.stores == Stores::kNonTemporal ||
      (options.stores == Stores::kAuto && state->arrays.size() * state->bytes > caches.last_level_sum);
  if (const auto available = available_memory(); available && state->arrays.size() * state->bytes > *available)
    return fail(Errc::kExhausted, fmt::format("3 arrays of {}: {} of memory available (give smaller --bytes)",
                                              format_byte_size(state->bytes), format_byte_size(*available)));
  for (BigMemory& array : state->arrays) {
    FF_TRY_ASSIGN(array, BigMemory::map(state->bytes));
  }
  for (std::size_t t = 0; t < threads; ++t) {
    const Share share = share_of(count, kStreamUnit, t, threads);
    Slice& slice = state->slices.emplace_back();
    slice.x = state->arrays[0].as<double>() + share.first;
    slice.y = state->arrays[1].as<double>() + share.first;
    slice.to = state->arrays[2].as<double>() + share.first;
    slice.count = share.last - share.first;
  }
  FF_TRY(run_on_cpus(state->cpus, [&](std::size_t t) {
    const Slice& slice = state->slices[t];
    for (std::size_t i = 0; i < slice.count; ++i) {
      slice.x[i] = x_at(i);
      slice.y[i] = y_at(i);
      slice.to[i] = 0;
    }
  }));
  return Stream(std::move(state));
}

Result<double> Stream::measure(StreamKernel kernel, std::chrono::nanoseconds duration, std::stop_token stop) {
  State& s = *state_;
  std::barrier start(static_cast<std::ptrdiff_t>(s.cpus.size()));
  std::atomic<bool> stopped = false;
  const double pass_bytes = static_cast<double>(stream_arrays(kernel)) * sizeof(double);
  FF_TRY(run_on_cpus(s.cpus, [&](std::size_t t) {
    Slice& slice = s.slices[t];
    slice.wrong = 0;
    Runner runner(*s.set, kernel, s.non_temporal, slice);
    // What an earlier kernel left must not pass for this one's result.
    if (kernel != StreamKernel::kRead) std::fill_n(slice.to, slice.count, -1.0);
    runner.run_all();
    start.arrive_and_wait();
    const auto begin = Clock::now();
    auto now = begin;
    std::size_t at = 0;
    std::size_t moved = 0;
    do {
      at = runner.run_some(at, moved);
      now = Clock::now();
      if (stop.stop_requested()) stopped = true;
    } while (now - begin < duration && !stopped);
    slice.rate = static_cast<double>(moved) * pass_bytes / std::chrono::duration<double>(now - begin).count();
    runner.check();
  }));
  double rate = 0;
  for (std::size_t t = 0; t < s.slices.size(); ++t) {
    const Slice& slice = s.slices[t];
    if (slice.wrong != 0)
      return fail(Errc::kCorrupt,
                  fmt::format("{}: {} wrong results of processor {}, the first at element {} of {} "
                              "(test this memory: ffbench mem --test)",
                              stream_kernel_name(kernel), slice.wrong, s.cpus[t], slice.first_wrong, slice.count));
    rate += slice.rate;
  }
  if (stopped) return fail(Errc::kCancelled, fmt::format("{}: stopped", stream_kernel_name(kernel)));
  return rate;
}

Result<double> measure_stream(StreamKernel kernel, const StreamOptions& options, std::chrono::nanoseconds duration,
                              std::stop_token stop) {
  FF_TRY_ASSIGN(Stream stream, Stream::open(options));
  return stream.measure(kernel, duration, std::move(stop));
}

}  // namespace ff::bench
