// Two matrices whose product is known without multiplying them, and the checks against it; see gemm.hpp for the sums.
// Threads: const methods from any.
#pragma once

#include <cstdint>
#include <vector>

namespace ff::bench {

inline constexpr std::int64_t kGemmOrderMax = 4096;

class KnownProduct {
 public:
  // REQUIRES: 1 <= order <= kGemmOrderMax.
  KnownProduct(std::int64_t order, std::uint64_t seed);

  std::int64_t order() const noexcept { return order_; }
  float a_at(std::int64_t row, std::int64_t column) const noexcept;
  float b_at(std::int64_t row, std::int64_t column) const noexcept;
  float c_at(std::int64_t row, std::int64_t column) const noexcept;
  void fill_a(float* a) const noexcept;
  void fill_b(float* b) const noexcept;

  struct Place {
    std::int64_t row;
    std::int64_t column;
  };
  // The elements that are not bit for bit as they should be; those beyond `places_max` are counted only.
  struct Differences {
    std::uint64_t count = 0;
    std::vector<Place> places;
  };
  Differences check_a(const float* a, std::size_t places_max) const;
  Differences check_b(const float* b, std::size_t places_max) const;
  Differences check_c(const float* c, std::size_t places_max) const;

  // ABFT: rows and columns of c whose sums are not what the vectors give.
  struct BadSums {
    std::vector<std::int64_t> rows;
    std::vector<std::int64_t> columns;
    bool cross_at(Place place) const noexcept;
  };
  BadSums check_sums(const float* c) const;

 private:
  std::int64_t order_;
  std::vector<std::int32_t> u_, v_, x_, y_;  // 1..3, 0..4, 1..3, 0..4
  std::int32_t sum_u_ = 0, sum_v_ = 0, sum_x_ = 0, sum_y_ = 0;
  std::int32_t sum_vx_ = 0;
};

}  // namespace ff::bench
