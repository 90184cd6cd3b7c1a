// The loops of STREAM over one register type. Everything is in an unnamed namespace: each including file is compiled
// with flags of its own, and no copy of one may serve another.
//
//   Ops   Vector (a vector of doubles), stream(double*, Vector), fence()
#pragma once

#include "ffbench/compute/stream_kernels.hpp"

namespace ff::bench {
namespace {

template <class Ops>
struct StreamLoops {
  using Vector = typename Ops::Vector;
  static constexpr std::size_t kLanes = sizeof(Vector) / sizeof(double);

  static Vector load(const double* from) { return *reinterpret_cast<const Vector*>(from); }
  static Vector spread(double value) {
    Vector all;
    for (std::size_t i = 0; i < kLanes; ++i) all[i] = value;
    return all;
  }

  // to[i] = compute(i) over whole lines: write combining wants the parts of a line back to back.
  template <bool NonTemporal, class Compute>
  [[gnu::always_inline]] static void fill(double* to, std::size_t count, Compute compute) {
    constexpr std::size_t kStep = 16;  // doubles: two lines
    for (std::size_t i = 0; i < count; i += kStep) {
#pragma GCC unroll 16
      for (std::size_t j = 0; j < kStep; j += kLanes) {
        if constexpr (NonTemporal)
          Ops::stream(to + i + j, compute(i + j));
        else
          *reinterpret_cast<Vector*>(to + i + j) = compute(i + j);
      }
    }
    if constexpr (NonTemporal) Ops::fence();
  }
  template <class Compute>
  [[gnu::always_inline]] static void put(double* to, std::size_t count, bool non_temporal, Compute compute) {
    if (non_temporal)
      fill<true>(to, count, compute);
    else
      fill<false>(to, count, compute);
  }

  static void copy(double* to, const double* from, std::size_t count, bool non_temporal) {
    put(to, count, non_temporal, [=](std::size_t i) __attribute__((always_inline)) { return load(from + i); });
  }
  static void scale(double* to, const double* from, double s, std::size_t count, bool non_temporal) {
    const Vector factor = spread(s);
    put(to, count, non_temporal, [=](std::size_t i) __attribute__((always_inline)) { return factor * load(from + i); });
  }
  static void add(double* to, const double* x, const double* y, std::size_t count, bool non_temporal) {
    put(to, count, non_temporal,
        [=](std::size_t i) __attribute__((always_inline)) { return load(x + i) + load(y + i); });
  }
  static void triad(double* to, const double* x, const double* y, double s, std::size_t count, bool non_temporal) {
    const Vector factor = spread(s);
    put(to, count, non_temporal,
        [=](std::size_t i) __attribute__((always_inline)) { return load(x + i) + factor * load(y + i); });
  }
  static void write(double* to, double value, std::size_t count, bool non_temporal) {
    const Vector all = spread(value);
    put(to, count, non_temporal, [=](std::size_t) __attribute__((always_inline)) { return all; });
  }
  static double read(const double* from, std::size_t count) {
    constexpr std::size_t kSums = 8;
    Vector sums[kSums] = {};
    for (std::size_t i = 0; i < count; i += kSums * kLanes) {
#pragma GCC unroll 8
      for (std::size_t j = 0; j < kSums; ++j) sums[j] += load(from + i + j * kLanes);
    }
    double sum = 0;
    for (std::size_t j = 0; j < kSums; ++j) {
      for (std::size_t lane = 0; lane < kLanes; ++lane) sum += sums[j][lane];
    }
    return sum;
  }

  static constexpr StreamKernels kernels(const char* name) { return {name, copy, scale, add, triad, read, write}; }
};

}  // namespace
}  // namespace ff::bench
