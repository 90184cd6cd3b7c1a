// Which block comes next: orders of blocks 0..n-1, seeded, in constant memory.
//
// Permutation  A bijection of 0..n-1 by a Feistel network over the next even number of bits, walked until it falls
// inside
//              (Black and Rogaway, "Ciphers with arbitrary finite domains", 2002): every block once, no map of those
//              done.
// Zipf         Rank k with probability proportional to 1 / k^theta, by rejection-inversion (Hörmann and Derflinger,
//              "Rejection-inversion to generate variates from monotone discrete distributions", 1996).
// Threads      As plain objects.
#pragma once

#include <cstdint>

#include "libcommon/base/rng.hpp"

namespace ff::bench {

class Permutation {
 public:
  // REQUIRES: n > 0.
  Permutation(std::uint64_t n, std::uint64_t key) noexcept;
  // REQUIRES: i < n. The result is below n, and differs for different i.
  std::uint64_t at(std::uint64_t i) const noexcept;

 private:
  std::uint64_t once(std::uint64_t value) const noexcept;

  std::uint64_t n_;
  unsigned half_bits_;
  std::uint64_t keys_[4];
};

class Zipf {
 public:
  // REQUIRES: n > 0, theta > 0.
  Zipf(std::uint64_t n, double theta) noexcept;
  // A rank in 0..n-1; 0 is the most frequent.
  std::uint64_t draw(Rng& rng) const noexcept;

 private:
  double h(double x) const noexcept;         // x^-theta
  double integral(double x) const noexcept;  // of h from 1 to x
  double inverse(double area) const noexcept;

  double n_, theta_, first_, last_, shortcut_;
};

}  // namespace ff::bench
