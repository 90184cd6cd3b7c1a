#include "ffbench/faults/civil_time.hpp"

#include <gtest/gtest.h>

namespace ff::bench {
namespace {

// Seconds since 1970, as `date -u -d ... +%s` prints them.
constexpr std::int64_t kNoon20230419 = 1'681'905'600;

TEST(CivilTime, ReadsMonthsDaysAndInstants) {
  EXPECT_EQ(parse_time("2023-04-19T12:00:00Z")->ns, kNoon20230419 * kSecondNs);
  EXPECT_EQ(parse_time("2023-04-19 12:00:00")->ns, kNoon20230419 * kSecondNs);
  EXPECT_EQ(parse_time("2023-04-19T14:00:00+02:00")->ns, kNoon20230419 * kSecondNs);
  EXPECT_EQ(parse_time("2023-04-19T07:00:00-0500")->ns, kNoon20230419 * kSecondNs);
  EXPECT_EQ(parse_time("2023-04-19T12:00:00,25Z")->ns, kNoon20230419 * kSecondNs + kSecondNs / 4);
  const auto day = parse_time("2023/4/19");
  ASSERT_TRUE(day.has_value());
  EXPECT_EQ(day->precision, TimePrecision::kDay);
  EXPECT_EQ(day->ns, (kNoon20230419 - 12 * 3600) * kSecondNs);
  EXPECT_EQ(parse_time("2023-10")->precision, TimePrecision::kMonth);
}

TEST(CivilTime, RefusesWhatIsNoTime) {
  for (const char* text :
       {"", "2023", "2023-13", "2023-02-30", "2023-04-19T25:00:00", "2023-04-19T12:60:00", "19/4/2023", "2023-04/19",
        "2023-04-19T12:00:00X", "1969-12-31", "2200-01-01", "2023-04-19T12:00:00+99:00"})
    EXPECT_FALSE(parse_time(text).has_value()) << text;
}

TEST(CivilTime, PrintsWhatItReads) {
  for (const char* text : {"2023-04-19T12:00:00Z", "2024-02-29T23:59:59.000000001Z", "1970-01-01T00:00:00.5Z"})
    EXPECT_EQ(instant_text(parse_time(text)->ns), text);
  EXPECT_EQ(day_text(kNoon20230419 * kSecondNs), "2023-04-19");
  EXPECT_EQ(month_text(kNoon20230419 * kSecondNs), "2023-04");
}

TEST(CivilTime, EndsMonthsAndDaysWhereTheNextBegins) {
  EXPECT_EQ(instant_text(end_of_unit(parse_time("2024-02")->ns, TimePrecision::kMonth)), "2024-03-01T00:00:00Z");
  EXPECT_EQ(instant_text(end_of_unit(parse_time("2023-12-31")->ns, TimePrecision::kDay)), "2024-01-01T00:00:00Z");
}

}  // namespace
}  // namespace ff::bench
