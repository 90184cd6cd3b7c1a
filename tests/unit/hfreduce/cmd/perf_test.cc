// The benchmark's pure parts: sizes, bandwidth factors (nccl-tests' definitions), test data, fits.
#include <gtest/gtest.h>

#include <cstring>

#include "hfreduce/cmd/perf_case.hpp"
#include "hfreduce/cmd/perf_measure.hpp"
#include "hfreduce/cmd/perf_pattern.hpp"
#include "hfreduce/cmd/tree_text.hpp"
#include "hfreduce/cmd/tune_fit.hpp"
#include "hfreduce/cmd/tuned_file.hpp"

namespace ff::hfreduce::cmd {
namespace {

TEST(PerfCase, BusbwFactorsAreNcclTests) {
  EXPECT_DOUBLE_EQ(perf_case(Collective::kAllReduce, 4, DType::kFloat32, 4096).factor, 1.5);
  EXPECT_DOUBLE_EQ(perf_case(Collective::kAllGather, 4, DType::kFloat32, 4096).factor, 0.75);
  EXPECT_DOUBLE_EQ(perf_case(Collective::kBroadcast, 4, DType::kFloat32, 4096).factor, 1);
}

TEST(PerfCase, CountsAndBuffers) {
  const PerfCase gather = perf_case(Collective::kAllGather, 4, DType::kFloat32, 4096);
  EXPECT_EQ(gather.count, 256u);
  EXPECT_EQ(gather.send_bytes, 1024u);
  EXPECT_EQ(gather.recv_bytes, 4096u);
  const PerfCase scatter = perf_case(Collective::kReduceScatter, 3, DType::kFloat64, 100);
  EXPECT_EQ(scatter.count, 4u);  // 12 whole elements, 4 each, a multiple of 16 bytes
  EXPECT_EQ(scatter.size, 96u);
  EXPECT_EQ(perf_case(Collective::kAllToAll, 8, DType::kFloat32, 4).count, 1u);
}

TEST(PerfSizes, StepByFactorOrBytesAndEnd) {
  EXPECT_EQ(perf_sizes(8, 64, 2, 0), (std::vector<std::uint64_t>{8, 16, 32, 64}));
  EXPECT_EQ(perf_sizes(10, 35, 2, 10), (std::vector<std::uint64_t>{10, 20, 30}));
  EXPECT_EQ(perf_sizes(1ull << 63, ~0ull, 2, 0).size(), 1u);
}

TEST(EncodeSmallInteger, KnownPatterns) {
  auto bits = [](DType type, std::int64_t value) {
    std::uint64_t out = 0;
    encode_small_integer(type, value, reinterpret_cast<std::byte*>(&out));
    return out;
  };
  EXPECT_EQ(bits(DType::kFloat32, 1), 0x3f800000u);
  EXPECT_EQ(bits(DType::kFloat32, -3), 0xc0400000u);
  EXPECT_EQ(bits(DType::kFloat16, 2048), 0x6800u);
  EXPECT_EQ(bits(DType::kBfloat16, 3), 0x4040u);
  EXPECT_EQ(bits(DType::kFloat8E4M3, 1), 0x38u);
  EXPECT_EQ(bits(DType::kFloat8E5M2, 1), 0x3cu);
  EXPECT_EQ(bits(DType::kFloat64, 0), 0u);
  EXPECT_EQ(bits(DType::kInt32, -1), 0xffffffffu);
}

TEST(PerfPattern, CountsEachWrongElementOnce) {
  const PerfPattern pattern(DType::kFloat32, ReduceOp::kSum, 2, false);
  std::vector<std::byte> data(40000);
  pattern.fill(1, 77, data);
  EXPECT_EQ(pattern.count_wrong(1, 77, data), 0u);
  data[8] ^= std::byte{1};
  data[10] ^= std::byte{1};  // the same element
  data[39996] ^= std::byte{1};
  EXPECT_EQ(pattern.count_wrong(1, 77, data), 2u);
  EXPECT_GT(pattern.count_wrong(1, 78, data), 5000u);  // shifted by one
  EXPECT_GT(pattern.count_wrong(0, 77, data), 5000u);  // another rank's
}

// The sum of the inputs, added as floats in any order, must be the expectation.
TEST(PerfPattern, ReductionIsExact) {
  for (const int ranks : {1, 2, 3, 16, 40}) {
    const PerfPattern pattern(DType::kFloat32, ReduceOp::kSum, ranks, true);
    std::vector<float> sum(5000), input(5000);
    for (int rank = ranks - 1; rank >= 0; --rank) {
      pattern.fill(rank, 0, std::as_writable_bytes(std::span(input)));
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += input[i];
    }
    EXPECT_EQ(pattern.count_wrong_reduced(0, std::as_bytes(std::span(sum))), 0u) << ranks;
  }
}

TEST(PerfPattern, SmallIntegersDoNotWrapInSums) {
  const PerfPattern pattern(DType::kInt8, ReduceOp::kSum, 200, true);
  std::vector<std::int64_t> sum(1000);
  std::vector<std::int8_t> input(1000), wrapped(1000);
  for (int rank = 0; rank < 200; ++rank) {
    pattern.fill(rank, 0, std::as_writable_bytes(std::span(input)));
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += input[i];
  }
  for (std::size_t i = 0; i < sum.size(); ++i) {
    EXPECT_LE(sum[i], 127);
    wrapped[i] = static_cast<std::int8_t>(sum[i]);
  }
  EXPECT_EQ(pattern.count_wrong_reduced(0, std::as_bytes(std::span(wrapped))), 0u);
}

TEST(Summarise, MedianAndSpread) {
  const PerfTimes times = summarise({5, 1, 3, 2, 100});
  EXPECT_EQ(times.median_s, 3);
  EXPECT_EQ(times.min_s, 1);
  EXPECT_EQ(times.max_s, 100);
  EXPECT_EQ(times.p99_s, 100);
}

TEST(FitLine, FindsLatencyAndBandwidth) {
  std::vector<TunePoint> points;
  for (const std::uint64_t bytes : {64u, 4096u, 1u << 20, 1u << 24}) points.push_back({bytes, 5e-6 + bytes / 2e9});
  const TuneFit fit = fit_line(points);
  EXPECT_NEAR(fit.alpha_s, 5e-6, 1e-9);
  EXPECT_NEAR(fit.beta_Bps, 2e9, 1e6);
  EXPECT_GE(fit_line({{1000, 1e-6}, {2000, 4e-6}}).alpha_s, 0);
}

TEST(Choose, NeedsAClearWin) {
  const std::vector<TunePoint> base = {{1, 1.0}, {2, 2.0}};
  EXPECT_EQ(choose({base, {{1, 0.97}, {2, 1.94}}}, 0.05), 0u);
  EXPECT_EQ(choose({base, {{1, 0.9}, {2, 1.8}}, {}, {{1, 0.8}, {2, 1.6}}}, 0.05), 3u);
}

TEST(Crossover, StopsAtTheFirstLoss) {
  EXPECT_EQ(crossover({{64, 1}, {128, 2}, {256, 5}, {512, 1}}, {{64, 2}, {128, 2}, {256, 4}, {512, 8}}), 128u);
  EXPECT_EQ(crossover({{64, 3}}, {{64, 2}}), 0u);
}

TEST(TunedFile, SurvivesWritingAndRefusesOtherKeys) {
  const TunedValues values = {{"HFR_ALGO", "direct"}, {"HFR_FLAT_MAX", "4KiB"}};
  EXPECT_EQ(parse_tuned(format_tuned(values, "two\nlines")).value(), values);
  EXPECT_TRUE(parse_tuned(format_tuned({}, "")).value().empty());
  EXPECT_EQ(parse_tuned("HFR_ALGO: \"tree\"  # why\n")->at("HFR_ALGO"), "tree");
  for (const char* bad : {"HFR_TOKEN: x\n", "HFR_ALGO\n", "HFR_ALGO: \n", "HFR_ALGO: a\nHFR_ALGO: b\n", "- x\n"})
    EXPECT_FALSE(parse_tuned(bad)) << bad;
}

TEST(Shape, Parses) {
  EXPECT_EQ(parse_shape("4x8")->ranks_per_host, 8);
  EXPECT_EQ(parse_shape("16")->hosts, 16);
  for (const char* bad : {"", "x", "4x", "0x8", "4x0", "4x8x2", "-1x2"}) EXPECT_FALSE(parse_shape(bad)) << bad;
}

}  // namespace
}  // namespace ff::hfreduce::cmd
