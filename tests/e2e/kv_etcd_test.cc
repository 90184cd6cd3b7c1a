// The etcd engine on a real cluster of three: the conformance suite, and members that are killed under load.
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <optional>
#include <set>

#include "libcommon/kv/etcd_store.hpp"
#include "libcommon/runtime/real_env.hpp"
#include "tests/e2e/etcd_cluster.hpp"
#include "tests/support/kv_conformance.hpp"

namespace ff::kv {
namespace {

using namespace std::chrono_literals;
using conformance::must_commit;
using conformance::number;
using conformance::number_of;
using conformance::peek;
using conformance::peek_range;
using conformance::put;
using runtime::RealEnv;
using runtime::Scope;
using runtime::Task;

// One cluster for all tests; each has a prefix of its own. All are skipped where etcd is not installed.
class Cluster final : public ::testing::Environment {
 public:
  void SetUp() override {
    if (!tests::EtcdCluster::installed()) GTEST_SKIP() << "etcd is not installed (tools/dev/install test)";
    running_ = std::make_unique<tests::EtcdCluster>(FF_ETCD_CLUSTER, kMembers);
  }
  void TearDown() override { running_.reset(); }
  static constexpr int kMembers = 3;
  static inline std::unique_ptr<tests::EtcdCluster> running_;
};
const auto* const kCluster = ::testing::AddGlobalTestEnvironment(new Cluster);

tests::EtcdCluster& cluster() { return *Cluster::running_; }

std::string new_prefix() {
  static std::atomic<int> last = 0;
  return "test/" + std::to_string(::getpid()) + "/" + std::to_string(++last);
}

EtcdOptions options_of(const std::string& prefix) { return {.endpoints = cluster().endpoints(), .prefix = prefix}; }

class EtcdEngine final : public conformance::Engine {
 public:
  EtcdEngine() : env_(*RealEnv::create({})) {
    const std::string prefix = new_prefix();
    const auto opened = env_->run([](EtcdEngine& engine, std::string shared) -> Task<Result<>> {
      for (auto& store : engine.stores_) {
        FF_CO_TRY_ASSIGN(store, co_await open_etcd_store(*engine.env_, options_of(shared)));
      }
      co_return {};
    }(*this, prefix));
    EXPECT_TRUE(opened.has_value()) << opened.error().message();
  }
  ~EtcdEngine() override {
    env_->run([](EtcdEngine& engine) -> Task<bool> {
      for (auto& store : engine.stores_) {
        if (store) co_await store->stop();
      }
      co_return true;
    }(*this));
  }
  runtime::Env& env() override { return *env_; }
  Result<> run(Task<Result<>> task) override { return env_->run(std::move(task)); }
  KvStore& store(std::size_t node) override { return *stores_[node]; }
  // Members cannot be made to lose one answer; the tests below kill them instead.
  bool provoke_maybe_committed(bool /*applied*/) override { return false; }
  bool cut_off(bool /*cut*/) override { return false; }

 private:
  std::unique_ptr<RealEnv> env_;
  std::array<std::unique_ptr<KvStore>, 2> stores_;
};

std::unique_ptr<conformance::Engine> make_etcd_engine() { return std::make_unique<EtcdEngine>(); }

// Brings a member to an end, or back, without stopping the Env: a command blocks.
Task<Result<>> command(runtime::Env& env, std::string line) {
  co_return co_await runtime::offload(env, [&line] { cluster().command(line); });
}

class KvEtcd : public ::testing::Test {
 protected:
  void SetUp() override { engine_ = std::make_unique<EtcdEngine>(); }
  // Whatever the test did, the next one finds all members.
  void TearDown() override {
    for (int member = 0; member < Cluster::kMembers; ++member) {
      if (down_.contains(member)) cluster().command("start " + std::to_string(member));
    }
    cluster().command("wait_healthy 60");
    engine_.reset();
  }
  [[clang::coro_wrapper]] Task<Result<>> kill(int member) {
    down_.insert(member);
    return command(engine_->env(), "kill " + std::to_string(member));
  }
  [[clang::coro_wrapper]] Task<Result<>> start(int member) {
    down_.erase(member);
    return command(engine_->env(), "start " + std::to_string(member));
  }
  KvStore& store(std::size_t node) { return engine_->store(node); }
  runtime::Env& env() { return engine_->env(); }
  void run(Task<Result<>> task) {
    const auto result = engine_->run(runtime::with_timeout(120s, "test", std::move(task)));
    EXPECT_TRUE(result.has_value()) << result.error().message();
  }
  // By its place among the endpoints, from "..., leader 127.0.0.1:1234, prefix ...".
  int leader() {
    const std::string text = store(0).describe();
    for (int member = 0; member < Cluster::kMembers; ++member) {
      if (text.find("leader " + cluster().endpoints()[static_cast<std::size_t>(member)] + ",") != std::string::npos) {
        return member;
      }
    }
    return -1;
  }

