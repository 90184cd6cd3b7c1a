#include "ffbench/compute/gemm.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <vector>

#include "ffbench/compute/known_product.hpp"
#include "ffbench/compute/own_gemm.hpp"

namespace ff::bench {
namespace {

constexpr auto kShort = std::chrono::milliseconds(1);

std::vector<GemmEngine> engines() {
  return have_blas() ? std::vector{GemmEngine::kOwn, GemmEngine::kBlas} : std::vector{GemmEngine::kOwn};
}

// The definition, in whole numbers.
TEST(KnownProduct, FormulaIsTheSumOfProducts) {
  for (const std::int64_t n : {1, 2, 17, 40}) {
    const KnownProduct known(n, 7);
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = 0; j < n; ++j) {
        std::int64_t sum = 0;
        for (std::int64_t p = 0; p < n; ++p)
          sum += static_cast<std::int64_t>(known.a_at(i, p)) * static_cast<std::int64_t>(known.b_at(p, j));
        ASSERT_EQ(known.c_at(i, j), static_cast<float>(sum)) << n << ": " << i << ", " << j;
      }
    }
  }
}

TEST(KnownProduct, LargestSumsAreExactInFp32) {
  const KnownProduct known(kGemmOrderMax, 3);
  for (std::int64_t i = 0; i < kGemmOrderMax; i += 97) EXPECT_LT(known.c_at(i, i), 16777216.0f);
}

TEST(KnownProduct, ChecksSeeEveryBitOfAnyElement) {
  constexpr std::int64_t kOrder = 20;
  const KnownProduct known(kOrder, 1);
  std::vector<float> c(kOrder * kOrder);
  for (std::int64_t i = 0; i < kOrder; ++i) {
    for (std::int64_t j = 0; j < kOrder; ++j) c[static_cast<std::size_t>(i * kOrder + j)] = known.c_at(i, j);
  }
  EXPECT_EQ(known.check_c(c.data(), 16).count, 0u);
  EXPECT_TRUE(known.check_sums(c.data()).rows.empty());
  EXPECT_TRUE(known.check_sums(c.data()).columns.empty());
  for (int bit = 0; bit < 32; ++bit) {
    std::vector<float> bad = c;
    bad[3 * kOrder + 11] = std::bit_cast<float>(std::bit_cast<std::uint32_t>(bad[3 * kOrder + 11]) ^ (1u << bit));
    const auto differences = known.check_c(bad.data(), 16);
    ASSERT_EQ(differences.count, 1u) << bit;
    EXPECT_EQ(differences.places[0].row, 3);
    EXPECT_EQ(differences.places[0].column, 11);
    const auto sums = known.check_sums(bad.data());
    EXPECT_TRUE(sums.cross_at({3, 11})) << bit;
    EXPECT_EQ(sums.rows.size(), 1u) << bit;
    EXPECT_EQ(sums.columns.size(), 1u) << bit;
  }
}

TEST(OwnGemm, EveryTileGivesTheKnownProductForOrdersAroundItsEdges) {
  for (const GemmTile* const* tile = gemm_tiles(); *tile != nullptr; ++tile) {
    for (const std::int64_t n : {16, 17, 31, 32, 33, 42, 257, 300}) {
      const KnownProduct known(n, static_cast<std::uint64_t>(n));
      std::vector<float> a(static_cast<std::size_t>(n * n)), b(a), c(a.size(), -1.0f);
      known.fill_a(a.data());
      known.fill_b(b.data());
      OwnGemm(**tile, n).multiply(a.data(), b.data(), c.data());
      EXPECT_EQ(known.check_c(c.data(), 1).count, 0u) << (*tile)->name << " " << n;
    }
  }
}

