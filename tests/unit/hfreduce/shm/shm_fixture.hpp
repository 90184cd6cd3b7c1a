// What the tests of the shared-memory engine share: a failure source that records, a group of ranks as threads, and a
// serial reference of every collective that follows op.hpp's words and not the engine's code.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <bit>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "hfreduce/shm/shm_engine.hpp"

namespace ff::hfreduce::shm_test {

using namespace std::chrono_literals;

// Fails only when told to; what is reported becomes the verdict.
class FakeFailure final : public FailureSource {
 public:
  bool failed() const noexcept override { return failed_.load(); }
  Error verdict() const override { return {Errc::kCancelled, "told to fail"}; }
  Error report(const Trouble& trouble) override {
    const std::lock_guard lock(mutex_);
    reports_.push_back(trouble);
    return {trouble.kind == Trouble::Kind::kMismatch ? Errc::kInvalidArgument : Errc::kTimeout, trouble.detail};
  }
  void tell_to_fail() { failed_ = true; }
  std::vector<Trouble> reports() const {
    const std::lock_guard lock(mutex_);
    return reports_;
  }

 private:
  std::atomic<bool> failed_{false};
  mutable std::mutex mutex_;
  std::vector<Trouble> reports_;
};

inline std::string fresh_token() {
  static std::atomic<int> count{0};
  return "shm-test-token-" + std::to_string(::getpid()) + "-" + std::to_string(count++);
}

// Global ranks are 10, 11, ...: so that a test sees whether messages name ranks of the communicator.
inline ShmOptions options_for(int rank, int size, FailureSource& failure) {
  ShmOptions out;
  out.rank = rank;
  out.size = size;
  for (int r = 0; r < size; ++r) out.global_ranks.push_back(10 + r);
  out.ordinary = ShmPath::kStaged;
  out.arena_bytes = 16 << 20;
  out.failure = &failure;
  return out;
}

// Runs body(rank) on a thread for each rank.
inline void on_ranks(int size, const std::function<void(int)>& body) {
  std::vector<std::jthread> threads;
  for (int r = 0; r < size; ++r) threads.emplace_back([&body, r] { body(r); });
}

// An engine a rank, ranks as threads.
struct Ranks {
  Ranks(
      int size, const std::function<void(ShmOptions&)>& adjust = [](ShmOptions&) {})
      : failures(static_cast<std::size_t>(size)), engines(static_cast<std::size_t>(size)) {
    const std::string token = fresh_token();
    on_ranks(size, [&](int r) {
      const auto i = static_cast<std::size_t>(r);
      ShmOptions options = options_for(r, size, failures[i]);
      adjust(options);
      auto made = ShmEngine::create(options, token, Deadline::after(30s));
      if (made)
        engines[i] = std::move(*made);
      else
        ADD_FAILURE() << "rank " << r << ": " << made.error().message();
    });
  }
  ShmEngine& operator[](int rank) { return *engines[static_cast<std::size_t>(rank)]; }
  int size() const { return static_cast<int>(engines.size()); }
  bool complete() const {
    for (const auto& e : engines)
      if (!e) return false;
    return true;
  }

  std::vector<FakeFailure> failures;
  std::vector<std::unique_ptr<ShmEngine>> engines;
};

using Bytes = std::vector<std::byte>;

// Elements whose sums in any order differ in the last bits for floats, so that a wrong order shows.
inline Bytes pattern(DType dtype, std::uint64_t count, std::uint64_t seed) {
  Bytes out(count * dtype_size(dtype));
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t x = (i * 2654435761u + seed * 40503u + (seed << 7)) % 10007;
    if (dtype == DType::kFloat32) {
      const float v = static_cast<float>(x) / 7.0F - 700.0F;
      std::memcpy(out.data() + i * 4, &v, 4);
    } else if (dtype == DType::kFloat64) {
      const double v = static_cast<double>(x) / 7.0 - 700.0;
      std::memcpy(out.data() + i * 8, &v, 8);
    } else if (dtype == DType::kBfloat16) {  // 1.0 .. 1.99 in steps of 1/128: small sums stay exact in fp32
      const auto v = static_cast<std::uint16_t>(0x3f80 + x % 128);
      std::memcpy(out.data() + i * 2, &v, 2);
    } else {
      for (std::size_t b = 0; b < dtype_size(dtype); ++b)
        out[i * dtype_size(dtype) + b] = static_cast<std::byte>(x >> (4 * b));
    }
  }
  return out;
}

// T(lo, n) of types.hpp, for one element at `at` (sum only).
template <class T>
T pairwise_sum(const std::vector<Bytes>& inputs, std::size_t lo, std::size_t n, std::uint64_t at) {
  if (n == 1) {
    T v;
    std::memcpy(&v, inputs[lo].data() + at * sizeof(T), sizeof(T));
    return v;
  }
  const std::size_t m = std::bit_floor(n - 1);
  return static_cast<T>(pairwise_sum<T>(inputs, lo, m, at) + pairwise_sum<T>(inputs, lo + m, n - m, at));
}

inline float bf16_widen(std::uint16_t code) { return std::bit_cast<float>(static_cast<std::uint32_t>(code) << 16); }

inline std::uint16_t bf16_round(float value) {  // finite values only: nearest, ties to even
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

inline Bytes reference_sum(DType dtype, const std::vector<Bytes>& inputs) {
  Bytes out = inputs[0];
  const std::uint64_t count = out.size() / dtype_size(dtype);
  const auto fill = [&]<class T>(T) {
    for (std::uint64_t i = 0; i < count; ++i) {
      const T v = pairwise_sum<T>(inputs, 0, inputs.size(), i);
      std::memcpy(out.data() + i * sizeof(T), &v, sizeof(T));
    }
  };
  switch (dtype) {
    case DType::kFloat32: fill(float{}); break;
    case DType::kFloat64: fill(double{}); break;
    case DType::kUint8: fill(std::uint8_t{}); break;
    case DType::kInt8: fill(std::uint8_t{}); break;
    case DType::kInt32: fill(std::uint32_t{}); break;
    case DType::kBfloat16:
      for (std::uint64_t i = 0; i < count; ++i) {
        float sum = 0;  // exact in any order: see pattern()
        for (const Bytes& input : inputs) {
          std::uint16_t code;
          std::memcpy(&code, input.data() + i * 2, 2);
          sum += bf16_widen(code);
        }
        const std::uint16_t v = bf16_round(sum);
        std::memcpy(out.data() + i * 2, &v, 2);
      }
      break;
    default: ADD_FAILURE() << "no reference for " << dtype_name(dtype);
  }
  return out;
}

}  // namespace ff::hfreduce::shm_test
