#include "ffbench/faults/poisson.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "libcommon/base/rng.hpp"

namespace ff::bench {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int kTermsMax = 100'000;
constexpr double kPrecision = 1e-15;
constexpr int kResamples = 2000;
constexpr std::uint64_t kSeed = 0x6469'7370;

// x^a e^-x / Gamma(a), without overflow.
double gamma_weight(double a, double x) { return std::exp(a * std::log(x) - x - std::lgamma(a)); }

// The series of P, which converges fast for x below a.
double gamma_series(double a, double x) {
  double term = 1 / a;
  double sum = term;
  for (int n = 1; n < kTermsMax && term > sum * kPrecision; ++n) sum += term *= x / (a + n);
  return sum * gamma_weight(a, x);
}

// The continued fraction of Q = 1 - P, by Lentz's method.
double gamma_fraction(double a, double x) {
  constexpr double kTiny = 1e-300;
  double b = x + 1 - a;
  double c = 1 / kTiny;
  double d = 1 / b;
  double value = d;
  for (int n = 1; n < kTermsMax; ++n) {
    const double an = -n * (n - a);
    b += 2;
    d = an * d + b;
    if (std::abs(d) < kTiny) d = kTiny;
    c = b + an / c;
    if (std::abs(c) < kTiny) c = kTiny;
    d = 1 / d;
    const double change = d * c;
    value *= change;
    if (std::abs(change - 1) < kPrecision) break;
  }
  return value * gamma_weight(a, x);
}

double index_of(std::span<const std::uint64_t> counts) {
  const auto n = static_cast<double>(counts.size());
  double total = 0;
  for (const std::uint64_t count : counts) total += static_cast<double>(count);
  const double mean = total / n;
  double squares = 0;
  for (const std::uint64_t count : counts) squares += std::pow(static_cast<double>(count) - mean, 2);
  return squares / (n - 1) / mean;
}

Interval bootstrap_index(std::span<const std::uint64_t> counts, double confidence) {
  Rng rng(kSeed);
  std::vector<std::uint64_t> drawn(counts.size());
  std::vector<double> indices;
  for (int i = 0; i < kResamples; ++i) {
    for (auto& count : drawn) count = counts[rng.below(counts.size())];
    const double index = index_of(drawn);
    if (std::isfinite(index)) indices.push_back(index);  // a resample of zeros alone says nothing
  }
  if (indices.empty()) return {kNan, kNan};
  std::ranges::sort(indices);
  const auto at = [&](double q) {
    return indices[static_cast<std::size_t>(q * static_cast<double>(indices.size() - 1))];
  };
  return {at((1 - confidence) / 2), at((1 + confidence) / 2)};
}

}  // namespace

double gamma_p(double a, double x) {
  if (x <= 0) return 0;
  return x < a + 1 ? gamma_series(a, x) : 1 - gamma_fraction(a, x);
}

double chi_squared_tail(double x, double degrees) {
  const double a = degrees / 2;
  if (x <= 0) return 1;
  return x / 2 < a + 1 ? 1 - gamma_series(a, x / 2) : gamma_fraction(a, x / 2);
}

double chi_squared_cdf(double x, double degrees) { return gamma_p(degrees / 2, x / 2); }

double chi_squared_quantile(double q, double degrees) {
  double low = 0;
  double high = degrees + 10;
  while (chi_squared_cdf(high, degrees) < q) high *= 2;
  for (int i = 0; i < 200 && high - low > 1e-12 * high; ++i) {
    const double middle = (low + high) / 2;
    (chi_squared_cdf(middle, degrees) < q ? low : high) = middle;
  }
  return (low + high) / 2;
}

Interval poisson_mean_interval(std::uint64_t count, double confidence) {
  const auto n = static_cast<double>(count);
  const double tail = (1 - confidence) / 2;
  return {count == 0 ? 0.0 : chi_squared_quantile(tail, 2 * n) / 2, chi_squared_quantile(1 - tail, 2 * n + 2) / 2};
}

Mtbf mean_time_between(std::uint64_t failures, double span_hours, double confidence) {
  const Interval mean = poisson_mean_interval(failures, confidence);
  return {.hours = failures == 0 ? kInfinity : span_hours / static_cast<double>(failures),
          .hours_interval = {span_hours / mean.high, mean.low == 0 ? kInfinity : span_hours / mean.low}};
}

Dispersion dispersion_of(std::span<const std::uint64_t> counts, double confidence) {
  const bool empty = std::ranges::all_of(counts, [](std::uint64_t count) { return count == 0; });
  if (counts.size() < 2 || empty) return {kNan, {kNan, kNan}, {kNan, kNan}, kNan, false};
  const auto degrees = static_cast<double>(counts.size() - 1);
  const double tail = (1 - confidence) / 2;
  Dispersion found;
  found.index = index_of(counts);
  found.interval = bootstrap_index(counts, confidence);
  found.under_poisson = {chi_squared_quantile(tail, degrees) / degrees,
                         chi_squared_quantile(1 - tail, degrees) / degrees};
  found.p_value = chi_squared_tail(found.index * degrees, degrees);
  found.clustered = found.index > found.under_poisson.high;
  return found;
}

}  // namespace ff::bench
