// Leases: one holder at a time, fencing, epochs that grow, expiry.
#include "tests/support/kv_conformance.hpp"

namespace ff::kv::conformance {
namespace {

using namespace std::chrono_literals;

TEST_P(KvConformance, ALeaseHasOneHolder) {
  run([](Engine& engine) -> Task<Result<>> {
    KvStore& here = engine.store(0);
    KvStore& there = engine.store(1);
    FF_CO_TRY_ASSIGN(auto nobody, co_await here.current_holder("leader"));
    EXPECT_EQ(nobody, std::nullopt);
    FF_CO_TRY_ASSIGN(const auto first, co_await here.acquire_lease("leader", "node 0", 1s));
    EXPECT_TRUE(first->held());
    FF_CO_TRY_ASSIGN(const auto holder, co_await there.current_holder("leader"));
    EXPECT_EQ(holder, "node 0");
    // It is renewed in the background: another does not get it, for longer than it lives.
    const auto refused =
        co_await runtime::with_timeout(2500ms, "campaign", there.acquire_lease("leader", "node 1", 1s));
    EXPECT_FALSE(refused.has_value());
    EXPECT_TRUE(first->held());
    FF_CO_TRY_ASSIGN(const auto other, co_await there.acquire_lease("another", "node 1", 1s));
    EXPECT_TRUE(other->held());

    FF_CO_TRY(co_await first->release());
    EXPECT_FALSE(first->held());
    co_await first->lost();
    FF_CO_TRY_ASSIGN(const auto second, co_await there.acquire_lease("leader", "node 1", 1s));
    EXPECT_TRUE(second->held());
    EXPECT_GT(second->epoch(), first->epoch());
    FF_CO_TRY(co_await second->release());
    FF_CO_TRY(co_await other->release());
    FF_CO_TRY_ASSIGN(nobody, co_await here.current_holder("leader"));
    EXPECT_EQ(nobody, std::nullopt);
    co_return {};
  });
}

TEST_P(KvConformance, LeaseArgumentsAreChecked) {
  run([](Engine& engine) -> Task<Result<>> {
    KvStore& store = engine.store(0);
    for (int bad = 0; bad < 3; ++bad) {
      const auto refused = co_await store.acquire_lease(bad == 0 ? "" : "name", std::string(bad == 1 ? 4097 : 1, 'h'),
                                                        bad == 2 ? 999ms : 1s);
      EXPECT_FALSE(refused.has_value()) << bad;
      if (!refused) EXPECT_EQ(refused.error().code(), Errc::kInvalidArgument);
    }
    FF_CO_TRY_ASSIGN(const auto lease, co_await store.acquire_lease("name", std::string(4096, 'h'), 1s));
    FF_CO_TRY(co_await lease->release());
    co_return {};
  });
}

TEST_P(KvConformance, AGuardedTransactionNeedsTheLease) {
  run([](Engine& engine) -> Task<Result<>> {
    KvStore& store = engine.store(0);
    FF_CO_TRY_ASSIGN(const auto lease, co_await store.acquire_lease("fence", "me", 1s));
    const auto allowed = store.begin();
    FF_CO_TRY(co_await lease->guard(*allowed));
    allowed->set("fenced", "1");
    FF_CO_TRY(co_await must_commit(*allowed));

    // Guarded while it is held, committed after it was lost: another holder is there by then.
    const auto late = store.begin();
    FF_CO_TRY(co_await lease->guard(*late));
    late->set("fenced", "late");
    FF_CO_TRY(co_await lease->release());
    FF_CO_TRY_ASSIGN(const auto next, co_await engine.store(1).acquire_lease("fence", "you", 1s));
    FF_CO_TRY_ASSIGN(const Commit commit, co_await late->commit());
    EXPECT_EQ(commit.outcome, Outcome::kConflict);
    const auto afterwards = store.begin();
    EXPECT_FALSE((co_await lease->guard(*afterwards)).has_value());
    FF_CO_TRY_ASSIGN(const auto value, co_await peek(store, "fenced"));
    EXPECT_EQ(value, "1");
    FF_CO_TRY(co_await next->release());
    co_return {};
  });
}

TEST_P(KvConformance, ACampaignEndsWhenItIsCancelled) {
  run([](Engine& engine) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const auto lease, co_await engine.store(0).acquire_lease("busy", "me", 1s));
    const auto waiting =
        co_await runtime::with_timeout(100ms, "campaign", engine.store(1).acquire_lease("busy", "you", 1s));
    EXPECT_FALSE(waiting.has_value());
    if (!waiting) EXPECT_EQ(waiting.error().code(), Errc::kTimeout);
    FF_CO_TRY(co_await lease->release());
    co_return {};
  });
}

Task<Result<>> hold_for_a_moment(KvStore& store, int rounds, int& inside, std::uint64_t& last_epoch) {
  for (int round = 0; round < rounds; ++round) {
    FF_CO_TRY_ASSIGN(const auto lease, co_await store.acquire_lease("turns", "somebody", 2s));
    EXPECT_EQ(inside++, 0) << "two holders";
    EXPECT_GT(lease->epoch(), last_epoch);
    last_epoch = lease->epoch();
    FF_CO_TRY(co_await runtime::sleep(1ms));
    EXPECT_TRUE(lease->held());
    --inside;
    FF_CO_TRY(co_await lease->release());
  }
  co_return {};
}

TEST_P(KvConformance, LeasesExcludeEachOther) {
  run([](Engine& engine) -> Task<Result<>> {
    int inside = 0;
    std::uint64_t last_epoch = 0;
    FF_CO_TRY(co_await runtime::with_scope([&](runtime::Scope& scope) -> Task<Result<>> {
      for (std::size_t i = 0; i < 4; ++i) scope.spawn(hold_for_a_moment(engine.store(i % 2), 5, inside, last_epoch));
      co_return {};
    }));
    EXPECT_EQ(inside, 0);
    co_return {};
  });
}

TEST_P(KvConformance, AHolderThatIsCutOffLosesItsLeaseBeforeAnotherGetsIt) {
  run([](Engine& engine) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const auto lease, co_await engine.store(0).acquire_lease("leader", "node 0", 1s));
    if (!engine.cut_off(true)) co_return co_await lease->release();  // one process: nothing can cut it off
    FF_CO_TRY_ASSIGN(const auto next, co_await engine.store(1).acquire_lease("leader", "node 1", 1s));
    EXPECT_FALSE(lease->held()) << "the old holder must give up first";
    co_await lease->lost();
    EXPECT_GT(next->epoch(), lease->epoch());
    (void)engine.cut_off(false);
    EXPECT_FALSE(lease->held()) << "lost is lost";
    const auto transaction = engine.store(0).begin();
    EXPECT_FALSE((co_await lease->guard(*transaction)).has_value());
    FF_CO_TRY(co_await next->release());
    co_return {};
  });
}

}  // namespace
}  // namespace ff::kv::conformance
