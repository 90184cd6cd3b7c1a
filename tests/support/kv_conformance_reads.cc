// What a transaction sees: its snapshot, its own writes, ranges and their limits, any bytes.
#include "tests/support/kv_conformance.hpp"

namespace ff::kv::conformance {
namespace {

using namespace std::chrono_literals;
using Keys = std::vector<std::string>;

Keys keys_of(const RangeResult& result) {
  Keys keys;
  for (const auto& pair : result.pairs) keys.push_back(pair.key);
  return keys;
}

Task<Result<>> fill(KvStore& store, const Keys& keys) {
  const auto transaction = store.begin();
  for (const auto& key : keys) transaction->set(key, "value of " + key);
  FF_CO_TRY(co_await must_commit(*transaction));
  co_return {};
}

TEST_P(KvConformance, AbsentKeysReadAsAbsent) {
  run([](Engine& engine) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const auto value, co_await peek(engine.store(0), "absent"));
    EXPECT_EQ(value, std::nullopt);
    FF_CO_TRY_ASSIGN(const auto pairs, co_await peek_range(engine.store(0), {"", ""}));
    EXPECT_TRUE(pairs.empty());
    co_return {};
  });
}

TEST_P(KvConformance, AnotherNodeReadsWhatWasCommitted) {
  run([](Engine& engine) -> Task<Result<>> {
    FF_CO_TRY(co_await put(engine.store(0), "key", "one"));
    FF_CO_TRY_ASSIGN(const auto one, co_await peek(engine.store(1), "key"));
    EXPECT_EQ(one, "one");
    FF_CO_TRY(co_await put(engine.store(1), "key", ""));
    FF_CO_TRY_ASSIGN(const auto empty, co_await peek(engine.store(0), "key"));
    EXPECT_EQ(empty, "");
    co_return {};
  });
}

TEST_P(KvConformance, ReadsSeeOwnWrites) {
  run([](Engine& engine) -> Task<Result<>> {
    KvStore& store = engine.store(0);
    FF_CO_TRY(co_await fill(store, {"a", "b", "c", "d", "e"}));
    FF_CO_TRY(co_await put(store, "n", number(40)));
    const auto transaction = store.begin();
    transaction->set("b", "mine");
    transaction->clear("c");
    transaction->set("cc", "new");
    transaction->clear_range({"d", "f"});
    transaction->set("dd", "after the range");
    transaction->atomic(Atomic::kAdd, "n", 2);
    transaction->atomic(Atomic::kAdd, "m", 7);
    FF_CO_TRY_ASSIGN(const auto b, co_await transaction->get("b"));
    EXPECT_EQ(b, "mine");
    FF_CO_TRY_ASSIGN(const auto c, co_await transaction->get("c"));
    EXPECT_EQ(c, std::nullopt);
    FF_CO_TRY_ASSIGN(const auto e, co_await transaction->get("e"));
    EXPECT_EQ(e, std::nullopt);
    FF_CO_TRY_ASSIGN(const auto n, co_await transaction->get("n"));
    EXPECT_EQ(n, number(42));
    for (const bool reverse : {false, true}) {
      FF_CO_TRY_ASSIGN(const auto all, co_await transaction->get_range({"", ""}, {.reverse = reverse}));
      Keys expected{"a", "b", "cc", "dd", "m", "n"};
      if (reverse) expected = {"n", "m", "dd", "cc", "b", "a"};
      EXPECT_EQ(keys_of(all), expected);
      EXPECT_FALSE(all.more);
      // Limits count what is seen, not what is stored.
      FF_CO_TRY_ASSIGN(const auto some, co_await transaction->get_range({"b", ""}, {.limit = 3, .reverse = reverse}));
      EXPECT_EQ(keys_of(some), reverse ? (Keys{"n", "m", "dd"}) : (Keys{"b", "cc", "dd"}));
      EXPECT_TRUE(some.more);
    }
    FF_CO_TRY_ASSIGN(const auto outside, co_await peek(store, "b"));
    EXPECT_EQ(outside, "value of b") << "buffered writes must not be seen by others";
    FF_CO_TRY(co_await must_commit(*transaction));
    FF_CO_TRY_ASSIGN(const auto stored, co_await peek_range(store, {"", ""}));
    EXPECT_EQ(stored, (std::vector<KeyValue>{{"a", "value of a"},
                                             {"b", "mine"},
                                             {"cc", "new"},
                                             {"dd", "after the range"},
                                             {"m", number(7)},
                                             {"n", number(42)}}));
    co_return {};
  });
}

