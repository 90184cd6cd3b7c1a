// The memory test over models of broken memory: each kind of fault must be found where it is and called what it is, and
// memory without a fault must pass.
#include "ffbench/compute/memory_test.hpp"

#include <gtest/gtest.h>

#include <set>

#include "ffbench/compute/memory_patterns.hpp"
#include "tests/unit/ffbench/compute/faulty_memory.hpp"

namespace ff::bench {
namespace {

constexpr std::uint64_t kWords = 8192;

MemoryTestReport examine(FaultModel fault) {
  FaultyMemory memory(kWords, fault);
  MemoryTestOptions options;
  options.cpus = {0};
  const auto report = test_memory(memory, options, {});
  EXPECT_TRUE(report) << report.error().message();
  return report.value_or(MemoryTestReport());
}

TEST(MemoryTest, FindsNothingInGoodMemory) {
  const MemoryTestReport report = examine({});
  EXPECT_EQ(report.faults, 0u);
  EXPECT_TRUE(report.first.empty());
  EXPECT_TRUE(report.complete);
  EXPECT_EQ(report.bytes_tested, kWords * 8);
}

TEST(MemoryTest, NamesABitStuckAt0) {
  const MemoryTestReport report = examine({.stuck_word = 5000, .stuck_at_0 = 1ull << 17});
  ASSERT_EQ(report.first.size(), 1u) << "one word is broken";
  EXPECT_GT(report.faults, 1u) << "by more than one pattern";
  const MemoryFault& fault = report.first[0];
  EXPECT_EQ(fault.offset, 40000u);
  EXPECT_EQ(fault.flipped(), 1ull << 17);
  EXPECT_EQ(fault.kind, FaultKind::kStuckAt0);
  EXPECT_NE(describe_fault(fault).find("stuck at 0"), std::string::npos);
}

TEST(MemoryTest, NamesABitStuckAt1) {
  const MemoryTestReport report = examine({.stuck_word = 0, .stuck_at_1 = 1ull << 63});
  ASSERT_EQ(report.first.size(), 1u);
  EXPECT_EQ(report.first[0].offset, 0u);
  EXPECT_EQ(report.first[0].flipped(), 1ull << 63);
  EXPECT_EQ(report.first[0].kind, FaultKind::kStuckAt1);
}

TEST(MemoryTest, FindsEveryStuckBitOfAWord) {
  for (int bit = 0; bit < 64; ++bit) {
    EXPECT_EQ(examine({.stuck_word = 77, .stuck_at_0 = 1ull << bit}).first.size(), 1u) << "stuck at 0: " << bit;
    EXPECT_EQ(examine({.stuck_word = 77, .stuck_at_1 = 1ull << bit}).first.size(), 1u) << "stuck at 1: " << bit;
  }
}

TEST(MemoryTest, CallsALostBitAFlip) {
  const MemoryTestReport report = examine({.weak_word = 4242, .weak_write = 3});
  ASSERT_EQ(report.first.size(), 1u);
  EXPECT_EQ(report.faults, 1u);
  EXPECT_EQ(report.first[0].offset, 4242u * 8);
  EXPECT_EQ(report.first[0].flipped(), 1ull << 9);
  EXPECT_EQ(report.first[0].kind, FaultKind::kTransient);
}

TEST(MemoryTest, NamesEveryDeadAddressLine) {
  for (std::uint64_t line = 1; line < kWords; line <<= 1) {
    const MemoryTestReport report = examine({.dead_line = line});
    ASSERT_EQ(report.first.size(), kMemoryFaultsKept) << line;
    for (const MemoryFault& fault : report.first) {
      EXPECT_EQ(fault.kind, FaultKind::kAliased) << describe_fault(fault);
      ASSERT_TRUE(fault.other) << line;
      EXPECT_EQ(fault.offset ^ *fault.other, line * 8) << describe_fault(fault);
    }
    const std::string name = "(address line " + std::to_string(__builtin_ctzll(line) + 3) + ")";
    EXPECT_NE(describe_fault(report.first[0]).find(name), std::string::npos) << describe_fault(report.first[0]);
  }
}

TEST(MemoryTest, FindsAWordThatDisturbsAnother) {
  const MemoryTestReport report = examine({.aggressor = 6000, .victim = 100});
  ASSERT_EQ(report.first.size(), 1u);
  EXPECT_EQ(report.first[0].offset, 800u);
  EXPECT_EQ(report.first[0].flipped(), 1u);
}

TEST(MemoryTest, AddressLinePatternAloneNamesTheLine) {
  FaultyMemory memory(kWords, {.dead_line = 64});
  Recorder recorder(16);
  test_address_lines(memory, 1, recorder, {});
  ASSERT_GT(recorder.count(), 0u);
  EXPECT_EQ(recorder.kept()[0].word, 64u) << "one line away from the first base, which is 0";
  FaultyMemory good(kWords, {});
  Recorder none(16);
  test_address_lines(good, 1, none, {});
  EXPECT_EQ(none.count(), 0u);
}

TEST(MemoryTest, RealMemoryIsCleanAndLocatesAnInjectedFlipInEveryPattern) {
  MemoryTestOptions options;
  options.bytes = 4 << 20;
  const auto clean = test_memory(options, {});
  ASSERT_TRUE(clean) << clean.error().message();
  EXPECT_EQ(clean->faults, 0u);
  EXPECT_EQ(clean->bytes_tested, 4u << 20);
  for (const char* const pattern : {"address", "~address", "checker", "random", "inversions", "walk-1", "walk-0"}) {
    options.inject = InjectedFault{.offset = 1234567, .bit = 5, .pattern = pattern};
    const auto report = test_memory(options, {});
    ASSERT_TRUE(report) << report.error().message();
    EXPECT_EQ(report->faults, 1u) << pattern;
    ASSERT_EQ(report->first.size(), 1u) << pattern;
    EXPECT_EQ(report->first[0].pattern, pattern);
    EXPECT_EQ(report->first[0].offset, 1234560u) << "the word that holds the byte";
    EXPECT_EQ(report->first[0].flipped(), 1ull << (7 * 8 + 5)) << "byte 7 of its word";
    EXPECT_EQ(report->first[0].kind, FaultKind::kTransient);
  }
}

TEST(MemoryTest, CountsAllFaultsAndKeepsTheFirst) {
  const MemoryTestReport report = examine({.dead_line = 1});
  EXPECT_GE(report.faults, kWords / 2) << "half the words hold another's address";
  EXPECT_EQ(report.first.size(), kMemoryFaultsKept);
  std::set<std::uint64_t> offsets;
  for (const MemoryFault& fault : report.first) offsets.insert(fault.offset);
  EXPECT_EQ(offsets.size(), kMemoryFaultsKept) << "a word is listed once";
}

TEST(MemoryTest, AStopEndsItAndIsSaid) {
  std::stop_source stop;
  stop.request_stop();
  FaultyMemory memory(kWords, {});
  const auto report = test_memory(memory, {}, stop.get_token());
  ASSERT_TRUE(report);
  EXPECT_FALSE(report->complete);
  EXPECT_EQ(report->bytes_moved, 0u);
}

TEST(MemoryTest, RefusesWhatItCannotDo) {
  const auto code = [](MemoryTestOptions options) {
    const auto report = test_memory(options, {});
    return report ? "none" : std::string(errc_name(report.error().code()));
  };
  EXPECT_EQ(code({.bytes = 4096}), "invalid_argument");
  EXPECT_EQ(code({.bytes = 1 << 20, .passes = 0}), "invalid_argument");
  EXPECT_EQ(code({.bytes = 1 << 20, .walk_steps = 65}), "invalid_argument");
  EXPECT_EQ(code({.bytes = 1 << 20, .cpus = {4000}}), "invalid_argument");
  EXPECT_EQ(code({.bytes = 1 << 20, .inject = InjectedFault{.offset = 1 << 20}}), "invalid_argument");
  EXPECT_EQ(code({.bytes = 1 << 20, .inject = InjectedFault{.bit = 8}}), "invalid_argument");
  EXPECT_EQ(code({.bytes = 1 << 20, .inject = InjectedFault{.pattern = "stripes"}}), "invalid_argument");
  EXPECT_EQ(code({.bytes = 1ull << 60}), "exhausted");
}

TEST(MemoryTest, DefaultLeavesMemoryForOthers) {
  EXPECT_EQ(default_test_bytes(16ull << 30), 12ull << 30);
  EXPECT_EQ(default_test_bytes(128ull << 20), 64ull << 20);
  EXPECT_EQ(default_test_bytes(64ull << 20), 0u);
}

}  // namespace
}  // namespace ff::bench
