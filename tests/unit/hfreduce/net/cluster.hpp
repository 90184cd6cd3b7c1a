// A group of NetEngines over 127.0.0.1, one thread a rank, with a failure source that the test can read; and a plain
// reference of every combination, written from the definition in types.hpp.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "hfreduce/cpu/float_formats.hpp"
#include "hfreduce/net/net_engine.hpp"
#include "libcommon/base/rng.hpp"

namespace ff::hfreduce::testing {

inline constexpr int kGlobalBase = 100;  // group rank r is rank 100 + r of the communicator

class FakeFailure final : public FailureSource {
 public:
  bool failed() const noexcept override { return failed_.load(std::memory_order_acquire); }
  Error verdict() const override {
    std::lock_guard lock(mutex_);
    return Error(Errc::kUnavailable, first_.detail);
  }
  Error report(const Trouble& trouble) override {
    std::lock_guard lock(mutex_);
    if (!failed_.load(std::memory_order_relaxed)) first_ = trouble;
    failed_.store(true, std::memory_order_release);
    return Error(Errc::kUnavailable, first_.detail);
  }
  Trouble first() const {
    std::lock_guard lock(mutex_);
    return first_;
  }

 private:
  mutable std::mutex mutex_;
  Trouble first_;
  std::atomic<bool> failed_{false};
};

struct Cluster {
  explicit Cluster(int n, const std::function<void(NetOptions&)>& tweak = {}) : size(n) {
    const std::string token = "00112233445566778899aabbccddeeff";
    NetOptions options;
    options.size = n;
    options.token = token;
    options.failure = &failure;
    for (int r = 0; r < n; ++r) {
      listeners.push_back(std::move(*NetListener::create("127.0.0.1", token)));
      options.global_ranks.push_back(kGlobalBase + r);
      options.endpoints.push_back(listeners.back()->endpoint());
      options.same_machine.push_back(true);
    }
    options.oversubscribed = n > static_cast<int>(std::thread::hardware_concurrency());
    if (tweak) tweak(options);
    for (int r = 0; r < n; ++r) {
      options.rank = r;
      auto engine = NetEngine::create(options, *listeners[static_cast<std::size_t>(r)]);
      if (!engine) ADD_FAILURE() << engine.error().message();
      engines.push_back(std::move(*engine));
    }
  }
  void each(const std::function<void(int, NetEngine&)>& body) {
    std::vector<std::thread> threads;
    for (int r = 0; r < size; ++r) threads.emplace_back([&, r] { body(r, *engines[static_cast<std::size_t>(r)]); });
    for (auto& thread : threads) thread.join();
  }

  int size;
  FakeFailure failure;
  std::vector<std::unique_ptr<NetListener>> listeners;
  std::vector<std::unique_ptr<NetEngine>> engines;
};

using Bytes = std::vector<std::byte>;

inline Deadline soon() { return Deadline::after(std::chrono::seconds(30)); }

inline Result<> run(NetEngine& engine, OpDesc op, const Gate& gate = {}) {
  Progress progress;
  op.signature = op_signature(op);
  if (op.deadline.when() == Deadline::Clock::time_point{}) op.deadline = soon();
  return engine.run(op, progress, gate);
}

inline double decode(DType dtype, const std::byte* at) {
  std::uint16_t half = 0;
  float f = 0;
  double d = 0;
  switch (dtype) {
    case DType::kFloat32: std::memcpy(&f, at, 4); return f;
    case DType::kFloat64: std::memcpy(&d, at, 8); return d;
    case DType::kFloat16: std::memcpy(&half, at, 2); return cpu::fp16_to_float(half);
    case DType::kBfloat16: std::memcpy(&half, at, 2); return cpu::bf16_to_float(half);
    case DType::kFloat8E4M3: return cpu::e4m3_to_float(static_cast<std::uint8_t>(*at));
    case DType::kFloat8E5M2: return cpu::e5m2_to_float(static_cast<std::uint8_t>(*at));
    default: return 0;
  }
}

inline void encode(DType dtype, double value, std::byte* at) {
  const auto f = static_cast<float>(value);
  std::uint16_t half = 0;
  switch (dtype) {
    case DType::kFloat32: std::memcpy(at, &f, 4); break;
    case DType::kFloat64: std::memcpy(at, &value, 8); break;
    case DType::kFloat16: half = cpu::float_to_fp16(f), std::memcpy(at, &half, 2); break;
    case DType::kBfloat16: half = cpu::float_to_bf16(f), std::memcpy(at, &half, 2); break;
    case DType::kFloat8E4M3: *at = static_cast<std::byte>(cpu::float_to_e4m3(f)); break;
    case DType::kFloat8E5M2: *at = static_cast<std::byte>(cpu::float_to_e5m2(f)); break;
    default: break;
  }
}

inline bool is_integer(DType dtype) { return static_cast<int>(dtype) >= static_cast<int>(DType::kInt8); }

// The input of `rank` in a call: any bits for integers, values about 1 for the others.
inline Bytes make_input(DType dtype, std::uint64_t count, int rank, std::uint64_t seq) {
  Rng rng(seq * 1000 + static_cast<std::uint64_t>(rank));
  const std::uint64_t width = dtype_size(dtype);
  Bytes out(count * width);
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t bits = rng.next();
    if (is_integer(dtype))
      std::memcpy(out.data() + i * width, &bits, width);
    else
      encode(dtype, (rng.uniform() + 0.5) * ((bits & 1) != 0 ? 1 : -1), out.data() + i * width);
  }
  return out;
}

