// Which commits conflict, and which do not.
#include <algorithm>

#include "tests/support/kv_conformance.hpp"

namespace ff::kv::conformance {
namespace {

struct ReadCase {
  const char* name;
  Task<Result<>> (*read)(Transaction&);
  // The keys that it read in conflicting mode, among those that the writes change.
  std::vector<std::string> covers;
};
struct WriteCase {
  const char* name;
  void (*write)(Transaction&);
  std::string changes;  // "m/8" stands for the versionstamped key
};

const KeyRange kRange{"m/0", "m/9"};

// m/5 is there, m/7 is not.
const std::vector<ReadCase> kReads{
    {"get a present key",
     [](Transaction& t) -> Task<Result<>> {
       FF_CO_TRY(co_await t.get("m/5"));
       co_return {};
     },
     {"m/5"}},
    {"get an absent key",
     [](Transaction& t) -> Task<Result<>> {
       FF_CO_TRY(co_await t.get("m/7"));
       co_return {};
     },
     {"m/7"}},
    {"get_range",
     [](Transaction& t) -> Task<Result<>> {
       FF_CO_TRY(co_await t.get_range(kRange));
       co_return {};
     },
     {"m/5", "m/7", "m/8"}},
    {"snapshot get",
     [](Transaction& t) -> Task<Result<>> {
       FF_CO_TRY(co_await t.get("m/5", Read::kSnapshot));
       co_return {};
     },
     {}},
    {"snapshot get_range",
     [](Transaction& t) -> Task<Result<>> {
       FF_CO_TRY(co_await t.get_range(kRange, {.mode = Read::kSnapshot}));
       co_return {};
     },
     {}},
    {"add_read_conflict",
     [](Transaction& t) -> Task<Result<>> {
       FF_CO_TRY(co_await t.read_version());
       t.add_read_conflict(kRange);
       co_return {};
     },
     {"m/5", "m/7", "m/8"}},
    {"atomic then get",
     [](Transaction& t) -> Task<Result<>> {
       t.atomic(Atomic::kAdd, "m/7", 1);
       FF_CO_TRY(co_await t.get("m/7"));
       co_return {};
     },
     {"m/7"}},
    {"nothing but the version",
     [](Transaction& t) -> Task<Result<>> {
       FF_CO_TRY(co_await t.read_version());
       co_return {};
     },
     {}},
};

const std::vector<WriteCase> kWrites{
    {"set", [](Transaction& t) { t.set("m/5", "changed"); }, "m/5"},
    {"set to the same value", [](Transaction& t) { t.set("m/5", "v"); }, "m/5"},
    {"insert (phantom)", [](Transaction& t) { t.set("m/7", number(1)); }, "m/7"},
    {"clear (phantom)", [](Transaction& t) { t.clear("m/5"); }, "m/5"},
    {"clear_range", [](Transaction& t) { t.clear_range({"m/4", "m/6"}); }, "m/5"},
    {"atomic", [](Transaction& t) { t.atomic(Atomic::kAdd, "m/7", 3); }, "m/7"},
    {"versionstamped key", [](Transaction& t) { t.set_versionstamped_key("m/8", "", "x"); }, "m/8"},
    {"set before the range", [](Transaction& t) { t.set("m/", "x"); }, "m/"},
    {"set at its end", [](Transaction& t) { t.set("m/9", "x"); }, "m/9"},
};

TEST_P(KvConformance, ConflictsAreExactlyReadsThatOthersChanged) {
  run([](Engine& engine) -> Task<Result<>> {
    for (const ReadCase& read : kReads) {
      for (const WriteCase& write : kWrites) {
        const auto reset = engine.store(0).begin();
        reset->clear_range(prefix_range("m/"));
        reset->set("m/5", "v");
        FF_CO_TRY(co_await must_commit(*reset));

        const auto transaction = engine.store(0).begin();
        FF_CO_TRY(co_await read.read(*transaction));
        const auto other = engine.store(1).begin();
        write.write(*other);
        FF_CO_TRY(co_await must_commit(*other));
        transaction->set("out", "x");
        FF_CO_TRY_ASSIGN(const Commit commit, co_await transaction->commit());
        const bool changed = std::ranges::find(read.covers, write.changes) != read.covers.end();
        EXPECT_EQ(commit.outcome, changed ? Outcome::kConflict : Outcome::kCommitted)
            << read.name << " against " << write.name;
      }
    }
    co_return {};
  });
}

TEST_P(KvConformance, AConflictedTransactionDidNothing) {
  run([](Engine& engine) -> Task<Result<>> {
    FF_CO_TRY(co_await put(engine.store(0), "read", "1"));
    const auto transaction = engine.store(0).begin();
    FF_CO_TRY(co_await transaction->get("read"));
    FF_CO_TRY(co_await put(engine.store(1), "read", "2"));
    transaction->set("one", "x");
    transaction->set("read", "3");
    transaction->atomic(Atomic::kAdd, "counter", 1);
    FF_CO_TRY_ASSIGN(const Commit commit, co_await transaction->commit());
    EXPECT_EQ(commit.outcome, Outcome::kConflict);
    FF_CO_TRY_ASSIGN(const auto all, co_await peek_range(engine.store(0), {"", ""}));
    EXPECT_EQ(all, (std::vector<KeyValue>{{"read", "2"}}));
    const auto again = co_await transaction->commit();
    EXPECT_FALSE(again.has_value()) << "a transaction is committed once";
    co_return {};
  });
}

TEST_P(KvConformance, BlindWritesDoNotConflict) {
  run([](Engine& engine) -> Task<Result<>> {
    const auto transaction = engine.store(0).begin();
    FF_CO_TRY(co_await transaction->read_version());
    FF_CO_TRY(co_await put(engine.store(1), "key", "theirs"));
    transaction->set("key", "mine");
    FF_CO_TRY(co_await must_commit(*transaction));
    FF_CO_TRY_ASSIGN(const auto value, co_await peek(engine.store(1), "key"));
    EXPECT_EQ(value, "mine");
    co_return {};
  });
}

TEST_P(KvConformance, APartialRangeConflictsWhereItWasRead) {
  run([](Engine& engine) -> Task<Result<>> {
    struct Case {
      bool reverse;
      const char* changed;
      bool conflict;
    };
    // Of p/0 to p/9, three are read, from either end.
    for (const Case& c :
         {Case{false, "p/1", true}, Case{false, "p/15", true}, Case{false, "p/2", true}, Case{false, "p/", true},
          Case{false, "p/25", false}, Case{false, "p/3", false}, Case{true, "p/8", true}, Case{true, "p/75", true},
          Case{true, "p/7", true}, Case{true, "p/95", true}, Case{true, "p/65", false}, Case{true, "p/6", false}}) {
      const auto reset = engine.store(0).begin();
      reset->clear_range(prefix_range("p/"));
      for (int i = 0; i < 10; ++i) reset->set("p/" + std::to_string(i), "v");
      FF_CO_TRY(co_await must_commit(*reset));
      const auto transaction = engine.store(0).begin();
      FF_CO_TRY_ASSIGN(const auto part,
                       co_await transaction->get_range(prefix_range("p/"), {.limit = 3, .reverse = c.reverse}));
      EXPECT_TRUE(part.more);
      FF_CO_TRY(co_await put(engine.store(1), c.changed, "changed"));
      transaction->set("out", "x");
      FF_CO_TRY_ASSIGN(const Commit commit, co_await transaction->commit());
      EXPECT_EQ(commit.outcome == Outcome::kConflict, c.conflict) << c.changed << (c.reverse ? " reverse" : "");
    }
    co_return {};
  });
}

}  // namespace
}  // namespace ff::kv::conformance
