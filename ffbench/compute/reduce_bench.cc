#include "ffbench/compute/reduce_bench.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <cstring>
#include <span>

#include "ffbench/compute/big_memory.hpp"
#include "ffbench/compute/caches.hpp"
#include "ffbench/compute/cpu_team.hpp"
#include "hfreduce/cpu/reduce.hpp"
#include "libcommon/base/byte_size.hpp"
#include "libcommon/base/rng.hpp"

namespace ff::bench {
namespace {

using Clock = std::chrono::steady_clock;
using hfreduce::DType;

constexpr std::uint64_t kInputsMax = 64;
constexpr std::uint64_t kBytesMin = 4 * kKiB;
constexpr std::uint64_t kBatchBytes = 256 * kKiB;  // of traffic between two looks at the clock
constexpr std::size_t kCheckBytes = 64 * kKiB;     // checked at once

// Finite values of every type: 0.25 to 4 for the floating ones, so that sums stay finite and roundings happen.
void fill_values(DType dtype, std::byte* to, std::uint64_t bytes, std::uint64_t seed) {
  Rng rng(seed);
  const auto count = bytes / hfreduce::dtype_size(dtype);
  const auto some = [&] { return static_cast<float>(0.25 + 3.75 * rng.uniform()); };
  if (dtype == DType::kFloat32) {
    for (std::uint64_t i = 0; i < count; ++i) reinterpret_cast<float*>(to)[i] = some();
  } else if (dtype == DType::kFloat64) {
    for (std::uint64_t i = 0; i < count; ++i) reinterpret_cast<double*>(to)[i] = static_cast<double>(some());
  } else if (hfreduce::is_low_type(dtype)) {
    std::array<float, 256> values;
    for (std::uint64_t i = 0; i < count; i += values.size()) {
      const std::uint64_t now = std::min<std::uint64_t>(values.size(), count - i);
      for (std::uint64_t j = 0; j < now; ++j) values[j] = some();
      hfreduce::cpu::narrow(dtype, values.data(), to + i * hfreduce::dtype_size(dtype), now);
    }
  } else {
    for (std::uint64_t i = 0; i < bytes; i += 8) {
      const std::uint64_t word = rng.next();
      std::memcpy(to + i, &word, std::min<std::uint64_t>(8, bytes - i));
    }
  }
}

// The buffers of one processor: up to inputs_max to read, one to write.
struct alignas(64) Place {
  BigMemory memory;
  DType filled_as = DType::kFloat32;
  std::uint64_t filled_bytes = 0;  // of each input; 0: none yet
  std::uint64_t filled_inputs = 0;
  double rate = 0;
  bool wrong = false;
};

struct Buffers {
  std::vector<const void*> in;
  void* out = nullptr;
};

}  // namespace

struct ReduceBench::State {
  std::vector<int> cpus;
  std::uint64_t inputs_max = 0;
  std::uint64_t stride = 0;  // bytes from buffer to buffer
  std::uint64_t cache_bytes = 0;
  std::vector<Place> places;

  Buffers buffers(const Place& place, const ReduceCase& which) const {
    Buffers b;
    for (std::uint64_t i = 0; i < which.inputs; ++i) b.in.push_back(place.memory.data() + i * stride);
    b.out = place.memory.data() + which.inputs * stride;
    return b;
  }