// One operation in the accumulator's type (float for float and narrower, as the library promises).
template <class T>
T combine2(ReduceOp op, T a, T b) {
  switch (op) {
    case ReduceOp::kMin: return a < b ? a : b;
    case ReduceOp::kMax: return a > b ? a : b;
    case ReduceOp::kProd: return static_cast<T>(a * b);
    default: return static_cast<T>(a + b);
  }
}

// T(lo, n) of types.hpp.
template <class T>
T pairwise(ReduceOp op, const std::vector<T>& in, std::size_t lo, std::size_t n) {
  if (n == 1) return in[lo];
  std::size_t m = 1;
  while (2 * m < n) m *= 2;
  return combine2(op, pairwise(op, in, lo, m), pairwise(op, in, lo + m, n - m));
}

template <class T>
void reference_int(ReduceOp op, const std::vector<const std::byte*>& in, std::byte* out) {
  using Wide = std::make_unsigned_t<T>;
  const bool ordered = op == ReduceOp::kMin || op == ReduceOp::kMax;
  std::vector<T> values(in.size());
  for (std::size_t r = 0; r < in.size(); ++r) std::memcpy(&values[r], in[r], sizeof(T));
  T result = values[0];
  for (std::size_t r = 1; r < in.size(); ++r)
    result = ordered ? combine2(op, result, values[r])
                     : static_cast<T>(op == ReduceOp::kProd
                                          ? std::uint64_t{static_cast<Wide>(result)} * static_cast<Wide>(values[r])
                                          : std::uint64_t{static_cast<Wide>(result)} + static_cast<Wide>(values[r]));
  if (op == ReduceOp::kAvg) result = static_cast<T>(result / static_cast<T>(in.size()));
  std::memcpy(out, &result, sizeof(T));
}

inline Bytes reference(DType dtype, ReduceOp op, const std::vector<Bytes>& inputs) {
  const std::uint64_t width = dtype_size(dtype);
  Bytes out(inputs[0].size());
  std::vector<const std::byte*> at(inputs.size());
  for (std::uint64_t i = 0; i < out.size(); i += width) {
    for (std::size_t r = 0; r < inputs.size(); ++r) at[r] = inputs[r].data() + i;
    switch (dtype) {
      case DType::kInt8: reference_int<std::int8_t>(op, at, &out[i]); continue;
      case DType::kUint8: reference_int<std::uint8_t>(op, at, &out[i]); continue;
      case DType::kInt32: reference_int<std::int32_t>(op, at, &out[i]); continue;
      case DType::kInt64: reference_int<std::int64_t>(op, at, &out[i]); continue;
      default: break;
    }
    if (dtype == DType::kFloat64) {
      std::vector<double> values;
      for (const auto* p : at) values.push_back(decode(dtype, p));
      double result = pairwise(op, values, 0, values.size());
      if (op == ReduceOp::kAvg) result /= static_cast<double>(values.size());
      encode(dtype, result, &out[i]);
    } else {
      std::vector<float> values;
      for (const auto* p : at) values.push_back(static_cast<float>(decode(dtype, p)));
      float result = pairwise(op, values, 0, values.size());
      if (op == ReduceOp::kAvg) result /= static_cast<float>(values.size());
      encode(dtype, result, &out[i]);
    }
  }
  return out;
}

}  // namespace ff::hfreduce::testing
