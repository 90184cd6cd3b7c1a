// The resolver against a model that remembers every write for ever and looks at all of them.
#include "libcommon/kv/resolver.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "libcommon/base/rng.hpp"
#include "libcommon/kv/key_range.hpp"

namespace ff::kv {
namespace {

using Verdict = Resolver::Verdict;

ReadSet point(std::string key) { return {.points = {std::move(key)}, .ranges = {}}; }
ReadSet range(std::string begin, std::string end) {
  return {.points = {}, .ranges = {{std::move(begin), std::move(end)}}};
}

TEST(Resolver, AWriteAfterTheSnapshotConflicts) {
  Resolver resolver(10);
  const Version version = resolver.next();
  EXPECT_EQ(version, 11U);
  resolver.wrote("k", version);
  EXPECT_EQ(resolver.check(10, point("k")), Verdict::kConflict);
  EXPECT_EQ(resolver.check(11, point("k")), Verdict::kCommit);
  EXPECT_EQ(resolver.check(10, point("j")), Verdict::kCommit);
  EXPECT_EQ(resolver.check(10, range("a", "k")), Verdict::kCommit);
  EXPECT_EQ(resolver.check(10, range("k", "")), Verdict::kConflict);
  EXPECT_EQ(resolver.check(10, {}), Verdict::kCommit);
}

TEST(Resolver, SnapshotsFromBeforeItsTimeAreTooOld) {
  Resolver resolver(10);
  EXPECT_EQ(resolver.check(9, point("k")), Verdict::kTooOld);
  EXPECT_EQ(resolver.check(9, {}), Verdict::kCommit);
}

TEST(Resolver, TheBoundOfEntriesHolds) {
  Resolver resolver(0, 100);
  for (int i = 0; i < 1000; ++i) {
    const Version version = resolver.next();
    if (i % 3 == 0) resolver.wrote(KeyRange{std::to_string(i), std::to_string(i) + "~"}, version);
    resolver.wrote(std::to_string(i), version);
    EXPECT_LE(resolver.entries(), 100U);
  }
  EXPECT_GT(resolver.floor(), 900U);
  EXPECT_EQ(resolver.check(1, point("absent")), Verdict::kTooOld);
  EXPECT_EQ(resolver.check(999, point("998")), Verdict::kCommit);
  EXPECT_EQ(resolver.check(999, point("999")), Verdict::kConflict);
}

TEST(Resolver, TheBoundOfKeyBytesHolds) {
  Resolver resolver(0, 1000, 10'000);
  for (int i = 0; i < 100; ++i) {
    const Version version = resolver.next();
    resolver.wrote(std::string(1000, 'k') + std::to_string(i % 7), version);
    resolver.wrote(KeyRange{"r", std::string(500, 's')}, version);
    EXPECT_LE(resolver.key_bytes(), 10'000U);
  }
  EXPECT_GT(resolver.floor(), 90U);
  EXPECT_EQ(resolver.check(99, range("r", "r1")), Verdict::kConflict);
  resolver.forget_before(100);
  EXPECT_EQ(resolver.key_bytes(), 0U);
}

// One that is larger than the window alone: what it wrote is not remembered, so every snapshot before it is too old.
TEST(Resolver, ACommitLargerThanTheWindowIsForgottenAsAWhole) {
  for (const bool ranges : {false, true}) {
    for (const bool by_bytes : {false, true}) {
      Resolver resolver(0, by_bytes ? 1000 : 10, by_bytes ? 100 : 10'000);
      const Version large = resolver.next();
      for (int i = 10; i < 60; ++i) {
        const std::string key = "key " + std::to_string(i);
        if (ranges) {
          resolver.wrote(KeyRange{key, key + "~"}, large);
        } else {
          resolver.wrote(key, large);
        }
        ASSERT_LE(resolver.entries(), by_bytes ? 1000U : 10U);
        ASSERT_LE(resolver.key_bytes(), by_bytes ? 100U : 10'000U);
      }
      EXPECT_EQ(resolver.check(large - 1, point("absent")), Verdict::kTooOld);
      EXPECT_EQ(resolver.check(large, point("key 59")), Verdict::kCommit);
      const Version small = resolver.next();
      resolver.wrote("key 59", small);
      EXPECT_EQ(resolver.check(large, point("key 59")), Verdict::kConflict);
      EXPECT_EQ(resolver.check(large, range("key 1", "key 5")), Verdict::kCommit);
    }
  }
}

TEST(Resolver, ChangedSinceTellsOfTheUnknownToo) {
  Resolver resolver(5);
  EXPECT_FALSE(resolver.changed_since({"a", ""}, 5));
  const Version version = resolver.next();
  resolver.wrote(KeyRange{"b", "d"}, version);
  EXPECT_TRUE(resolver.changed_since({"c", "c1"}, 5));
  EXPECT_FALSE(resolver.changed_since({"d", ""}, 5));
  EXPECT_FALSE(resolver.changed_since({"c", "c1"}, 6));
  EXPECT_TRUE(resolver.changed_since({"d", ""}, 4)) << "before its time anything may have happened";
}

struct Model {
  struct Write {
    Version version;
    KeyRange range;
  };
  std::vector<Write> writes;
  Version floor = 0;

  Verdict check(Version snapshot, const ReadSet& reads) const {
    if (reads.empty()) return Verdict::kCommit;
    if (snapshot < floor) return Verdict::kTooOld;
    std::vector<KeyRange> all = reads.ranges;
    for (const auto& key : reads.points) all.push_back(point_range(key));
    for (const Write& write : writes) {
      for (const KeyRange& read : all) {
        if (write.version > snapshot && overlaps(write.range, read)) return Verdict::kConflict;
      }
    }
    return Verdict::kCommit;
  }
};

std::string random_key(Rng& rng) {
  std::string key;
  for (std::uint64_t n = 1 + rng.below(3); n > 0; --n) key.push_back("ab\xff"[rng.below(3)]);
  if (rng.below(8) == 0) key.push_back('\0');
  return key;
}

KeyRange random_range(Rng& rng) {
  for (;;) {
    KeyRange range{rng.below(10) == 0 ? "" : random_key(rng), rng.below(6) == 0 ? "" : random_key(rng)};
    if (!range.end.empty() && range.end < range.begin) std::swap(range.begin, range.end);
    if (!is_empty(range)) return range;
  }
}

class ResolverModel : public ::testing::TestWithParam<int> {};

TEST_P(ResolverModel, AgreesWithTheResolver) {
  Rng rng(static_cast<std::uint64_t>(GetParam()));
  const Version start = rng.below(100);
  Resolver resolver(start);
  Model model{.writes = {}, .floor = start};
  for (int step = 0; step < 400; ++step) {
    ReadSet reads;
    for (std::uint64_t n = rng.below(3); n > 0; --n) reads.points.push_back(random_key(rng));
    for (std::uint64_t n = rng.below(2); n > 0; --n) reads.ranges.push_back(random_range(rng));
    const Version back = rng.below(12);
    const Version snapshot = resolver.last() > back ? resolver.last() - back : 0;
    const Verdict verdict = resolver.check(snapshot, reads);
    ASSERT_EQ(verdict, model.check(snapshot, reads)) << "step " << step;
    if (verdict == Verdict::kCommit) {
      const Version version = resolver.next();
      for (std::uint64_t n = rng.below(3); n > 0; --n) {
        const std::string key = random_key(rng);
        resolver.wrote(key, version);
        model.writes.push_back({version, point_range(key)});
      }
      if (rng.below(3) == 0) {
        const KeyRange range = random_range(rng);
        resolver.wrote(range, version);
        model.writes.push_back({version, range});
      }
    }
    if (rng.below(10) == 0 && resolver.last() > start + 5) {
      const Version floor = resolver.last() - rng.below(6);
      resolver.forget_before(floor);
      model.floor = std::max(model.floor, floor);
    }
  }
  resolver.forget_before(resolver.last());
  EXPECT_EQ(resolver.entries(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Seeds, ResolverModel, ::testing::Range(1, 201));

}  // namespace
}  // namespace ff::kv