  void fill(Place& place, const ReduceCase& which) const {
    if (place.filled_as == which.dtype && place.filled_bytes >= which.bytes && place.filled_inputs >= which.inputs)
      return;
    for (std::uint64_t i = 0; i < which.inputs; ++i)
      fill_values(which.dtype, place.memory.data() + i * stride, which.bytes, i + 1);
    place.filled_as = which.dtype;
    place.filled_bytes = which.bytes;
    place.filled_inputs = which.inputs;
  }
};

ReduceBench::ReduceBench(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
ReduceBench::ReduceBench(ReduceBench&&) noexcept = default;
ReduceBench& ReduceBench::operator=(ReduceBench&&) noexcept = default;
ReduceBench::~ReduceBench() = default;
const std::vector<int>& ReduceBench::cpus() const noexcept { return state_->cpus; }

namespace {

hfreduce::cpu::ReduceArgs args_of(const ReduceCase& which, bool non_temporal) {
  return {.dtype = which.dtype,
          .op = which.op,
          .count = which.bytes / hfreduce::dtype_size(which.dtype),
          .divisor = which.inputs,
          .non_temporal = non_temporal};
}

// The scalar path over a piece at a time, so that it needs no second buffer of the whole size.
bool equals_scalar(const ReduceCase& which, const Buffers& buffers) {
  std::vector<std::byte> expected(std::min<std::uint64_t>(kCheckBytes, which.bytes));
  for (std::uint64_t at = 0; at < which.bytes; at += expected.size()) {
    const std::uint64_t now = std::min<std::uint64_t>(expected.size(), which.bytes - at);
    std::vector<const void*> in;
    for (const void* buffer : buffers.in) in.push_back(static_cast<const std::byte*>(buffer) + at);
    hfreduce::cpu::ReduceArgs args = args_of(which, false);
    args.count = now / hfreduce::dtype_size(which.dtype);
    void* const out[1] = {expected.data()};
    hfreduce::cpu::reduce_on(hfreduce::cpu::Isa::kScalar, args, in, out);
    if (std::memcmp(expected.data(), static_cast<const std::byte*>(buffers.out) + at, now) != 0) return false;
  }
  return true;
}

}  // namespace

Result<ReduceBench> ReduceBench::open(std::vector<int> cpus, std::uint64_t inputs_max, std::uint64_t bytes_max) {
  if (inputs_max < 1 || inputs_max > kInputsMax)
    return fail(Errc::kInvalidArgument, fmt::format("{} inputs: not between 1 and {}", inputs_max, kInputsMax));
  if (bytes_max < kBytesMin || bytes_max > UINT64_MAX / 256)
    return fail(Errc::kInvalidArgument, fmt::format("buffers of {}: less than {} or beyond all memory", bytes_max,
                                                    format_byte_size(kBytesMin)));
  auto state = std::make_unique<State>();
  FF_TRY_ASSIGN(state->cpus, usable_cpus(cpus));
  state->inputs_max = inputs_max;
  // Some lines between buffers, so that they do not all fall into the same sets of the caches.
  state->stride = (bytes_max + 4095) / 4096 * 4096 + 5 * 64;
  state->cache_bytes = read_caches(state->cpus).last_level_sum;
  const std::uint64_t each = (inputs_max + 1) * state->stride;
  if (const auto available = available_memory(); available && each > *available / state->cpus.size())
    return fail(Errc::kExhausted,
                fmt::format("{} for each of {} processors: {} of memory available (fewer inputs, "
                            "smaller sizes)",
                            format_byte_size(each), state->cpus.size(), format_byte_size(*available)));
  state->places.resize(state->cpus.size());
  for (Place& place : state->places) {
    FF_TRY_ASSIGN(place.memory, BigMemory::map(each));
  }
  return ReduceBench(std::move(state));
}

bool ReduceBench::non_temporal(std::uint64_t inputs, std::uint64_t bytes) const noexcept {
  return (inputs + 1) * bytes * state_->cpus.size() > state_->cache_bytes;
}

Result<double> ReduceBench::measure(const ReduceCase& which, std::chrono::nanoseconds duration, std::stop_token stop) {
  State& s = *state_;
  if (which.inputs < 1 || which.inputs > s.inputs_max || which.bytes < kBytesMin || which.bytes > s.stride - 5 * 64 ||
      which.bytes % 64 != 0)
    return fail(Errc::kInvalidArgument,
                fmt::format("{} inputs of {} bytes: no multiple of 64, or beyond what was opened ({} inputs of {})",
                            which.inputs, which.bytes, s.inputs_max, s.stride - 5 * 64));
  const auto args = args_of(which, non_temporal(which.inputs, which.bytes));
  const std::uint64_t traffic = (which.inputs + 1) * which.bytes;
  const std::uint64_t batch = std::max<std::uint64_t>(1, kBatchBytes / traffic);
  std::barrier start(static_cast<std::ptrdiff_t>(s.cpus.size()));
  std::atomic<bool> stopped = false;
  FF_TRY(run_on_cpus(s.cpus, [&](std::size_t t) {
    Place& place = s.places[t];
    s.fill(place, which);
    const Buffers buffers = s.buffers(place, which);
    void* const out[1] = {buffers.out};
    std::memset(buffers.out, 0, which.bytes);
    hfreduce::cpu::reduce(args, buffers.in, out);
    start.arrive_and_wait();
    const auto begin = Clock::now();
    auto now = begin;
    std::uint64_t passes = 0;
    do {
      for (std::uint64_t i = 0; i < batch; ++i) hfreduce::cpu::reduce(args, buffers.in, out);
      passes += batch;
      now = Clock::now();
      if (stop.stop_requested()) stopped = true;
    } while (now - begin < duration && !stopped);
    place.rate = static_cast<double>(passes * traffic) / std::chrono::duration<double>(now - begin).count();
    place.wrong = !stopped && !equals_scalar(which, buffers);
    // The output lies where another case of more inputs reads.
    if (which.inputs < s.inputs_max) place.filled_inputs = std::min(place.filled_inputs, which.inputs);
  }));
  if (stopped) return fail(Errc::kCancelled, "reduce: stopped");
  double rate = 0;
  for (std::size_t t = 0; t < s.places.size(); ++t) {
    if (s.places[t].wrong)
      return fail(Errc::kCorrupt,
                  fmt::format("{} {} of {} inputs: processor {} got another result than the scalar "
                              "path (ffbench cpu and ffbench mem --test look for the cause)",
                              hfreduce::dtype_name(which.dtype), hfreduce::op_name(which.op), which.inputs, s.cpus[t]));
    rate += s.places[t].rate;
  }
  return rate;
}

double reduce_bound(std::uint64_t inputs, const PlainRates& rates) noexcept {
  const auto k = static_cast<double>(inputs);
  const double seconds_per_byte = inputs == 1 ? 2 / rates.copy : 3 / rates.triad + (k - 2) / rates.read;
  return (k + 1) / seconds_per_byte;
}

}  // namespace ff::bench
