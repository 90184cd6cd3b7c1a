// Tables VII and VIII of the Fire-Flyer AI-HPC paper: their facts stand here, the sums are what the code must find.
#include "ffbench/faults/failure_stats.hpp"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "ffbench/faults/failure_generator.hpp"
#include "ffbench/faults/poisson.hpp"

namespace ff::bench {
namespace {

std::vector<Failure> table7() {
  struct Month {
    const char* name;
    std::uint64_t counts[7];
  };
  constexpr const char* kClasses[] = {"main_memory", "network", "xid_63", "xid_64", "xid_79", "xid_94", "xid_95"};
  constexpr Month kMonths[] = {{"2023-10", {4, 29, 21, 0, 0, 0, 0}}, {"2023-11", {14, 8, 22, 0, 0, 4, 0}},
                               {"2023-12", {8, 17, 21, 0, 4, 2, 2}}, {"2024-01", {11, 9, 16, 1, 3, 1, 1}},
                               {"2024-02", {8, 12, 18, 0, 2, 0, 3}}, {"2024-03", {9, 14, 22, 0, 6, 0, 0}}};
  std::vector<Failure> failures;
  FailureReader reader("table7", failures);
  EXPECT_TRUE(reader.add_line("month,class,count").has_value());
  for (const Month& month : kMonths)
    for (int i = 0; i < 7; ++i)
      EXPECT_TRUE(reader.add_line(fmt::format("{},{},{}", month.name, kClasses[i], month.counts[i])).has_value());
  return failures;
}

std::vector<Failure> flash_cuts() {
  std::vector<Failure> failures;
  EXPECT_TRUE(read_failures(FF_FLASHCUTS, failures).has_value());
  return failures;
}

TEST(FailureStats, SumsTable7) {
  const auto failures = table7();
  EXPECT_EQ(total_of(failures), 292u);
  EXPECT_EQ(monthly_sums(failures),
            (std::map<std::string, std::uint64_t>{
                {"2023-10", 54}, {"2023-11", 48}, {"2023-12", 54}, {"2024-01", 42}, {"2024-02", 43}, {"2024-03", 51}}));
  EXPECT_EQ(class_sums(failures), (std::map<std::string, std::uint64_t>{{"main_memory", 54},
                                                                        {"network", 89},
                                                                        {"xid_63", 120},
                                                                        {"xid_64", 1},
                                                                        {"xid_79", 15},
                                                                        {"xid_94", 7},
                                                                        {"xid_95", 6}}));
  EXPECT_EQ(fmt::format("{:.1f}", 100.0 * 89 / 292), "30.5");
  EXPECT_DOUBLE_EQ(span_of(failures)->hours(), 183 * 24);
  EXPECT_EQ(fmt::format("{:.2f}", mean_time_between(292, span_of(failures)->hours()).hours), "15.04");
  EXPECT_TRUE(gaps_between(failures).hours.empty());  // months say nothing of times between
  EXPECT_TRUE(daily_counts(failures, *span_of(failures)).empty());
}

TEST(FailureStats, SumsTable8) {
  const auto failures = flash_cuts();
  EXPECT_EQ(failures.size(), 101u);
  EXPECT_EQ(total_of(failures), 213u);
  EXPECT_EQ(monthly_sums(failures), (std::map<std::string, std::uint64_t>{{"2023-04", 8},
                                                                          {"2023-05", 30},
                                                                          {"2023-06", 13},
                                                                          {"2023-07", 39},
                                                                          {"2023-08", 30},
                                                                          {"2023-09", 20},
                                                                          {"2023-10", 13},
                                                                          {"2023-11", 8},
                                                                          {"2023-12", 17},
                                                                          {"2024-01", 9},
                                                                          {"2024-02", 12},
                                                                          {"2024-03", 14}}));
  EXPECT_EQ(days_with(failures, 5), (std::map<std::string, std::uint64_t>{{"2023-05-27", 8},
                                                                          {"2023-05-28", 10},
                                                                          {"2023-07-07", 10},
                                                                          {"2023-07-12", 10},
                                                                          {"2023-08-31", 7},
                                                                          {"2023-09-21", 7},
                                                                          {"2023-12-07", 5},
                                                                          {"2023-12-24", 5},
                                                                          {"2024-02-03", 5}}));
  EXPECT_DOUBLE_EQ(span_of(failures)->hours(), 348 * 24);
  // Variance over mean of the 348 daily counts, computed apart from this code.
  const auto dispersion = dispersion_of(daily_counts(failures, *span_of(failures)));
  EXPECT_NEAR(dispersion.index, 3.3176523115639207, 1e-6);
  EXPECT_TRUE(dispersion.clustered);
}

// Network failures of Table VII and flash cuts of Table VIII agree in every month but one.
TEST(FailureStats, FindsTheMonthInWhichThePapersTablesDisagree) {
  std::vector<Failure> network;
  for (const Failure& failure : table7())
    if (failure.fault_class == "network") network.push_back(failure);
  const auto differences = month_differences(network, flash_cuts());
  ASSERT_EQ(differences.size(), 1u);
  EXPECT_EQ(differences[0].month, "2023-10");
  EXPECT_EQ(differences[0].here, 29u);
  EXPECT_EQ(differences[0].there, 13u);
}

TEST(FailureStats, SpreadsTheFailuresOfADay) {
  const std::vector<Failure> failures{{.time_ns = 0, .precision = TimePrecision::kDay, .count = 2},
                                      {.time_ns = kDayNs, .precision = TimePrecision::kDay, .count = 1}};
  const Gaps gaps = gaps_between(failures);  // at 6 and 18 o'clock, and at 12 of the next day
  EXPECT_TRUE(gaps.spread);
  ASSERT_EQ(gaps.hours.size(), 2u);
  EXPECT_DOUBLE_EQ(gaps.hours[0], 12);
  EXPECT_DOUBLE_EQ(gaps.hours[1], 18);
}

TEST(FailureStats, CountsFailuresAtOneInstant) {
  const std::vector<Failure> failures{{.time_ns = 0}, {.time_ns = 0}, {.time_ns = kHourNs}};
  const Gaps gaps = gaps_between(failures);
  EXPECT_EQ(gaps.at_once, 1u);
  EXPECT_GT(gaps.hours[0], 0);
}

// The generated half years must behave as Poisson counts with the paper's means: a total within 4 standard deviations
// (one false alarm in 16,000), classes too, and over many seeds the mean time between failures of the paper.
TEST(FailureGenerator, ReplaysTheCountsOfThePaper) {
  const std::map<std::string, double> expected{{"main_memory", 54}, {"network", 89}, {"xid_63", 120}, {"xid_64", 1},
                                               {"xid_79", 15},      {"xid_94", 7},   {"xid_95", 6}};
  constexpr int kSeeds = 40;
  std::map<std::string, double> sums;
  double total = 0;
  for (int seed = 0; seed < kSeeds; ++seed) {
    const auto made = generate_failures(paper_rates(), {.days = 183, .seed = static_cast<std::uint64_t>(seed)});
    ASSERT_TRUE(made.has_value());
    EXPECT_NEAR(static_cast<double>(made->size()), 292, 4 * std::sqrt(292.0)) << seed;
    EXPECT_TRUE(std::ranges::is_sorted(*made, {}, &Failure::time_ns));
    for (const Failure& failure : *made) sums[failure.fault_class] += 1;
    total += static_cast<double>(made->size());
  }
  for (const auto& [name, mean] : expected)
    EXPECT_NEAR(sums[name] / kSeeds, mean, 4 * std::sqrt(mean / kSeeds)) << name;
  EXPECT_NEAR(183 * 24 * kSeeds / total, 15.04, 15.04 * 4 / std::sqrt(292.0 * kSeeds));
}

TEST(FailureGenerator, RepeatsItselfFromASeed) {
  const GeneratorOptions options{.begin_ns = 5 * kDayNs, .days = 30, .nodes = 3, .seed = 9};
  const auto first = generate_failures(paper_rates(), options), second = generate_failures(paper_rates(), options);
  ASSERT_EQ(first->size(), second->size());
  for (std::size_t i = 0; i < first->size(); ++i) {
    EXPECT_EQ((*first)[i].time_ns, (*second)[i].time_ns);
    EXPECT_EQ((*first)[i].node, (*second)[i].node);
  }
  EXPECT_GE(first->front().time_ns, options.begin_ns);
  EXPECT_LT(first->back().time_ns, options.begin_ns + 30 * kDayNs);
}

TEST(FailureGenerator, TakesRatesFromATable) {
  const auto failures = table7();
  const auto rates = rates_of(failures, *span_of(failures));
  for (const auto& [name, rate] : paper_rates()) EXPECT_NEAR(rates.at(name), rate, 1e-12) << name;
  EXPECT_FALSE(generate_failures({}, {.days = 3}).has_value());
  EXPECT_FALSE(generate_failures({{"x", 1e9}}, {.days = 3000}).has_value());
}

}  // namespace
}  // namespace ff::bench
