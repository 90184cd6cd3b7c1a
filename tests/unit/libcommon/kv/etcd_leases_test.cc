#include "libcommon/kv/etcd_leases.hpp"

#include <gtest/gtest.h>

#include "tests/support/virtual_env.hpp"
#include "tests/unit/libcommon/kv/fake_etcd_client.hpp"

namespace ff::kv {
namespace {

using namespace std::chrono_literals;
using runtime::Duration;
using runtime::Task;
namespace rpc = etcdserverpb;

// A cluster where nobody has the lease yet, and where renewals that pass through `hanging` members in turn get no
// answer within the time that each is given.
class LeaseClient final : public tests::FakeEtcdClient {
 public:
  Task<Result<EtcdAnswer<rpc::RangeResponse>>> range(rpc::RangeRequest /*request*/,
                                                     std::optional<std::size_t> /*member*/) override {
    EtcdAnswer<rpc::RangeResponse> nobody{.reply = {}, .member = 0};
    nobody.reply.mutable_header()->set_revision(5);
    co_return nobody;
  }
  Task<Result<std::optional<rpc::TxnResponse>>> commit(rpc::TxnRequest /*request*/) override {
    rpc::TxnResponse done;
    done.set_succeeded(true);
    done.mutable_header()->set_revision(6);
    co_return done;
  }
  Task<Result<rpc::LeaseGrantResponse>> grant_lease(std::int64_t ttl_s) override {
    rpc::LeaseGrantResponse granted;
    granted.set_id(7);
    granted.set_ttl(ttl_s);
    co_return granted;
  }
  Task<Result<>> revoke_lease(std::int64_t /*id*/) override { co_return {}; }
  Task<Result<bool>> renew_lease(std::int64_t /*id*/, Duration attempt) override {
    for (int i = 0; i < hanging; ++i) FF_CO_TRY(co_await runtime::sleep(attempt));
    ++renewals;
    co_return true;
  }

  int hanging = 0;
  int renewals = 0;
};

class EtcdLeasesTest : public ::testing::TestWithParam<Duration> {};

// Three tries without an answer (the dead leader, and two members that still pass calls on to it) leave time for one
// more, however short the lease is.
TEST_P(EtcdLeasesTest, OutliveMembersThatAnswerNothing) {
  tests::VirtualEnv env;
  LeaseClient client;
  runtime::Scope scope(env);
  EtcdKeys keys("test");
  EtcdWatches watches(client, scope);
  EtcdLeases leases(&client, {env, client, keys, watches, scope});
  env.run([](LeaseClient& cluster, EtcdLeases& all, runtime::Scope& tasks) -> Task<bool> {
    auto lease = co_await all.acquire("leader", "me", GetParam());
    EXPECT_TRUE(lease.has_value());
    cluster.hanging = 3;
    (void)co_await runtime::sleep(10 * GetParam());
    EXPECT_TRUE((*lease)->held());
    EXPECT_GT(cluster.renewals, 10);
    tasks.cancel();
    (void)co_await tasks.join();
    co_return true;
  }(client, leases, scope));
}

INSTANTIATE_TEST_SUITE_P(Ttl, EtcdLeasesTest, ::testing::Values(1s, 4s, 20s));

}  // namespace
}  // namespace ff::kv