  std::unique_ptr<EtcdEngine> engine_;
  std::set<int> down_;
};

constexpr std::uint64_t kAccounts = 16;
constexpr std::uint64_t kBalance = 1000;
std::string account(std::uint64_t i) { return "account/" + std::to_string(i); }

struct Bank {
  bool closed = false;
  std::uint64_t committed = 0;
  std::uint64_t unsure = 0;
  runtime::Time last_commit{};
  runtime::Duration longest_gap{};
  std::vector<std::string> receipts;  // of acknowledged transfers
};

// Transfers until the bank closes. Each leaves a receipt under a name of its own.
Task<Result<>> transfer(runtime::Env& env, KvStore& store, std::uint64_t client, Bank& bank) {
  Rng rng(client);
  for (std::uint64_t n = 0; !bank.closed; ++n) {
    const auto t = store.begin();
    const std::uint64_t from = rng.below(kAccounts);
    const std::uint64_t to = (from + 1 + rng.below(kAccounts - 1)) % kAccounts;
    const auto a = co_await t->get(account(from));
    if (!a) continue;
    const auto b = co_await t->get(account(to));
    if (!b) continue;
    const std::uint64_t amount = rng.below(number_of(**a) + 1);
    const std::string receipt = "receipt/" + std::to_string(client) + "/" + std::to_string(n);
    t->set(account(from), number(number_of(**a) - amount));
    t->set(account(to), number(number_of(**b) + amount));
    t->set(receipt, "");
    const auto commit = co_await t->commit();
    if (!commit) continue;
    if (commit->outcome == Outcome::kMaybeCommitted) ++bank.unsure;
    if (commit->outcome != Outcome::kCommitted) continue;
    bank.receipts.push_back(receipt);
    ++bank.committed;
    bank.longest_gap = std::max(bank.longest_gap, env.now() - bank.last_commit);
    bank.last_commit = env.now();
  }
  co_return {};
}

TEST_F(KvEtcd, KilledMembersAndLeadersLoseNoMoneyAndNoAcknowledgedCommit) {
  run([](KvEtcd_KilledMembersAndLeadersLoseNoMoneyAndNoAcknowledgedCommit_Test& test) -> Task<Result<>> {
    runtime::Env& env = test.env();
    const auto setup = test.store(0).begin();
    for (std::uint64_t i = 0; i < kAccounts; ++i) setup->set(account(i), number(kBalance));
    FF_CO_TRY(co_await must_commit(*setup));
    Bank bank;
    bank.last_commit = env.now();
    FF_CO_TRY(co_await runtime::with_scope([&](Scope& scope) -> Task<Result<>> {
      for (std::uint64_t client = 0; client < 8; ++client) {
        scope.spawn(transfer(env, test.store(client % 2), client, bank));
      }
      // First one that does not lead, then the leader.
      for (const bool leads : {false, true}) {
        FF_CO_TRY(co_await runtime::sleep(1s));
        const int leader = test.leader();
        EXPECT_GE(leader, 0) << test.store(0).describe();
        const int victim = leads ? leader : (leader + 1) % Cluster::kMembers;
        const std::uint64_t before = bank.committed;
        FF_CO_TRY(co_await test.kill(victim));
        FF_CO_TRY(co_await runtime::sleep(8s));
        EXPECT_GT(bank.committed, before + 100) << "no progress with two of three members, leader killed: " << leads;
        FF_CO_TRY(co_await test.start(victim));
        FF_CO_TRY(co_await command(env, "wait_healthy 60"));
      }
      FF_CO_TRY(co_await runtime::sleep(1s));
      bank.closed = true;
      co_return {};
    }));
    std::uint64_t sum = 0;
    FF_CO_TRY_ASSIGN(const auto accounts, co_await peek_range(test.store(0), prefix_range("account/")));
    for (const auto& pair : accounts) sum += number_of(pair.value);
    EXPECT_EQ(sum, kAccounts * kBalance);
    std::set<std::string> kept;
    KeyRange rest = prefix_range("receipt/");
    for (bool more = true; more;) {
      const auto reader = test.store(1).begin();
      FF_CO_TRY_ASSIGN(const auto page, co_await reader->get_range(rest, {.mode = Read::kSnapshot}));
      for (const auto& pair : page.pairs) kept.insert(pair.key);
      more = page.more;
      if (more) rest.begin = page.pairs.back().key + '\0';
    }
    std::size_t lost = 0;
    for (const auto& receipt : bank.receipts) lost += kept.contains(receipt) ? 0 : 1;
    EXPECT_EQ(lost, 0U) << "acknowledged commits that are gone";
    EXPECT_LE(kept.size(), bank.receipts.size() + bank.unsure) << "commits that were said not to have happened";
    const auto gap_ms = std::chrono::duration_cast<std::chrono::milliseconds>(bank.longest_gap).count();
    test.RecordProperty("committed", std::to_string(bank.committed));
    test.RecordProperty("unsure", std::to_string(bank.unsure));
    test.RecordProperty("longest_gap_ms", std::to_string(gap_ms));
    EXPECT_LT(gap_ms, 7000);
    co_return {};
  }(*this));
}

TEST_F(KvEtcd, WithoutAMajorityCallsEndByTheirDeadlinesAndRecoverAfterwards) {
  run([](KvEtcd_WithoutAMajorityCallsEndByTheirDeadlinesAndRecoverAfterwards_Test& test) -> Task<Result<>> {
    FF_CO_TRY(co_await put(test.store(0), "key", "before"));
    FF_CO_TRY(co_await test.kill(0));
    FF_CO_TRY(co_await test.kill(1));
    const runtime::Time begun = test.env().now();
    const auto read = co_await peek(test.store(0), "key");
    EXPECT_FALSE(read.has_value());
    if (!read) {
      EXPECT_TRUE(read.error().code() == Errc::kUnavailable || read.error().code() == Errc::kTimeout);
      EXPECT_NE(read.error().message().find("none of 3 members answered"), std::string::npos) << read.error().message();
    }
    EXPECT_LT(test.env().now() - begun, 12s);
    const auto writer = test.store(0).begin();
    writer->set("key", "after");
    const auto commit = co_await writer->commit();
    EXPECT_TRUE(!commit || commit->outcome == Outcome::kMaybeCommitted);
    if (!commit) EXPECT_EQ(commit.error().code(), Errc::kUnavailable) << commit.error().message();
    EXPECT_LT(test.env().now() - begun, 17s);

    FF_CO_TRY(co_await test.start(0));
    FF_CO_TRY(co_await test.start(1));
    FF_CO_TRY(co_await command(test.env(), "wait_healthy 60"));
    FF_CO_TRY(co_await put(test.store(0), "key", "again"));
    FF_CO_TRY_ASSIGN(const auto value, co_await peek(test.store(1), "key"));
    EXPECT_EQ(value, "again");
    co_return {};
  }(*this));
}

TEST_F(KvEtcd, ALeaseRunsOutWithItsStoreAndFencesIt) {
  run([](KvEtcd_ALeaseRunsOutWithItsStoreAndFencesIt_Test& test) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(auto first, co_await test.store(0).acquire_lease("leader", "node 0", 2s));
    const auto late = test.store(0).begin();
    FF_CO_TRY(co_await first->guard(*late));
    late->set("fenced", "late");
    const std::uint64_t first_epoch = first->epoch();
    first.reset();  // not released: nobody renews it
    const runtime::Time begun = test.env().now();
    FF_CO_TRY_ASSIGN(const auto second, co_await test.store(1).acquire_lease("leader", "node 1", 2s));
    EXPECT_GT(test.env().now() - begun, 500ms) << "it was not free before it ran out";
    EXPECT_GT(second->epoch(), first_epoch);
    FF_CO_TRY_ASSIGN(const Commit fenced, co_await late->commit());
    EXPECT_EQ(fenced.outcome, Outcome::kConflict);
    FF_CO_TRY_ASSIGN(const auto value, co_await peek(test.store(0), "fenced"));
    EXPECT_EQ(value, std::nullopt);
    FF_CO_TRY(co_await second->release());
    co_return {};
  }(*this));
}

TEST_F(KvEtcd, LeasesAndWatchesSurviveTheDeathOfAnyMember) {
  // Long enough for an election on a loaded machine, and waited for, so that only what was renewed is held at the end.
  static constexpr runtime::Duration kTtl = 10s;
  run([](KvEtcd_LeasesAndWatchesSurviveTheDeathOfAnyMember_Test& test) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const auto lease, co_await test.store(0).acquire_lease("stays", "me", kTtl));
    FF_CO_TRY_ASSIGN(Version seen, co_await put(test.store(1), "w/x", "0"));
    FF_CO_TRY_ASSIGN(const auto watch, co_await test.store(0).watch(prefix_range("w/"), seen));
    for (int victim = 0; victim < Cluster::kMembers; ++victim) {
      FF_CO_TRY(co_await test.kill(victim));
      // While an election goes on, a put may fail; those that succeed are told.
      Version written = 0;
      for (int tries = 0; written == 0 && tries < 20; ++tries) {
        const auto t = test.store(1).begin();
        t->set("w/x", std::to_string(victim));
        const auto commit = co_await t->commit();
        if (commit && commit->outcome == Outcome::kCommitted) written = commit->version;
      }
      EXPECT_GT(written, seen);
      while (seen < written) {
        FF_CO_TRY_ASSIGN(seen, co_await runtime::with_timeout(20s, "watch", watch->changed()));
      }
      FF_CO_TRY(co_await test.start(victim));
      FF_CO_TRY(co_await command(test.env(), "wait_healthy 60"));
    }
    FF_CO_TRY(co_await runtime::sleep(kTtl));
    EXPECT_TRUE(lease->held());
    FF_CO_TRY(co_await lease->release());
    co_return {};
  }(*this));
}

