#include "ffbench/measure/noise.hpp"

#include <gtest/gtest.h>

namespace ff::bench {
namespace {

Row row_of(std::string name, std::vector<double> samples) {
  return {.name = std::move(name),
          .parameters = {},
          .metrics = {{"bandwidth", "B/s", Better::kHigher, "", std::move(samples)}}};
}

bool mentions(const std::vector<std::string>& warnings, const std::string& what) {
  for (const std::string& warning : warnings)
    if (warning.find(what) != std::string::npos) return true;
  return false;
}

TEST(NoiseWarnings, AQuietMachineHasNone) {
  const NoiseFacts quiet{.load = LoadShares{0.02, 0.005},
                         .governor = "performance",
                         .clock_source = "tsc",
                         .frequencies_hz = {3.0e9, 3.1e9}};
  const std::vector<Row> rows = {row_of("a", {100, 101, 99})};
  EXPECT_TRUE(noise_warnings(quiet, rows).empty());
  EXPECT_TRUE(noise_warnings({}, {}).empty());
}

TEST(NoiseWarnings, EachFactHasItsOwn) {
  EXPECT_TRUE(mentions(noise_warnings({.load = LoadShares{0.2, 0}}, {}), "other processes used 20%"));
  EXPECT_TRUE(mentions(noise_warnings({.load = LoadShares{0, 0.03}}, {}), "gave 3.0% of the processor time"));
  EXPECT_TRUE(mentions(noise_warnings({.governor = "powersave"}, {}), "'powersave'"));
  EXPECT_TRUE(mentions(noise_warnings({.clock_source = "hpet"}, {}), "'hpet'"));
  EXPECT_TRUE(mentions(noise_warnings({.frequencies_hz = {2e9, 3e9, 3e9}}, {}), "moved by 33%"));
}

TEST(NoiseWarnings, RoundsThatDisagreeAreNamed) {
  const std::vector<Row> rows = {row_of("quiet", {100, 104, 96}), row_of("loud", {100, 130, 90}),
                                 row_of("two", {1, 9})};
  const auto warnings = noise_warnings({}, rows);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_EQ(warnings[0].rfind("loud: bandwidth: rounds differ by 40%", 0), 0u) << warnings[0];
}

TEST(NoiseWarnings, ManyLoudRowsAreCounted) {
  std::vector<Row> rows;
  for (int i = 0; i < 12; ++i) rows.push_back(row_of("r" + std::to_string(i), {1, 2, 3}));
  const auto warnings = noise_warnings({}, rows);
  EXPECT_EQ(warnings.size(), 6u);
  EXPECT_EQ(warnings.back().rfind("7 more metrics", 0), 0u);
}

}  // namespace
}  // namespace ff::bench