TEST(StressGemm, IsCleanOnEveryProcessor) {
  for (const GemmEngine engine : engines()) {
    const auto report = stress_gemm({.order = 100, .engine = engine}, kShort, {});
    ASSERT_TRUE(report) << report.error().message();
    EXPECT_EQ(report->wrong, 0u);
    EXPECT_EQ(report->checksums_wrong, 0u);
    EXPECT_GE(report->products, report->cpus.size());
    EXPECT_EQ(report->elements_checked, report->products * 30000);
    EXPECT_EQ(report->flops_per_cpu.size(), report->cpus.size());
    EXPECT_GT(report->flops, 0);
  }
}

TEST(StressGemm, NamesAFlippedBitOfTheResult) {
  for (const GemmEngine engine : engines()) {
    for (const int bit : {0, 12, 23, 31}) {
      const auto report =
          stress_gemm({.order = 64,
                       .inject = GemmInjection{.where = GemmOperand::kC, .row = 60, .column = 2, .bit = bit},
                       .engine = engine},
                      kShort, {});
      ASSERT_TRUE(report) << report.error().message();
      EXPECT_EQ(report->wrong, 1u) << bit;
      EXPECT_EQ(report->checksums_wrong, 2u) << "a row and a column; bit " << bit;
      ASSERT_EQ(report->first.size(), 1u);
      const GemmFault& fault = report->first[0];
      EXPECT_EQ(fault.cpu, report->cpus[0]);
      EXPECT_EQ(fault.where, GemmOperand::kC);
      EXPECT_EQ(fault.row, 60);
      EXPECT_EQ(fault.column, 2);
      EXPECT_EQ(std::bit_cast<std::uint32_t>(fault.expected) ^ std::bit_cast<std::uint32_t>(fault.found), 1u << bit);
      EXPECT_TRUE(fault.checksum_agrees);
    }
  }
}

// The additions went wrong, no element is: only the sums can tell.
TEST(StressGemm, CountsWrongSumsOfRightElements) {
  for (const GemmEngine engine : engines()) {
    const auto report =
        stress_gemm({.order = 64,
                     .inject = GemmInjection{.where = GemmOperand::kSums, .row = 11, .column = 30, .bit = 22},
                     .engine = engine},
                    kShort, {});
    ASSERT_TRUE(report) << report.error().message();
    EXPECT_EQ(report->wrong, 0u);
    EXPECT_TRUE(report->first.empty());
    EXPECT_EQ(report->checksums_wrong, 2u) << "a row and a column";
  }
}

// The lowest bit of an operand is rounded away in the products: only the comparison of operands sees it.
TEST(StressGemm, NamesAFlippedBitOfAnOperand) {
  for (const GemmEngine engine : engines()) {
    for (const GemmOperand where : {GemmOperand::kA, GemmOperand::kB}) {
      for (const int bit : {0, 20, 23}) {
        const auto report = stress_gemm(
            {.order = 64, .inject = GemmInjection{.where = where, .row = 5, .column = 7, .bit = bit}, .engine = engine},
            kShort, {});
        ASSERT_TRUE(report) << report.error().message();
        EXPECT_GE(report->wrong, 1u) << bit;
        ASSERT_FALSE(report->first.empty());
        EXPECT_EQ(report->first[0].where, where) << "the cause before its consequences";
        EXPECT_EQ(report->first[0].row, 5);
        EXPECT_EQ(report->first[0].column, 7);
        if (bit == 20) EXPECT_GT(report->checksums_wrong, 0u) << "a high bit reaches the result";
      }
    }
  }
}

TEST(StressGemm, RefusesWhatItCannotDo) {
  EXPECT_EQ(stress_gemm({.order = 8}, kShort, {}).error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(stress_gemm({.order = 5000}, kShort, {}).error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(stress_gemm({.cpus = {4000}}, kShort, {}).error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(stress_gemm({.order = 64, .inject = GemmInjection{.row = 64}}, kShort, {}).error().code(),
            Errc::kInvalidArgument);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(stress_gemm({.order = 64}, kShort, stop.get_token()).error().code(), Errc::kCancelled);
}

}  // namespace
}  // namespace ff::bench