TEST_P(KvConformance, TheSnapshotStaysWhileOthersCommit) {
  run([](Engine& engine) -> Task<Result<>> {
    FF_CO_TRY(co_await fill(engine.store(0), {"a", "b", "c"}));
    const auto transaction = engine.store(0).begin();
    FF_CO_TRY_ASSIGN(const Version before, co_await transaction->read_version());
    const auto other = engine.store(1).begin();
    other->set("a", "changed");
    other->clear("b");
    other->set("bb", "inserted");
    FF_CO_TRY_ASSIGN(const Version committed, co_await must_commit(*other));
    EXPECT_GT(committed, before);
    FF_CO_TRY_ASSIGN(const auto a, co_await transaction->get("a"));
    EXPECT_EQ(a, "value of a");
    FF_CO_TRY_ASSIGN(const auto all, co_await transaction->get_range({"", ""}));
    EXPECT_EQ(keys_of(all), (Keys{"a", "b", "c"}));
    FF_CO_TRY_ASSIGN(const Version still, co_await transaction->read_version());
    EXPECT_EQ(still, before);
    // Without writes it commits whatever the others did.
    FF_CO_TRY(co_await must_commit(*transaction));
    const auto later = engine.store(0).begin();
    FF_CO_TRY_ASSIGN(const Version after, co_await later->read_version());
    EXPECT_GE(after, committed);
    co_return {};
  });
}

TEST_P(KvConformance, RangesHaveLimitsAndDirections) {
  run([](Engine& engine) -> Task<Result<>> {
    KvStore& store = engine.store(0);
    FF_CO_TRY(co_await fill(store, {"a", "b", "c", "d", "e"}));
    const auto transaction = store.begin();
    FF_CO_TRY_ASSIGN(auto part, co_await transaction->get_range({"b", "e"}));
    EXPECT_EQ(keys_of(part), (Keys{"b", "c", "d"}));
    EXPECT_FALSE(part.more);
    FF_CO_TRY_ASSIGN(part, co_await transaction->get_range({"b", ""}, {.limit = 2}));
    EXPECT_EQ(keys_of(part), (Keys{"b", "c"}));
    EXPECT_TRUE(part.more);
    FF_CO_TRY_ASSIGN(part, co_await transaction->get_range({"", ""}, {.limit = 2, .reverse = true}));
    EXPECT_EQ(keys_of(part), (Keys{"e", "d"}));
    EXPECT_TRUE(part.more);
    FF_CO_TRY_ASSIGN(part, co_await transaction->get_range({"a", "e"}, {.limit = 9, .reverse = true}));
    EXPECT_EQ(keys_of(part), (Keys{"d", "c", "b", "a"}));
    EXPECT_FALSE(part.more);
    // A pair here has 11 bytes: 23 are room for two; one comes however small the limit.
    FF_CO_TRY_ASSIGN(part, co_await transaction->get_range({"", ""}, {.bytes_limit = 23}));
    EXPECT_EQ(keys_of(part), (Keys{"a", "b"}));
    EXPECT_TRUE(part.more);
    FF_CO_TRY_ASSIGN(part, co_await transaction->get_range({"", ""}, {.bytes_limit = 1}));
    EXPECT_EQ(keys_of(part), (Keys{"a"}));
    EXPECT_TRUE(part.more);
    FF_CO_TRY_ASSIGN(part, co_await transaction->get_range({"c", "c"}));
    EXPECT_TRUE(part.pairs.empty() && !part.more);
    FF_CO_TRY_ASSIGN(part, co_await transaction->get_range({"d", "b"}));
    EXPECT_TRUE(part.pairs.empty() && !part.more);
    const auto none = co_await transaction->get_range({"", ""}, {.limit = 0});
    EXPECT_FALSE(none.has_value());
    co_return {};
  });
}

