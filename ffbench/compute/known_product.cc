// c[i][j] = sum over p of (u_i + v_p)(x_p + y_j) = u_i X + order u_i y_j + S + y_j V. With u, x in 1..3 and v, y in
// 0..4 no product of elements is above 49, so no sum above 49 x 4096 = 200704: far below 2^24, all exact.
#include "ffbench/compute/known_product.hpp"

#include <algorithm>
#include <bit>
#include <numeric>

#include "libcommon/base/rng.hpp"

namespace ff::bench {
namespace {

std::vector<std::int32_t> small_numbers(std::int64_t count, std::int32_t low, std::int32_t high, Rng& rng) {
  std::vector<std::int32_t> values(static_cast<std::size_t>(count));
  for (std::int32_t& value : values)
    value = low + static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(high - low + 1)));
  return values;
}

std::int32_t sum(const std::vector<std::int32_t>& values) { return std::accumulate(values.begin(), values.end(), 0); }

// Compares a matrix row by row; `at` gives the element of a row. The first look is a loop without exits, which becomes
// vectors; a row that differs is looked at again.
template <class RowOf>
KnownProduct::Differences differences(const float* matrix, std::int64_t order, std::size_t places_max, RowOf row_of) {
  KnownProduct::Differences found;
  for (std::int64_t i = 0; i < order; ++i) {
    const auto expected = row_of(i);
    const float* const row = matrix + i * order;
    std::uint32_t bad = 0;
    for (std::int64_t j = 0; j < order; ++j)
      bad |= std::bit_cast<std::uint32_t>(expected(j)) ^ std::bit_cast<std::uint32_t>(row[j]);
    if (bad == 0) continue;
    for (std::int64_t j = 0; j < order; ++j) {
      if (std::bit_cast<std::uint32_t>(expected(j)) == std::bit_cast<std::uint32_t>(row[j])) continue;
      ++found.count;
      if (found.places.size() < places_max) found.places.push_back({i, j});
    }
  }
  return found;
}

}  // namespace

KnownProduct::KnownProduct(std::int64_t order, std::uint64_t seed) : order_(order) {
  Rng rng(seed);
  u_ = small_numbers(order, 1, 3, rng);
  v_ = small_numbers(order, 0, 4, rng);
  x_ = small_numbers(order, 1, 3, rng);
  y_ = small_numbers(order, 0, 4, rng);
  sum_u_ = sum(u_);
  sum_v_ = sum(v_);
  sum_x_ = sum(x_);
  sum_y_ = sum(y_);
  sum_vx_ = std::inner_product(v_.begin(), v_.end(), x_.begin(), 0);
}

float KnownProduct::a_at(std::int64_t row, std::int64_t column) const noexcept {
  return static_cast<float>(u_[static_cast<std::size_t>(row)] + v_[static_cast<std::size_t>(column)]);
}
float KnownProduct::b_at(std::int64_t row, std::int64_t column) const noexcept {
  return static_cast<float>(x_[static_cast<std::size_t>(row)] + y_[static_cast<std::size_t>(column)]);
}
float KnownProduct::c_at(std::int64_t row, std::int64_t column) const noexcept {
  const std::int32_t u = u_[static_cast<std::size_t>(row)];
  const std::int32_t y = y_[static_cast<std::size_t>(column)];
  return static_cast<float>(u * sum_x_ + sum_vx_ + y * (static_cast<std::int32_t>(order_) * u + sum_v_));
}

void KnownProduct::fill_a(float* a) const noexcept {
  for (std::int64_t i = 0; i < order_; ++i) {
    for (std::int64_t p = 0; p < order_; ++p) a[i * order_ + p] = a_at(i, p);
  }
}
void KnownProduct::fill_b(float* b) const noexcept {
  for (std::int64_t p = 0; p < order_; ++p) {
    for (std::int64_t j = 0; j < order_; ++j) b[p * order_ + j] = b_at(p, j);
  }
}

KnownProduct::Differences KnownProduct::check_a(const float* a, std::size_t places_max) const {
  return differences(a, order_, places_max, [this](std::int64_t i) {
    return
        [u = u_[static_cast<std::size_t>(i)], v = v_.data()](std::int64_t p) { return static_cast<float>(u + v[p]); };
  });
}
KnownProduct::Differences KnownProduct::check_b(const float* b, std::size_t places_max) const {
  return differences(b, order_, places_max, [this](std::int64_t p) {
    return
        [x = x_[static_cast<std::size_t>(p)], y = y_.data()](std::int64_t j) { return static_cast<float>(x + y[j]); };
  });
}
KnownProduct::Differences KnownProduct::check_c(const float* c, std::size_t places_max) const {
  return differences(c, order_, places_max, [this](std::int64_t i) {
    const std::int32_t u = u_[static_cast<std::size_t>(i)];
    const std::int32_t base = u * sum_x_ + sum_vx_;
    const std::int32_t slope = static_cast<std::int32_t>(order_) * u + sum_v_;
    return [base, slope, y = y_.data()](std::int64_t j) { return static_cast<float>(base + slope * y[j]); };
  });
}

// Sums in double: whole numbers below 2^36 and the last bit of any fp32 near them are exact; what is not finite or
// far off is unequal in any case.
KnownProduct::BadSums KnownProduct::check_sums(const float* c) const {
  const auto n = static_cast<std::size_t>(order_);
  std::vector<double> columns(n);
  BadSums bad;
  const double order = static_cast<double>(order_);
  for (std::size_t i = 0; i < n; ++i) {
    const float* const row = c + i * n;
    double total = 0;
    for (std::size_t j = 0; j < n; ++j) {
      total += static_cast<double>(row[j]);
      columns[j] += static_cast<double>(row[j]);
    }
    const double expected = order * u_[i] * sum_x_ + order * sum_vx_ + sum_y_ * (order * u_[i] + sum_v_);
    if (!(total == expected)) bad.rows.push_back(static_cast<std::int64_t>(i));
  }
  for (std::size_t j = 0; j < n; ++j) {
    const double expected =
        static_cast<double>(sum_u_) * sum_x_ + order * sum_vx_ + y_[j] * (order * sum_u_ + order * sum_v_);
    if (!(columns[j] == expected)) bad.columns.push_back(static_cast<std::int64_t>(j));
  }
  return bad;
}

bool KnownProduct::BadSums::cross_at(Place place) const noexcept {
  return std::find(rows.begin(), rows.end(), place.row) != rows.end() &&
         std::find(columns.begin(), columns.end(), place.column) != columns.end();
}

}  // namespace ff::bench
