#include "ffbench/compute/collective_rows.hpp"

#include <gtest/gtest.h>

namespace ff::bench {
namespace {

std::string report(std::string_view rows) {
  return R"({"schema":"ff.perf/1","collective":"all_reduce","ranks":4,"buffers":"window","transport":"auto",)"
         R"("algorithm":"auto","rows":[)" +
         std::string(rows) + "]}";
}

constexpr std::string_view kRow =
    R"({"size_bytes":1048576,"count":262144,"type":"float","redop":"sum","time_us":100.5,"algbw_GBps":10.4,)"
    R"("busbw_GBps":15.6,"wrong":0,"in_place_time_us":90,"in_place_algbw_GBps":11.6,"in_place_busbw_GBps":17.4,)"
    R"("in_place_wrong":2})";

TEST(CollectiveRows, AReportBecomesRowsInBaseUnits) {
  const auto reading = read_collective_report(report(kRow));
  ASSERT_TRUE(reading) << reading.error().message();
  ASSERT_EQ(reading->rows.size(), 2u);
  EXPECT_EQ(reading->wrong, 2u);
  const Row& row = reading->rows[0];
  EXPECT_EQ(row.name, "all_reduce bytes=1MiB");
  ASSERT_EQ(row.metrics.size(), 4u);
  EXPECT_EQ(row.metrics[0].name, "time");
  EXPECT_DOUBLE_EQ(row.metrics[0].samples.at(0), 100500);
  EXPECT_DOUBLE_EQ(row.metrics[1].samples.at(0), 10.4e9);
  EXPECT_DOUBLE_EQ(row.metrics[2].samples.at(0), 15.6e9);
  EXPECT_EQ(reading->rows[1].name, "all_reduce bytes=1MiB in-place");
}

TEST(CollectiveRows, WithoutInPlaceAndChecksThereIsLess) {
  const auto reading = read_collective_report(
      report(R"({"size_bytes":8,"type":"float","redop":"none","time_us":1,"algbw_GBps":1,"busbw_GBps":1,"wrong":null,)"
             R"("in_place_time_us":null})"));
  ASSERT_TRUE(reading) << reading.error().message();
  ASSERT_EQ(reading->rows.size(), 1u);
  EXPECT_EQ(reading->rows[0].metrics.size(), 3u);
}

TEST(CollectiveRows, SamplesOfOneNameComeTogether) {
  std::vector<Row> rows;
  for (int i = 0; i < 3; ++i) merge_rows(rows, read_collective_report(report(kRow))->rows);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].metrics[0].samples.size(), 3u);
}

TEST(CollectiveRows, RefusesWhatIsNoReport) {
  for (const std::string& text :
       {std::string(""), std::string("{}"), std::string(R"({"schema":"ff.other/1"})"), report("7"), report("{}"),
        report(R"({"size_bytes":8,"type":1,"redop":"sum","time_us":1,"algbw_GBps":1,"busbw_GBps":1})")})
    EXPECT_EQ(read_collective_report(text).error().code(), Errc::kCorrupt) << text;
}

}  // namespace
}  // namespace ff::bench