TEST_P(KvConformance, LongRangesComeInParts) {
  run([](Engine& engine) -> Task<Result<>> {
    KvStore& store = engine.store(0);
    constexpr int kKeys = 500;
    for (int i = 0; i < kKeys;) {
      const auto transaction = store.begin();
      for (int n = 0; n < 50; ++n, ++i) transaction->set("long/" + std::to_string(1000 + i), std::string(100, 'x'));
      FF_CO_TRY(co_await must_commit(*transaction));
    }
    for (const bool reverse : {false, true}) {
      KeyRange rest = prefix_range("long/");
      std::size_t seen = 0;
      bool more = true;
      const auto transaction = store.begin();
      while (more) {
        FF_CO_TRY_ASSIGN(const auto part,
                         co_await transaction->get_range(rest, {.limit = 64, .bytes_limit = 5000, .reverse = reverse}));
        more = part.more;
        seen += part.pairs.size();
        if (part.pairs.empty()) break;
        if (reverse) {
          rest.end = part.pairs.back().key;
        } else {
          rest.begin = part.pairs.back().key + '\0';
        }
      }
      EXPECT_EQ(seen, kKeys);
    }
    co_return {};
  });
}

TEST_P(KvConformance, KeysAndValuesAreAnyBytes) {
  run([](Engine& engine) -> Task<Result<>> {
    KvStore& store = engine.store(0);
    const std::string zero(1, '\0');
    const Keys keys{zero,
                    zero + zero,
                    "a",
                    "a" + zero,
                    "a" + zero + "b",
                    "a\x7f",
                    "a\x80",
                    "a\xff",
                    "a\xff\xff",
                    "\xfe",
                    "\xff",
                    "\xff\xff",
                    std::string(kKeyBytesMax, '\xff')};
    std::string all_bytes;
    for (int byte = 0; byte < 256; ++byte) all_bytes.push_back(static_cast<char>(byte));
    const auto transaction = store.begin();
    for (const auto& key : keys) transaction->set(key, all_bytes);
    FF_CO_TRY(co_await must_commit(*transaction));
    FF_CO_TRY_ASSIGN(const auto pairs, co_await peek_range(store, {"", ""}));
    EXPECT_EQ(pairs.size(), keys.size());
    for (std::size_t i = 0; i < std::min(pairs.size(), keys.size()); ++i) {
      EXPECT_EQ(pairs[i].key, keys[i]) << "unsigned bytes, key " << i;
      EXPECT_EQ(pairs[i].value, all_bytes);
    }
    FF_CO_TRY_ASSIGN(const auto below, co_await peek_range(store, prefix_range("a\xff")));
    EXPECT_EQ(below.size(), 2U);
    FF_CO_TRY_ASSIGN(const auto last, co_await peek_range(store, prefix_range("\xff")));
    EXPECT_EQ(last.size(), 3U);
    // To the last key, for clears too.
    const auto clear = store.begin();
    clear->clear_range({"a\x80", ""});
    FF_CO_TRY(co_await must_commit(*clear));
    FF_CO_TRY_ASSIGN(const auto left, co_await peek_range(store, {"", ""}));
    EXPECT_EQ(left.size(), 6U);
    co_return {};
  });
}

}  // namespace
}  // namespace ff::kv::conformance