// More keys than etcd compares: removals are found by markers.
TEST_F(KvEtcd, ALongRangeConflictsWithARemovalInIt) {
  run([](KvEtcd_ALongRangeConflictsWithARemovalInIt_Test& test) -> Task<Result<>> {
    for (int page = 0; page < 3; ++page) {
      const auto fill = test.store(0).begin();
      for (int i = 0; i < 100; ++i) fill->set("dir/" + std::to_string(1000 + 100 * page + i), "x");
      FF_CO_TRY(co_await must_commit(*fill));
    }
    struct Case {
      const char* name;
      void (*write)(Transaction&);
      bool conflict;
    };
    for (const Case& c : {Case{"nothing", [](Transaction&) {}, false},
                          Case{"remove one", [](Transaction& t) { t.clear("dir/1150"); }, true},
                          Case{"remove some", [](Transaction& t) { t.clear_range({"dir/1160", "dir/1163"}); }, true},
                          Case{"clear across", [](Transaction& t) { t.clear_range({"d", "dir/1005"}); }, true},
                          Case{"insert", [](Transaction& t) { t.set("dir/1170x", "x"); }, true},
                          Case{"change", [](Transaction& t) { t.set("dir/1170", "y"); }, true},
                          Case{"remove elsewhere", [](Transaction& t) { t.clear("other"); }, false}}) {
      const auto reader = test.store(0).begin();
      FF_CO_TRY_ASSIGN(const auto all, co_await reader->get_range(prefix_range("dir/")));
      EXPECT_GT(all.pairs.size(), 250U);
      const auto other = test.store(1).begin();
      c.write(*other);
      FF_CO_TRY(co_await must_commit(*other));
      reader->set("out", "x");
      FF_CO_TRY_ASSIGN(const Commit commit, co_await reader->commit());
      EXPECT_EQ(commit.outcome == Outcome::kConflict, c.conflict) << c.name;
    }
    co_return {};
  }(*this));
}

