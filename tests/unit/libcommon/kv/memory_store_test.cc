// The memory engine: the suite of all engines, on calm and on slow handles, and the faults that it injects.
#include "libcommon/kv/memory_store.hpp"

#include <gtest/gtest.h>

#include <array>

#include "tests/support/kv_conformance.hpp"
#include "tests/support/virtual_env.hpp"

namespace ff::kv {
namespace {

using namespace std::chrono_literals;
using conformance::EngineFactory;
using conformance::number;
using conformance::peek;
using conformance::put;
using runtime::Task;

// Runs the task to its end. The post lets the Env look up once more, where it would else miss that nothing is left to
// do.
Result<> run_on(tests::VirtualEnv& env, Task<Result<>> task) {
  const auto main = [](tests::VirtualEnv& e, Task<Result<>> inner) -> Task<Result<>> {
    Result<> result = co_await std::move(inner);
    e.post([] {});
    co_return result;
  };
  return env.run(main(env, std::move(task)));
}

class MemoryEngine final : public conformance::Engine {
 public:
  explicit MemoryEngine(runtime::Duration delay_max, std::uint64_t seed = 1)
      : cluster_({.seed = seed, .clock = [this] { return env_.now(); }}) {
    for (auto& node : nodes_) {
      node = cluster_.connect(env_);
      node->faults().delay_max = delay_max;
    }
  }
  ~MemoryEngine() override {
    for (auto& node : nodes_) (void)run(stop(*node));
  }
  runtime::Env& env() override { return env_; }
  Result<> run(Task<Result<>> task) override { return run_on(env_, std::move(task)); }
  KvStore& store(std::size_t node) override { return *nodes_[node]; }
  MemoryStore& node(std::size_t i) { return *nodes_[i]; }
  bool provoke_maybe_committed(bool applied) override {
    nodes_[0]->faults().next_commit = applied ? NextCommit::kMaybeApplied : NextCommit::kMaybeLost;
    return true;
  }
  bool cut_off(bool cut) override {
    nodes_[0]->faults().unreachable_until = cut ? runtime::kNever : runtime::Time{};
    return true;
  }

 private:
  static Task<Result<>> stop(KvStore& store) {
    co_await store.stop();
    co_return {};
  }
  tests::VirtualEnv env_;
  MemoryCluster cluster_;
  std::array<std::unique_ptr<MemoryStore>, 2> nodes_;
};

INSTANTIATE_TEST_SUITE_P(Memory, KvConformance,
                         ::testing::Values(EngineFactory([] { return std::make_unique<MemoryEngine>(0ms); }),
                                           EngineFactory([] { return std::make_unique<MemoryEngine>(3ms); })));

TEST(MemoryStore, InjectedConflictsAreRetried) {
  MemoryEngine engine(1ms, 7);
  engine.node(0).faults().conflict = 0.5;
  const auto body = [](MemoryEngine& e) -> Task<Result<>> {
    for (int i = 0; i < 50; ++i) {
      FF_CO_TRY(co_await transact(e.env(), e.node(0), {}, [](Transaction& t) -> Task<Result<>> {
        t.atomic(Atomic::kAdd, "n", 1);
        co_return {};
      }));
    }
    FF_CO_TRY_ASSIGN(const auto n, co_await peek(e.node(1), "n"));
    EXPECT_EQ(n, number(50));
    co_return {};
  };
  EXPECT_TRUE(engine.run(body(engine)).has_value());
}

// Of many commits in doubt some were applied, some at once and some later, and some never; but never half of one.
TEST(MemoryStore, CommitsInDoubtAreWholeOrNotAtAll) {
  MemoryEngine engine(1ms, 11);
  engine.node(0).faults().maybe_committed = 1;
  const auto body = [](MemoryEngine& e) -> Task<Result<>> {
    int at_once = 0, in_the_end = 0;
    for (int i = 0; i < 100; ++i) {
      const std::string key = "doubt/" + std::to_string(i);
      const auto t = e.node(0).begin();
      t->set(key + "/a", "x");
      t->set(key + "/b", "x");
      FF_CO_TRY_ASSIGN(const Commit commit, co_await t->commit());
      EXPECT_EQ(commit.outcome, Outcome::kMaybeCommitted);
      FF_CO_TRY_ASSIGN(const auto now, co_await peek(e.node(1), key + "/a"));
      at_once += now.has_value() ? 1 : 0;
    }
    FF_CO_TRY(co_await runtime::sleep(1s));
    for (int i = 0; i < 100; ++i) {
      const std::string key = "doubt/" + std::to_string(i);
      FF_CO_TRY_ASSIGN(const auto pairs, co_await conformance::peek_range(e.node(1), prefix_range(key + "/")));
      EXPECT_NE(pairs.size(), 1U);
      in_the_end += pairs.empty() ? 0 : 1;
    }
    EXPECT_GT(at_once, 10);
    EXPECT_GT(in_the_end, at_once);
    EXPECT_LT(in_the_end, 90);
    co_return {};
  };
  EXPECT_TRUE(engine.run(body(engine)).has_value());
}

// What the watch tells within the time; 0: nothing.
Task<Result<Version>> told_within(Watch& watch, runtime::Duration time) {
  const auto version = co_await runtime::with_timeout(time, "watch", watch.changed());
  if (!version && version.error().code() != Errc::kTimeout) co_return std::unexpected(version.error());
  co_return version ? *version : 0;
}

TEST(MemoryStore, AHandleThatIsCutOffHearsOfChangesLater) {
  MemoryEngine engine(0ms);
  const auto body = [](MemoryEngine& e) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const auto watch, co_await e.node(0).watch(prefix_range("k"), 0));
    e.cut_off(true);
    FF_CO_TRY(co_await put(e.node(1), "k", "1"));
    FF_CO_TRY_ASSIGN(const Version last, co_await put(e.node(1), "k", "2"));
    FF_CO_TRY_ASSIGN(Version told, co_await told_within(*watch, 10s));
    EXPECT_EQ(told, 0U);
    e.cut_off(false);
    // Both as one, or one after the other.
    for (told = 0; told < last;) {
      FF_CO_TRY_ASSIGN(told, co_await told_within(*watch, 1s));
      EXPECT_NE(told, 0U);
      if (told == 0) break;
    }
    e.node(0).faults().unreachable_until = e.env().now() + 5s;
    FF_CO_TRY_ASSIGN(const Version later, co_await put(e.node(1), "k", "3"));
    FF_CO_TRY_ASSIGN(told, co_await told_within(*watch, 4999ms));
    EXPECT_EQ(told, 0U);
    FF_CO_TRY_ASSIGN(told, co_await told_within(*watch, 1s));
    EXPECT_EQ(told, later);
    co_return {};
  };
  EXPECT_TRUE(engine.run(body(engine)).has_value());
}

