// What commits do: limits, atomics, versionstamps, outcomes in doubt, cancellation, watches.
#include <algorithm>
#include <set>

#include "tests/support/kv_conformance.hpp"

namespace ff::kv::conformance {
namespace {

using namespace std::chrono_literals;

TEST_P(KvConformance, LargeValuesUpToTheLimit) {
  run([](Engine& engine) -> Task<Result<>> {
    KvStore& store = engine.store(0);
    const Limits limits = store.limits();
    EXPECT_GE(limits.value_bytes_max, 64U << 10);
    EXPECT_FALSE(limits.note.empty());
    const std::string large(limits.value_bytes_max, 'v');
    FF_CO_TRY(co_await put(store, "large", large));
    FF_CO_TRY_ASSIGN(const auto value, co_await peek(store, "large"));
    EXPECT_EQ(value, large);
    const auto beyond = co_await put(store, "large", large + "v");
    EXPECT_FALSE(beyond.has_value());
    if (!beyond) EXPECT_EQ(beyond.error().code(), Errc::kInvalidArgument) << beyond.error().message();
    co_return {};
  });
}

TEST_P(KvConformance, TransactionsBeyondTheLimitsAreRefused) {
  run([](Engine& engine) -> Task<Result<>> {
    KvStore& store = engine.store(0);
    const Limits limits = store.limits();
    const auto bytes = store.begin();
    const std::string value(limits.value_bytes_max, 'v');
    for (std::size_t written = 0; written <= limits.transaction_bytes_max; written += value.size()) {
      bytes->set("k" + std::to_string(written), value);
    }
    const auto refused = co_await bytes->commit();
    EXPECT_FALSE(refused.has_value());
    if (!refused) EXPECT_EQ(refused.error().code(), Errc::kExhausted) << refused.error().message();
    if (limits.transaction_operations_max != 0) {
      const auto many = store.begin();
      for (std::size_t i = 0; i <= limits.transaction_operations_max; ++i) many->set("k" + std::to_string(i), "v");
      const auto too_many = co_await many->commit();
      EXPECT_FALSE(too_many.has_value());
      if (!too_many) EXPECT_EQ(too_many.error().code(), Errc::kExhausted) << too_many.error().message();
    }
    FF_CO_TRY_ASSIGN(const auto nothing, co_await peek_range(store, prefix_range("k")));
    EXPECT_TRUE(nothing.empty());
    co_return {};
  });
}

TEST_P(KvConformance, BadKeysAreRefused) {
  run([](Engine& engine) -> Task<Result<>> {
    for (const std::string& key : {std::string(), std::string(kKeyBytesMax + 1, 'k')}) {
      const auto refused = co_await put(engine.store(0), key, "v");
      EXPECT_FALSE(refused.has_value()) << key.size();
      if (!refused) EXPECT_EQ(refused.error().code(), Errc::kInvalidArgument) << refused.error().message();
    }
    FF_CO_TRY(co_await put(engine.store(0), std::string(kKeyBytesMax, 'k'), "v"));
    co_return {};
  });
}

TEST_P(KvConformance, AtomicsCompute) {
  run([](Engine& engine) -> Task<Result<>> {
    KvStore& store = engine.store(0);
    const auto first = store.begin();
    first->set("wraps", number(~0ULL));
    first->set("max", number(5));
    first->set("min", number(5));
    first->set("text", "no number");
    FF_CO_TRY(co_await must_commit(*first));
    const auto second = store.begin();
    second->atomic(Atomic::kAdd, "wraps", 2);
    second->atomic(Atomic::kMax, "max", 9);
    second->atomic(Atomic::kMax, "max", 7);
    second->atomic(Atomic::kMin, "min", 3);
    second->atomic(Atomic::kMin, "absent", 3);
    second->atomic(Atomic::kAdd, "new", 4);
    second->atomic(Atomic::kMax, "new", 6);
    second->set("after set", number(1));
    second->atomic(Atomic::kAdd, "after set", 10);
    FF_CO_TRY(co_await must_commit(*second));
    const std::vector<std::pair<std::string, std::uint64_t>> expected{{"absent", 0}, {"after set", 11}, {"max", 9},
                                                                      {"min", 3},    {"new", 6},        {"wraps", 1}};
    for (const auto& [key, value] : expected) {
      FF_CO_TRY_ASSIGN(const auto stored, co_await peek(store, key));
      EXPECT_EQ(stored, number(value)) << key;
    }
    const auto bad = store.begin();
    bad->atomic(Atomic::kAdd, "text", 1);
    bad->set("beside", "x");
    const auto refused = co_await bad->commit();
    EXPECT_FALSE(refused.has_value());
    if (!refused) EXPECT_EQ(refused.error().code(), Errc::kInvalidArgument) << refused.error().message();
    FF_CO_TRY_ASSIGN(const auto beside, co_await peek(store, "beside"));
    EXPECT_EQ(beside, std::nullopt);
    co_return {};
  });
}

Task<Result<>> add_many(KvStore& store, int times) {
  for (int i = 0; i < times; ++i) {
    const auto transaction = store.begin();
    transaction->atomic(Atomic::kAdd, "sum", 1);
    transaction->atomic(Atomic::kMax, "largest", static_cast<std::uint64_t>(i));
    FF_CO_TRY(co_await must_commit(*transaction));
  }
  co_return {};
}

TEST_P(KvConformance, ConcurrentAtomicsSumUpExactly) {
  run([](Engine& engine) -> Task<Result<>> {
    FF_CO_TRY(co_await runtime::with_scope([&](runtime::Scope& scope) -> Task<Result<>> {
      for (std::size_t client = 0; client < 10; ++client) scope.spawn(add_many(engine.store(client % 2), 20));
      co_return {};
    }));
    FF_CO_TRY_ASSIGN(const auto sum, co_await peek(engine.store(0), "sum"));
    EXPECT_EQ(sum, number(200));
    FF_CO_TRY_ASSIGN(const auto largest, co_await peek(engine.store(0), "largest"));
    EXPECT_EQ(largest, number(19));
    co_return {};
  });
}

TEST_P(KvConformance, VersionstampsOrderKeysAsCommits) {
  run([](Engine& engine) -> Task<Result<>> {
    std::vector<Version> versions;
    for (std::size_t i = 0; i < 5; ++i) {
      const auto transaction = engine.store(i % 2).begin();
      transaction->set_versionstamped_key("queue/", "/a", std::to_string(i) + "a");
      transaction->set_versionstamped_key("queue/", "/b", std::to_string(i) + "b");
      FF_CO_TRY_ASSIGN(const Version version, co_await must_commit(*transaction));
      EXPECT_TRUE(versions.empty() || version > versions.back());
      versions.push_back(version);
    }
    FF_CO_TRY_ASSIGN(const auto queue, co_await peek_range(engine.store(0), prefix_range("queue/")));
    EXPECT_EQ(queue.size(), 10U);
    for (std::size_t i = 0; i < queue.size(); ++i) {
      EXPECT_EQ(queue[i].value, std::to_string(i / 2) + (i % 2 == 0 ? "a" : "b"));
      // The stamp: eight bytes of the version, two of the order, big-endian.
      EXPECT_EQ(queue[i].key.size(), 6U + 10U + 2U);
      std::uint64_t version = 0;
      for (std::size_t at = 6; at < 14; ++at) version = version << 8 | static_cast<unsigned char>(queue[i].key[at]);
      // Not above the commit's version, above what could be read before it.
      EXPECT_LE(version, versions[i / 2]);
      if (i >= 2) EXPECT_GT(version, versions[i / 2 - 1]);
      EXPECT_EQ(queue[i].key[14], 0);
      EXPECT_EQ(queue[i].key[15], static_cast<char>(i % 2));
    }
    co_return {};
  });
}

TEST_P(KvConformance, UnknownOutcomesAreToldAsSuch) {
  run([](Engine& engine) -> Task<Result<>> {
    for (const bool applied : {true, false}) {
      FF_CO_TRY(co_await put(engine.store(1), "doubt", "before"));
      if (!engine.provoke_maybe_committed(applied)) co_return {};  // covered by the engine's own tests
      const auto transaction = engine.store(0).begin();
      transaction->set("doubt", "after");
      FF_CO_TRY_ASSIGN(const Commit commit, co_await transaction->commit());
      EXPECT_EQ(commit.outcome, Outcome::kMaybeCommitted);
      FF_CO_TRY_ASSIGN(const auto value, co_await peek(engine.store(1), "doubt"));
      EXPECT_EQ(value, applied ? "after" : "before");

      // transact() does not repeat what may have been done, unless told that this is harmless.
      for (const bool retry : {false, true}) {
        FF_CO_TRY(co_await put(engine.store(1), "times", number(0)));
        (void)engine.provoke_maybe_committed(applied);
        int runs = 0;
        const auto done = co_await transact(engine.env(), engine.store(0), {.retry_maybe_committed = retry},
                                            [&runs](Transaction& t) -> Task<Result<>> {
                                              ++runs;
                                              t.atomic(Atomic::kAdd, "times", 1);
                                              co_return {};
                                            });
        EXPECT_EQ(done.has_value(), retry);
        EXPECT_EQ(runs, retry ? 2 : 1);
        if (!done) EXPECT_EQ(done.error().code(), Errc::kUnavailable);
        FF_CO_TRY_ASSIGN(const auto times, co_await peek(engine.store(1), "times"));
        EXPECT_EQ(times, number((applied ? 1 : 0) + (retry ? 1 : 0)));
      }
    }
    co_return {};
  });
}

TEST_P(KvConformance, TransactReturnsTheBodysValueAndErrors) {
  run([](Engine& engine) -> Task<Result<>> {
    FF_CO_TRY(co_await put(engine.store(0), "counter", number(1)));
    int runs = 0;
    FF_CO_TRY_ASSIGN(
        const std::uint64_t value,
        co_await transact(engine.env(), engine.store(0), {}, [&](Transaction& t) -> Task<Result<std::uint64_t>> {
          FF_CO_TRY_ASSIGN(const auto stored, co_await t.get("counter"));
          // The first attempt meets a change by another.
          if (++runs == 1) {
            FF_CO_TRY(co_await put(engine.store(1), "counter", number(10)));
          }
          t.set("counter", number(number_of(*stored) + 1));
          co_return number_of(*stored) + 1;
        }));
    EXPECT_EQ(runs, 2);
    EXPECT_EQ(value, 11U);
    const auto failed = co_await transact(engine.env(), engine.store(0), {}, [](Transaction& t) -> Task<Result<>> {
      t.set("counter", "spoilt");
      co_return fail(Errc::kNotFound, "nothing to do");
    });
    EXPECT_FALSE(failed.has_value());
    if (!failed) EXPECT_EQ(failed.error().code(), Errc::kNotFound);
    FF_CO_TRY_ASSIGN(const auto counter, co_await peek(engine.store(0), "counter"));
    EXPECT_EQ(counter, number(11));
    // A body that always meets a conflict ends at the timeout, and says why.
    const auto late =
        co_await transact(engine.env(), engine.store(0), {.timeout = 300ms}, [&](Transaction& t) -> Task<Result<>> {
          FF_CO_TRY(co_await t.get("counter"));
          FF_CO_TRY(co_await put(engine.store(1), "counter", number(0)));
          t.set("counter", number(1));
          co_return {};
        });
    EXPECT_FALSE(late.has_value());
    if (!late) EXPECT_EQ(late.error().code(), Errc::kTimeout) << late.error().message();
    if (!late) EXPECT_NE(late.error().message().find("conflicted"), std::string::npos) << late.error().message();
    co_return {};
  });
}

// Each call of the interface, to be cancelled at any moment.
const std::vector<Task<Result<>> (*)(KvStore&)> kCalls{
    [](KvStore& store) -> Task<Result<>> {
      const auto t = store.begin();
      FF_CO_TRY(co_await t->read_version());
      co_return {};
    },
    [](KvStore& store) -> Task<Result<>> {
      const auto t = store.begin();
      FF_CO_TRY(co_await t->get("cancel"));
      co_return {};
    },
    [](KvStore& store) -> Task<Result<>> {
      const auto t = store.begin();
      FF_CO_TRY(co_await t->get_range({"", ""}));
      co_return {};
    },
    [](KvStore& store) -> Task<Result<>> {
      const auto t = store.begin();
      t->set("cancel", "x");
      FF_CO_TRY(co_await t->commit());
      co_return {};
    },
    [](KvStore& store) -> Task<Result<>> {
      FF_CO_TRY_ASSIGN(const auto watch, co_await store.watch({"never", "nevf"}, ~0ULL >> 1));
      FF_CO_TRY(co_await watch->changed());
      co_return {};
    },
    [](KvStore& store) -> Task<Result<>> {
      FF_CO_TRY_ASSIGN(const auto lease, co_await store.acquire_lease("cancel", "me", 1s));
      FF_CO_TRY(co_await lease->release());
      co_return {};
    },
    [](KvStore& store) -> Task<Result<>> {
      FF_CO_TRY(co_await store.current_holder("cancel"));
      co_return {};
    },
};

Task<void> note_result(Task<Result<>> task, std::optional<Result<>>& result) { result = co_await std::move(task); }

TEST_P(KvConformance, CallsCanBeCancelledInTheMiddle) {
  run([](Engine& engine) -> Task<Result<>> {
    for (std::size_t call = 0; call < kCalls.size(); ++call) {
      // After some turns of the ready queue, then after some time.
      for (int moment = 0; moment < 8; ++moment) {
        runtime::Scope scope(co_await runtime::current_context());
        std::optional<Result<>> result;
        scope.spawn(note_result(kCalls[call](engine.store(0)), result));
        for (int turn = 0; turn < moment; ++turn) co_await runtime::yield();
        if (moment > 4) FF_CO_TRY(co_await runtime::sleep(moment * 50us));
        scope.cancel();
        (void)co_await scope.join();
        EXPECT_TRUE(result.has_value());
        if (result && !*result) EXPECT_EQ(result->error().code(), Errc::kCancelled) << call << " " << moment;
      }
    }
    FF_CO_TRY(co_await put(engine.store(0), "cancel", "still works"));
    FF_CO_TRY_ASSIGN(const auto value, co_await peek(engine.store(0), "cancel"));
    EXPECT_EQ(value, "still works");
    co_return {};
  });
}

TEST_P(KvConformance, WatchesMissNoChange) {
  run([](Engine& engine) -> Task<Result<>> {
    KvStore& store = engine.store(0);
    FF_CO_TRY_ASSIGN(const Version first, co_await put(engine.store(1), "w/key", "1"));
    FF_CO_TRY_ASSIGN(const Version second, co_await put(engine.store(1), "w/key", "2"));
    // A change before watch() that the reader has not seen is told at once.
    FF_CO_TRY_ASSIGN(const auto behind, co_await store.watch(prefix_range("w/"), first));
    FF_CO_TRY_ASSIGN(const Version told, co_await behind->changed());
    EXPECT_GE(told, second);
    // Nothing since: it waits; a change elsewhere does not end it.
    FF_CO_TRY_ASSIGN(const auto watch, co_await store.watch(prefix_range("w/"), second));
    FF_CO_TRY(co_await put(engine.store(1), "x", "elsewhere"));
    const auto none = co_await runtime::with_timeout(200ms, "watch", watch->changed());
    EXPECT_FALSE(none.has_value());
    if (!none) EXPECT_EQ(none.error().code(), Errc::kTimeout);
    // Several changes may be told as one; after the last version that it tells, nothing is missing.
    const auto change = engine.store(1).begin();
    change->clear_range(prefix_range("w/"));
    FF_CO_TRY(co_await must_commit(*change));
    FF_CO_TRY_ASSIGN(const Version last, co_await put(engine.store(1), "w/other", "3"));
    Version seen = 0;
    while (seen < last) {
      FF_CO_TRY_ASSIGN(seen, co_await runtime::with_timeout(10s, "watch", watch->changed()));
      const auto reader = store.begin();
      FF_CO_TRY_ASSIGN(const Version readable, co_await reader->read_version());
      EXPECT_GE(readable, seen);
    }
    FF_CO_TRY_ASSIGN(const auto now, co_await peek_range(store, prefix_range("w/")));
    EXPECT_EQ(now, (std::vector<KeyValue>{{"w/other", "3"}}));
    co_return {};
  });
}

Task<Result<>> follow(KvStore& store, Version after, std::uint64_t until, std::uint64_t& steps) {
  FF_CO_TRY_ASSIGN(const auto watch, co_await store.watch({"follow", "follox"}, after));
  for (;;) {
    FF_CO_TRY(co_await watch->changed());
    ++steps;
    FF_CO_TRY_ASSIGN(const auto value, co_await peek(store, "follow"));
    if (value && number_of(*value) == until) co_return {};
  }
}

TEST_P(KvConformance, AFollowerReachesTheLastChange) {
  run([](Engine& engine) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const Version start, co_await put(engine.store(0), "follow", number(0)));
    std::uint64_t steps = 0;
    FF_CO_TRY(co_await runtime::with_scope([&](runtime::Scope& scope) -> Task<Result<>> {
      scope.spawn(follow(engine.store(0), start, 50, steps));
      for (std::uint64_t i = 1; i <= 50; ++i) FF_CO_TRY(co_await put(engine.store(1), "follow", number(i)));
      co_return {};
    }));
    EXPECT_GE(steps, 1U);
    EXPECT_LE(steps, 51U);
    co_return {};
  });
}

}  // namespace
}  // namespace ff::kv::conformance
