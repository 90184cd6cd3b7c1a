#include "ffbench/storage/offsets.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace ff::bench {
namespace {

std::uint64_t mix(std::uint64_t value) noexcept {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ull;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebull;
  return value ^ (value >> 31);
}

}  // namespace

Permutation::Permutation(std::uint64_t n, std::uint64_t key) noexcept : n_(n) {
  const auto bits = static_cast<unsigned>(std::bit_width(n > 1 ? n - 1 : 1));
  half_bits_ = (bits + 1) / 2;
  Rng rng(key);
  for (auto& each : keys_) each = rng.next();
}

std::uint64_t Permutation::once(std::uint64_t value) const noexcept {
  const std::uint64_t mask = (std::uint64_t{1} << half_bits_) - 1;
  std::uint64_t left = value >> half_bits_, right = value & mask;
  for (const std::uint64_t key : keys_) {
    const std::uint64_t next = left ^ (mix(right + key) & mask);
    left = right;
    right = next;
  }
  return left << half_bits_ | right;
}

// The domain is at most four times n, so that four steps lead back inside on average.
std::uint64_t Permutation::at(std::uint64_t i) const noexcept {
  do i = once(i);
  while (i >= n_);
  return i;
}

Zipf::Zipf(std::uint64_t n, double theta) noexcept : n_(static_cast<double>(n)), theta_(theta) {
  first_ = integral(1.5) - 1;
  last_ = integral(n_ + 0.5);
  shortcut_ = 2 - inverse(integral(2.5) - h(2));
}

double Zipf::h(double x) const noexcept { return std::exp(-theta_ * std::log(x)); }

double Zipf::integral(double x) const noexcept {
  const double log_x = std::log(x);
  const double t = (1 - theta_) * log_x;
  return std::abs(t) > 1e-8 ? std::expm1(t) / t * log_x : (1 + t / 2) * log_x;
}

double Zipf::inverse(double area) const noexcept {
  const double t = std::max((1 - theta_) * area, -1.0);
  return std::exp(std::abs(t) > 1e-8 ? std::log1p(t) / t * area : (1 - t / 2) * area);
}

std::uint64_t Zipf::draw(Rng& rng) const noexcept {
  for (;;) {
    const double area = last_ + rng.uniform() * (first_ - last_);
    const double x = inverse(area);
    const double k = std::clamp(std::floor(x + 0.5), 1.0, n_);
    if (k - x <= shortcut_ || area >= integral(k + 0.5) - h(k)) return static_cast<std::uint64_t>(k) - 1;
  }
}

}  // namespace ff::bench