TEST(MemoryStore, NewsTravelAsLongAsOtherMessages) {
  MemoryEngine engine(0ms);
  const auto body = [](MemoryEngine& e) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const auto watch, co_await e.node(0).watch(prefix_range("k"), 0));
    e.node(0).faults().delay_min = e.node(0).faults().delay_max = 2s;
    const runtime::Time written = e.env().now();
    FF_CO_TRY_ASSIGN(const Version version, co_await put(e.node(1), "k", "v"));
    FF_CO_TRY(co_await runtime::sleep(1s));
    e.node(0).faults().delay_min = e.node(0).faults().delay_max = 0s;
    // It has seen the change that is still on its way.
    FF_CO_TRY_ASSIGN(const auto newer, co_await e.node(0).watch(prefix_range("k"), version));
    FF_CO_TRY_ASSIGN(Version told, co_await told_within(*watch, 10s));
    EXPECT_EQ(told, version);
    EXPECT_EQ(e.env().now() - written, 2s);
    FF_CO_TRY_ASSIGN(told, co_await told_within(*newer, 10s));
    EXPECT_EQ(told, 0U);
    co_return {};
  };
  EXPECT_TRUE(engine.run(body(engine)).has_value());
}

TEST(MemoryStore, AnOutageEnds) {
  MemoryEngine engine(0ms);
  const auto body = [](MemoryEngine& e) -> Task<Result<>> {
    e.node(0).faults().unreachable_until = e.env().now() + 5s;
    const auto refused = co_await put(e.node(0), "k", "v");
    EXPECT_FALSE(refused.has_value());
    if (!refused) EXPECT_EQ(refused.error().code(), Errc::kUnavailable);
    FF_CO_TRY(co_await put(e.node(1), "k", "other node"));
    FF_CO_TRY(co_await runtime::sleep(5s));
    FF_CO_TRY(co_await put(e.node(0), "k", "v"));
    e.node(0).faults().outage = 1;
    EXPECT_FALSE((co_await peek(e.node(0), "k")).has_value());
    co_return {};
  };
  EXPECT_TRUE(engine.run(body(engine)).has_value());
}

// A node that is killed releases nothing; its lease runs out by the cluster's clock.
TEST(MemoryStore, TheLeaseOfAKilledNodeExpires) {
  tests::VirtualEnv env;
  MemoryCluster cluster({.clock = [&env] { return env.now(); }});
  auto survivor = cluster.connect(env);
  auto killed = cluster.connect(env);
  const auto body = [](tests::VirtualEnv& e, MemoryStore& alive, std::unique_ptr<MemoryStore>& dead) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(auto lease, co_await dead->acquire_lease("leader", "dead", 10s));
    {
      const runtime::KillGuard guard;
      lease.reset();
      dead.reset();
    }
    const runtime::Time killed_at = e.now();
    FF_CO_TRY_ASSIGN(const auto next, co_await alive.acquire_lease("leader", "alive", 10s));
    EXPECT_GE(e.now() - killed_at, 9s);
    EXPECT_LE(e.now() - killed_at, 11s);
    EXPECT_EQ(next->epoch(), 2U);
    FF_CO_TRY(co_await next->release());
    co_await alive.stop();
    co_return {};
  };
  EXPECT_TRUE(run_on(env, body(env, *survivor, killed)).has_value());
}

// Versions that no transaction can see any more are dropped, those of a running one are not.
TEST(MemoryStore, OldVersionsStayAsLongAsTheyAreSeen) {
  MemoryEngine engine(0ms);
  const auto body = [](MemoryEngine& e) -> Task<Result<>> {
    FF_CO_TRY(co_await put(e.node(0), "k", "old"));
    const auto reader = e.node(1).begin();
    FF_CO_TRY(co_await reader->read_version());
    for (int i = 0; i < 1000; ++i) FF_CO_TRY(co_await put(e.node(0), "k", std::to_string(i)));
    FF_CO_TRY_ASSIGN(const auto old, co_await reader->get("k"));
    EXPECT_EQ(old, "old");
    FF_CO_TRY_ASSIGN(const auto now, co_await peek(e.node(0), "k"));
    EXPECT_EQ(now, "999");
    co_return {};
  };
  EXPECT_TRUE(engine.run(body(engine)).has_value());
}

}  // namespace
}  // namespace ff::kv
