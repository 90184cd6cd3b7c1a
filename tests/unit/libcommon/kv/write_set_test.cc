// The reduced form of buffered writes against a model that applies them one by one to a map.
#include "libcommon/kv/write_set.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "libcommon/base/rng.hpp"
#include "libcommon/kv/key_range.hpp"

namespace ff::kv {
namespace {

const Limits kLimits{.value_bytes_max = 10, .transaction_bytes_max = 100, .transaction_operations_max = 5, .note = {}};

TEST(WriteSet, ChecksLimits) {
  WriteSet value;
  value.set("k", std::string(11, 'v'));
  EXPECT_EQ(value.check(kLimits, 0).error().code(), Errc::kInvalidArgument);
  WriteSet bytes;
  for (int i = 0; i < 5; ++i) bytes.set(std::string(15, static_cast<char>('a' + i)), "123456");
  EXPECT_EQ(bytes.check(kLimits, 0).error().code(), Errc::kExhausted);
  WriteSet operations;
  for (int i = 0; i < 4; ++i) operations.clear(std::to_string(i));
  EXPECT_TRUE(operations.check(kLimits, 1).has_value());
  EXPECT_EQ(operations.check(kLimits, 2).error().code(), Errc::kExhausted);
  WriteSet stamp;
  stamp.stamp(std::string(kKeyBytesMax - 10, 'k'), "x", "");
  EXPECT_EQ(stamp.check(kLimits, 0).error().code(), Errc::kInvalidArgument) << "the stamp counts";
}

TEST(WriteSet, ABadKeyIsNotEmptiness) {
  WriteSet writes;
  EXPECT_TRUE(writes.empty());
  writes.set("", "v");
  EXPECT_FALSE(writes.empty()) << "commit() must get to the error";
  EXPECT_FALSE(writes.check(kLimits, 0).has_value());
}

TEST(WriteSet, AtomicsOverKnownValuesBecomeSets) {
  WriteSet writes;
  writes.clear_range({"a", "c"});
  writes.atomic(Atomic::kAdd, "b", 3);
  writes.atomic(Atomic::kAdd, "d", 1);
  EXPECT_EQ(writes.find("b")->kind, PointWrite::Kind::kSet);
  EXPECT_EQ(writes.find("b")->value, encode_counter(3));
  EXPECT_EQ(writes.find("d")->kind, PointWrite::Kind::kAtomic);
  writes.set("e", "abc");
  writes.atomic(Atomic::kAdd, "e", 1);
  EXPECT_EQ(writes.check({.value_bytes_max = 99, .transaction_bytes_max = 999, .note = {}}, 0).error().code(),
            Errc::kInvalidArgument);
}

TEST(StampedKey, PutsVersionAndOrderBigEndian) {
  const StampedKey stamped{"p", "s", "v"};
  EXPECT_EQ(stamped.key(0x0102030405060708ULL, 0x090a), "p\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0as");
}

using State = std::map<std::string, std::string>;

std::string random_key(Rng& rng) { return std::string(1, static_cast<char>('a' + rng.below(10))); }

KeyRange random_range(Rng& rng) {
  KeyRange range{rng.below(8) == 0 ? "" : random_key(rng), rng.below(8) == 0 ? "" : random_key(rng)};
  if (!range.end.empty() && range.end < range.begin) std::swap(range.begin, range.end);
  return range;
}

void write_at_random(Rng& rng, WriteSet& writes, State& state) {
  const std::string key = random_key(rng);
  switch (rng.below(4)) {
    case 0: {
      const std::string value = encode_counter(rng.below(1000));
      writes.set(key, value);
      state[key] = value;
      break;
    }
    case 1:
      writes.clear(key);
      state.erase(key);
      break;
    case 2: {
      const KeyRange range = random_range(rng);
      writes.clear_range(range);
      std::erase_if(state, [&](const auto& pair) { return contains(range, pair.first); });
      break;
    }
    default: {
      const AtomicOperation operation{static_cast<Atomic>(rng.below(3)), rng.below(500)};
      writes.atomic(operation.operation, key, operation.operand);
      const auto found = state.find(key);
      const std::uint64_t old = found == state.end() ? 0 : *decode_counter(key, found->second);
      state[key] = encode_counter(apply_atomic(old, operation));
    }
  }
}

TEST(WriteSet, OverlayShowsWhatTheWritesMake) {
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    Rng rng(seed);
    State base;
    for (int i = 0; i < 6; ++i) base[random_key(rng)] = encode_counter(rng.below(1000));
    WriteSet writes;
    State state = base;
    for (std::uint64_t n = rng.below(12); n > 0; --n) write_at_random(rng, writes, state);
    const KeyRange range = random_range(rng);
    if (is_empty(range)) continue;
    const bool reverse = rng.below(2) == 0;
    std::vector<KeyValue> page, expected;
    for (const auto& [key, value] : base) {
      if (contains(range, key)) page.push_back({key, value});
    }
    for (const auto& [key, value] : state) {
      if (contains(range, key)) expected.push_back({key, value});
    }
    if (!writes.touches(range)) EXPECT_EQ(page, expected) << "seed " << seed;
    if (reverse) std::ranges::reverse(page);
    if (reverse) std::ranges::reverse(expected);
    const auto seen = overlay(writes, range, page, reverse);
    ASSERT_TRUE(seen.has_value());
    EXPECT_EQ(*seen, expected) << "seed " << seed;
    // Cleared ranges stay disjoint and ordered.
    std::string last_end = "start";
    for (const auto& [begin, end] : writes.cleared()) {
      EXPECT_TRUE(last_end == "start" || (!last_end.empty() && last_end < begin)) << "seed " << seed;
      last_end = end;
    }
  }
}

}  // namespace
}  // namespace ff::kv
