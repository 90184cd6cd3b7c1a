// Many clients at once, and what must hold whatever the order: invariants, and a replay of the whole history in the
// order of versions, which must explain every value that was read (strict serializability: versions are that order).
#include <algorithm>
#include <map>

#include "tests/support/kv_conformance.hpp"

namespace ff::kv::conformance {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kAccounts = 8;
constexpr std::uint64_t kBalance = 100;

std::string account(std::uint64_t i) { return "account/" + std::to_string(i); }

Task<Result<>> transfer_often(Engine& engine, std::size_t node, std::uint64_t seed, int times) {
  Rng rng(seed);
  for (int i = 0; i < times; ++i) {
    const std::uint64_t from = rng.below(kAccounts);
    const std::uint64_t to = (from + 1 + rng.below(kAccounts - 1)) % kAccounts;
    const std::uint64_t amount = rng.below(30);
    FF_CO_TRY(
        co_await transact(engine.env(), engine.store(node), {.timeout = 60s}, [&](Transaction& t) -> Task<Result<>> {
          FF_CO_TRY_ASSIGN(const auto a, co_await t.get(account(from)));
          FF_CO_TRY_ASSIGN(const auto b, co_await t.get(account(to)));
          const std::uint64_t have = number_of(*a);
          if (have < amount) co_return {};
          t.set(account(from), number(have - amount));
          t.set(account(to), number(number_of(*b) + amount));
          co_return {};
        }));
  }
  co_return {};
}

Task<Result<std::uint64_t>> total(KvStore& store) {
  FF_CO_TRY_ASSIGN(const auto pairs, co_await peek_range(store, prefix_range("account/")));
  std::uint64_t sum = 0;
  for (const auto& pair : pairs) sum += number_of(pair.value);
  co_return sum;
}

Task<Result<>> audit_often(KvStore& store, int times) {
  for (int i = 0; i < times; ++i) {
    FF_CO_TRY_ASSIGN(const std::uint64_t sum, co_await total(store));
    EXPECT_EQ(sum, kAccounts * kBalance);
    FF_CO_TRY(co_await runtime::sleep(1ms));
  }
  co_return {};
}

TEST_P(KvConformance, TransfersKeepTheTotal) {
  run([](Engine& engine) -> Task<Result<>> {
    const auto setup = engine.store(0).begin();
    for (std::uint64_t i = 0; i < kAccounts; ++i) setup->set(account(i), number(kBalance));
    FF_CO_TRY(co_await must_commit(*setup));
    FF_CO_TRY(co_await runtime::with_scope([&](runtime::Scope& scope) -> Task<Result<>> {
      for (std::size_t i = 0; i < 6; ++i) scope.spawn(transfer_often(engine, i % 2, 100 + i, 20));
      scope.spawn(audit_often(engine.store(0), 20));
      scope.spawn(audit_often(engine.store(1), 20));
      co_return {};
    }));
    FF_CO_TRY_ASSIGN(const std::uint64_t sum, co_await total(engine.store(0)));
    EXPECT_EQ(sum, kAccounts * kBalance);
    co_return {};
  });
}

// Two doctors are on call; each may leave if the other stays. Snapshot isolation alone lets both leave.
Task<Result<>> leave_if_allowed(Engine& engine, std::size_t node, std::string me) {
  co_return co_await transact(engine.env(), engine.store(node), {.timeout = 60s},
                              [&me](Transaction& t) -> Task<Result<>> {
                                FF_CO_TRY_ASSIGN(const auto on_call, co_await t.get_range(prefix_range("on call/")));
                                co_await runtime::yield();
                                if (on_call.pairs.size() > 1) t.clear("on call/" + me);
                                co_return {};
                              });
}

TEST_P(KvConformance, WriteSkewIsRefused) {
  run([](Engine& engine) -> Task<Result<>> {
    for (int round = 0; round < 10; ++round) {
      const auto setup = engine.store(0).begin();
      for (const char* who : {"a", "b", "c"}) setup->set(std::string("on call/") + who, "");
      FF_CO_TRY(co_await must_commit(*setup));
      FF_CO_TRY(co_await runtime::with_scope([&](runtime::Scope& scope) -> Task<Result<>> {
        std::size_t node = 0;
        for (const char* who : {"a", "b", "c"}) scope.spawn(leave_if_allowed(engine, node++ % 2, who));
        co_return {};
      }));
      FF_CO_TRY_ASSIGN(const auto left, co_await peek_range(engine.store(0), prefix_range("on call/")));
      EXPECT_EQ(left.size(), 1U);
    }
    co_return {};
  });
}

// One transaction as its client saw it.
struct Record {
  Version snapshot = 0;
  Version committed = 0;  // 0: wrote nothing
  std::map<std::string, std::optional<std::string>> reads;
  std::vector<std::pair<KeyRange, std::vector<KeyValue>>> ranges;
  std::map<std::string, std::optional<std::string>> writes;
};

std::string history_key(Rng& rng) { return "h/" + std::to_string(rng.below(12)); }

Task<Result<>> act_at_random(Engine& engine, std::size_t node, std::uint64_t seed, int times,
                             std::vector<Record>& history) {
  Rng rng(seed);
  for (int i = 0; i < times; ++i) {
    const auto t = engine.store(node).begin();
    Record record;
    FF_CO_TRY_ASSIGN(record.snapshot, co_await t->read_version());
    for (std::uint64_t n = rng.below(3); n > 0; --n) {
      std::string key = history_key(rng);
      FF_CO_TRY_ASSIGN(record.reads[key], co_await t->get(key));
    }
    if (rng.below(3) == 0) {
      KeyRange range{history_key(rng), history_key(rng)};
      if (range.begin > range.end) std::swap(range.begin, range.end);
      FF_CO_TRY_ASSIGN(auto result, co_await t->get_range(range, {.reverse = rng.below(2) == 0}));
      if (!result.pairs.empty() && result.pairs.front().key > result.pairs.back().key) {
        std::ranges::reverse(result.pairs);
      }
      record.ranges.emplace_back(std::move(range), std::move(result.pairs));
    }
    for (std::uint64_t n = rng.below(3); n > 0; --n) {
      const std::string key = history_key(rng);
      if (rng.below(4) == 0) {
        t->clear(key);
        record.writes[key] = std::nullopt;
      } else {
        const std::string value = std::to_string(seed) + "." + std::to_string(i) + "." + std::to_string(n);
        t->set(key, value);
        record.writes[key] = value;
      }
    }
    FF_CO_TRY_ASSIGN(const Commit commit, co_await t->commit());
    if (commit.outcome != Outcome::kCommitted) continue;
    record.committed = commit.version;
    history.push_back(std::move(record));
  }
  co_return {};
}

using State = std::map<std::string, std::string>;

void expect_explained(const Record& record, const State& state) {
  for (const auto& [key, value] : record.reads) {
    const auto found = state.find(key);
    EXPECT_EQ(value, found == state.end() ? std::nullopt : std::optional(found->second)) << key;
  }
  for (const auto& [range, pairs] : record.ranges) {
    std::vector<KeyValue> expected;
    for (auto at = state.lower_bound(range.begin); at != state.end() && at->first < range.end; ++at) {
      expected.push_back({at->first, at->second});
    }
    EXPECT_EQ(pairs, expected) << range.begin << " to " << range.end;
  }
}

TEST_P(KvConformance, HistoriesAreStrictlySerializable) {
  run([](Engine& engine) -> Task<Result<>> {
    std::vector<Record> history;
    FF_CO_TRY(co_await runtime::with_scope([&](runtime::Scope& scope) -> Task<Result<>> {
      for (std::size_t i = 0; i < 8; ++i) scope.spawn(act_at_random(engine, i % 2, 7000 + i, 40, history));
      co_return {};
    }));
    EXPECT_GT(history.size(), 40U);
    // Writers take effect at their commit version, readers at their snapshot, after the writer of that version.
    std::multimap<std::pair<Version, int>, const Record*> order;
    for (const Record& record : history) {
      const bool writer = record.committed != 0;
      order.emplace(std::pair(writer ? record.committed : record.snapshot, writer ? 0 : 1), &record);
    }
    State state;
    Version last_writer = 0;
    for (const auto& [when, record] : order) {
      expect_explained(*record, state);
      if (record->committed == 0) continue;
      EXPECT_GT(record->committed, last_writer) << "two commits with one version";
      EXPECT_GT(record->committed, record->snapshot);
      last_writer = record->committed;
      for (const auto& [key, value] : record->writes) {
        if (value) {
          state[key] = *value;
        } else {
          state.erase(key);
        }
      }
    }
    FF_CO_TRY_ASSIGN(const auto stored, co_await peek_range(engine.store(0), prefix_range("h/")));
    std::vector<KeyValue> expected;
    for (const auto& [key, value] : state) expected.push_back({key, value});
    EXPECT_EQ(stored, expected);
    co_return {};
  });
}

}  // namespace
}  // namespace ff::kv::conformance
