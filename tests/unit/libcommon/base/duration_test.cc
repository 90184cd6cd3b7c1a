#include "libcommon/base/duration.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>

namespace ff {
namespace {

using std::chrono::nanoseconds;

TEST(ParseDuration, ReadsEveryUnit) {
  const std::pair<const char*, std::int64_t> cases[] = {{"0", 0},
                                                        {"100ns", 100},
                                                        {"250us", 250'000},
                                                        {"5ms", 5'000'000},
                                                        {"3s", 3'000'000'000},
                                                        {"10m", 600'000'000'000},
                                                        {"10min", 600'000'000'000},
                                                        {"1.5h", 5'400'000'000'000},
                                                        {"2d", 172'800'000'000'000},
                                                        {"0.000000001s", 1},
                                                        {"9223372036854775807ns", INT64_MAX}};
  for (const auto& [text, ns] : cases) EXPECT_EQ(parse_duration(text).value_or(nanoseconds(-1)).count(), ns) << text;
}

TEST(ParseDuration, ReadsCompoundsAsPrinted) {
  EXPECT_EQ(parse_duration("2h3m").value_or(nanoseconds(0)), std::chrono::minutes(123));
  EXPECT_EQ(parse_duration("1m30s").value_or(nanoseconds(0)), std::chrono::seconds(90));
  EXPECT_EQ(parse_duration("1d0h").value_or(nanoseconds(0)), std::chrono::hours(24));
}

TEST(ParseDuration, RefusesTheUnclear) {
  for (const char* text : {"",
                           "5",
                           "-1s",
                           "+1s",
                           "1 s",
                           " 1s",
                           "s",
                           "1.s",
                           ".5s",
                           "1.5",
                           "1y",
                           "1S",
                           "0.5ns",
                           "1e3s",
                           "9223372036854775808ns",
                           "106752d",
                           "1..5s",
                           "3m2h",
                           "1h1h",
                           "1.5h2m",
                           "1h1.5m",
                           "1h2",
                           "99999999999999999999999999s"}) {
    const auto result = parse_duration(text);
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().code(), Errc::kInvalidArgument) << text;
  }
}

TEST(FormatDuration, ShowsThreeDigitsOrTwoUnits) {
  EXPECT_EQ(format_duration(nanoseconds(0)), "0ns");
  EXPECT_EQ(format_duration(nanoseconds(999)), "999ns");
  EXPECT_EQ(format_duration(nanoseconds(250'000)), "250us");
  EXPECT_EQ(format_duration(nanoseconds(1'500'000'000)), "1.5s");
  EXPECT_EQ(format_duration(std::chrono::minutes(123)), "2h3m");
  EXPECT_EQ(format_duration(std::chrono::seconds(90)), "1m30s");
  EXPECT_EQ(format_duration(std::chrono::hours(49)), "2d1h");
  EXPECT_EQ(format_duration(nanoseconds(-1'000)), "-1us");
}

TEST(FormatDuration, RoundsUpIntoTheNextUnit) {
  EXPECT_EQ(format_duration(nanoseconds(999'600)), "1ms");
  EXPECT_EQ(format_duration(nanoseconds(999'600'000)), "1s");
  EXPECT_EQ(format_duration(nanoseconds(59'999'000'000)), "1m0s");
}

TEST(FormatDuration, ReadsBackWithinTheDigitsShown) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 20000; ++i) {
    const auto ns = static_cast<std::int64_t>(random() >> (1 + random() % 63));
    const auto back = parse_duration(format_duration(nanoseconds(ns)));
    ASSERT_TRUE(back) << ns;
    // Two units above a minute cut off less than the smaller one; a minute at worst for hours, an hour for days.
    const double slack = ns >= 86'400'000'000'000  ? 3.6e12
                         : ns >= 3'600'000'000'000 ? 6e10
                                                   : static_cast<double>(ns) * 0.017;
    EXPECT_NEAR(static_cast<double>(back->count()), static_cast<double>(ns), slack) << ns;
  }
}

TEST(FormatDuration, ReadsBackExactlyWhenTheDigitsSuffice) {
  for (std::int64_t unit : {1LL, 1'000LL, 1'000'000LL, 1'000'000'000LL})
    for (std::int64_t n = 1; n < (unit == 1'000'000'000 ? 60 : 1000); ++n)
      EXPECT_EQ(parse_duration(format_duration(nanoseconds(n * unit))).value_or(nanoseconds(-1)).count(), n * unit);
}

TEST(ExactDuration, ReadsBackAsTheSameTime) {
  EXPECT_EQ(exact_duration(std::chrono::seconds(90)), "1m30s");
  EXPECT_EQ(exact_duration(std::chrono::nanoseconds(1'234'567)), "1234567ns");  // 1.23ms would be another time
}

}  // namespace
}  // namespace ff
