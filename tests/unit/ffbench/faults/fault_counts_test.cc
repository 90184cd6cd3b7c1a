#include "ffbench/faults/fault_counts.hpp"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace ff::bench {
namespace {

FaultEvent xid(unsigned number, std::int64_t at_s = 0, const std::string& device = "0000:3b:00") {
  FaultEvent event;
  event.fault = xid_class(number);
  event.code = std::to_string(number);
  event.number = number;
  event.device = device;
  event.host = "h";
  event.uptime_ns = at_s * 1'000'000'000;
  return event;
}

std::string percent(double value) { return fmt::format("{:.2f}", value); }

// Table VI of the paper: counts and the shares printed there.
struct Row {
  unsigned xid;
  int count;
  const char* share;
};
constexpr Row kTable6[] = {{74, 5521, "42.57"}, {13, 45, "0.35"},  {31, 2487, "19.18"}, {43, 4342, "33.48"},
                           {45, 240, "1.85"},   {63, 245, "1.89"}, {64, 2, "0.02"},     {94, 13, "0.10"},
                           {95, 17, "0.13"},    {44, 1, "0.01"},   {48, 2, "0.02"},     {61, 13, "0.10"},
                           {62, 3, "0.02"},     {69, 1, "0.01"},   {79, 37, "0.29"},    {119, 1, "0.01"}};

TEST(FaultCounts, GivesTable6OfThePaperFromItsEvents) {
  std::vector<std::string> lines;
  for (const Row& row : kTable6)
    for (int i = 0; i < row.count; ++i)
      lines.push_back(fmt::format("[{}.5] NVRM: Xid (PCI:0000:{:02x}:00): {}, pid={}", i, i % 8, row.xid, i));
  std::ranges::shuffle(lines, std::mt19937(1));
  FaultCounts counts;
  for (const std::string& line : lines) counts.add(parse_fault(line, {}).value());
  EXPECT_EQ(counts.total(), 12'970u);
  const auto of_class = [&](FaultClass fault) { return counts.by_class()[static_cast<std::size_t>(fault)]; };
  EXPECT_EQ(of_class(FaultClass::kNvlink), 5521u);
  EXPECT_EQ(of_class(FaultClass::kSoftware), 7114u);
  EXPECT_EQ(of_class(FaultClass::kEcc), 277u);
  EXPECT_EQ(of_class(FaultClass::kUncorrectable), 57u);
  EXPECT_EQ(of_class(FaultClass::kGsp), 1u);
  EXPECT_EQ(of_class(FaultClass::kOther), 0u);
  EXPECT_EQ(percent(counts.share_percent(7114)), "54.85");
  EXPECT_EQ(percent(counts.share_percent(277)), "2.14");
  EXPECT_EQ(percent(counts.share_percent(57)), "0.44");
  for (const Row& row : kTable6) {
    const auto at = counts.by_code().find({xid_class(row.xid), row.xid, std::to_string(row.xid)});
    ASSERT_NE(at, counts.by_code().end()) << row.xid;
    EXPECT_EQ(at->second, static_cast<std::uint64_t>(row.count)) << row.xid;
    EXPECT_EQ(percent(counts.share_percent(at->second)), row.share) << row.xid;
  }
  EXPECT_EQ(counts.by_device().size(), 8u);
}

TEST(FaultCounts, LeavesOutRepeatsOnlyWhenAsked) {
  FaultCounts all;
  FaultCounts few(std::chrono::seconds(10));
  const auto both = [&](const FaultEvent& event) {
    all.add(event);
    return few.add(event);
  };
  EXPECT_TRUE(both(xid(31, 0)));
  EXPECT_FALSE(both(xid(31, 9)));
  EXPECT_FALSE(both(xid(31, 18)));  // ten seconds begin anew with each
  EXPECT_TRUE(both(xid(31, 28)));
  EXPECT_TRUE(both(xid(43, 28)));
  EXPECT_TRUE(both(xid(31, 28, "0000:5e:00")));
  EXPECT_EQ(all.total(), 6u);
  EXPECT_EQ(few.total(), 4u);
  EXPECT_EQ(few.duplicates(), 2u);
}

TEST(FaultCounts, CountsLinksThatComeUpApart) {
  FaultCounts counts;
  FaultEvent up;
  up.fault = FaultClass::kNetwork;
  up.link_up = true;
  EXPECT_FALSE(counts.add(up));
  EXPECT_EQ(counts.total(), 0u);
  EXPECT_EQ(counts.links_up(), 1u);
}

TEST(FaultCounts, StaysBoundedWithEndlessDevices) {
  FaultCounts counts(std::chrono::seconds(1));
  const std::size_t devices = FaultCounts::kKeysMax + 100;
  for (std::size_t i = 0; i < devices; ++i) counts.add(xid(31, 1, std::to_string(i)));
  EXPECT_EQ(counts.total(), devices);
  EXPECT_EQ(counts.by_device().size(), FaultCounts::kKeysMax + 1);
  EXPECT_EQ(sum(counts.by_device().at({"(others)", "(others)"})), 100u);
}

}  // namespace
}  // namespace ff::bench