TEST_F(KvEtcd, OpeningWithoutMembersSaysSo) {
  run([](KvEtcd_OpeningWithoutMembersSaysSo_Test& test) -> Task<Result<>> {
    const auto opened = co_await open_etcd_store(
        test.env(), {.endpoints = {"127.0.0.1:1"}, .prefix = "none", .attempt_timeout = 200ms, .call_timeout = 500ms});
    EXPECT_FALSE(opened.has_value());
    if (!opened) EXPECT_NE(opened.error().message().find("127.0.0.1:1"), std::string::npos) << opened.error().message();
    for (const EtcdOptions& bad :
         {EtcdOptions{.endpoints = {}, .prefix = "p"}, EtcdOptions{.endpoints = {"127.0.0.1:1"}, .prefix = ""},
          EtcdOptions{.endpoints = {"http://a:1"}, .prefix = "p"}, EtcdOptions{.endpoints = {"a"}, .prefix = "p"},
          EtcdOptions{.endpoints = {"a:1", "a:1"}, .prefix = "p"}}) {
      const auto refused = co_await open_etcd_store(test.env(), bad);
      EXPECT_FALSE(refused.has_value());
      if (!refused) EXPECT_EQ(refused.error().code(), Errc::kInvalidArgument) << refused.error().message();
    }
    co_return {};
  }(*this));
}

}  // namespace
}  // namespace ff::kv

INSTANTIATE_TEST_SUITE_P(Etcd, KvConformance,
                         ::testing::Values(ff::kv::conformance::EngineFactory(ff::kv::make_etcd_engine)));
