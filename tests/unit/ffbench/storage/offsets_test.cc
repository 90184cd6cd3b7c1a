// Orders of blocks: a permutation visits each once, a zipf draw has the frequencies of its law.
#include "ffbench/storage/offsets.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace ff::bench {
namespace {

TEST(Permutation, VisitsEveryBlockOnceForAnySize) {
  for (const std::uint64_t n : {1u, 2u, 3u, 4u, 5u, 16u, 17u, 255u, 256u, 257u, 1000u, 4097u})
    for (const std::uint64_t key : {0u, 1u, 99u}) {
      const Permutation order(n, key);
      std::vector<bool> seen(n);
      for (std::uint64_t i = 0; i < n; ++i) {
        const std::uint64_t at = order.at(i);
        ASSERT_LT(at, n);
        ASSERT_FALSE(seen[at]) << n << " blocks, key " << key << ": block " << at << " twice";
        seen[at] = true;
      }
    }
}

TEST(Permutation, DependsOnItsKeyAndLeavesFewNeighboursTogether) {
  constexpr std::uint64_t n = 10'000;
  const Permutation a(n, 1), b(n, 2);
  int equal = 0, adjacent = 0;
  for (std::uint64_t i = 0; i < n; ++i) equal += a.at(i) == b.at(i);
  for (std::uint64_t i = 1; i < n; ++i) adjacent += a.at(i) == a.at(i - 1) + 1;
  // Of random permutations both counts are Poisson with mean 1.
  EXPECT_LE(equal, 10);
  EXPECT_LE(adjacent, 10);
}

TEST(Permutation, ReachesTheEndOfALargeDevice) {
  constexpr std::uint64_t n = (std::uint64_t{1} << 52) + 12345;
  const Permutation order(n, 7);
  std::uint64_t largest = 0;
  for (std::uint64_t i = 0; i < 1000; ++i) largest = std::max(largest, order.at(i));
  EXPECT_LT(largest, n);
  EXPECT_GT(largest, n / 100 * 98);
}

TEST(Zipf, DrawsRanksWithTheFrequenciesOfItsLaw) {
  for (const double theta : {0.5, 0.99, 1.0, 1.2, 2.5}) {
    constexpr std::uint64_t n = 100, draws = 400'000;
    const Zipf zipf(n, theta);
    Rng rng(5);
    std::vector<double> seen(n);
    for (std::uint64_t i = 0; i < draws; ++i) ++seen.at(zipf.draw(rng));
    double all = 0;
    for (std::uint64_t k = 1; k <= n; ++k) all += std::pow(static_cast<double>(k), -theta);
    double chi_square = 0;
    for (std::uint64_t k = 1; k <= n; ++k) {
      const double expected = draws * std::pow(static_cast<double>(k), -theta) / all;
      chi_square += (seen[k - 1] - expected) * (seen[k - 1] - expected) / expected;
    }
    // 99 degrees of freedom: 99.99 % of right generators stay below 160.
    EXPECT_LT(chi_square, 160) << "theta " << theta;
  }
}

TEST(Zipf, OfOneBlockAlwaysDrawsIt) {
  Rng rng(1);
  const Zipf zipf(1, 1.1);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(zipf.draw(rng), 0u);
}

}  // namespace
}  // namespace ff::bench
