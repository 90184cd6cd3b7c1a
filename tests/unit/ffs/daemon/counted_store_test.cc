#include "ffs/daemon/counted_store.hpp"

#include <gtest/gtest.h>

#include "libcommon/kv/memory_store.hpp"
#include "libcommon/metrics/registry.hpp"
#include "tests/support/virtual_env.hpp"

namespace ff::ffs {
namespace {

using runtime::Task;
using namespace std::chrono_literals;

class CountedStoreTest : public ::testing::Test {
 protected:
  CountedStoreTest()
      : cluster_({.seed = 1, .clock = [this] { return env_.now(); }}),
        store_(env_, cluster_.connect(env_), registry_, "test") {}

  void run(Task<Result<>> task) {
    const Result<> done = env_.run(posting(env_, std::move(task)));
    EXPECT_TRUE(done) << done.error().message();
  }
  std::uint64_t count(const std::string& outcome) {
    for (const metrics::Family& family : registry_.collect())
      for (const metrics::Series& series : family.series)
        if (family.name == "test_transactions_total" && series.labels.front().second == outcome)
          return std::get<std::uint64_t>(series.value);
    return 999;
  }
  metrics::Histogram histogram(const std::string& name) {
    for (const metrics::Family& family : registry_.collect())
      if (family.name == name) return std::get<metrics::Histogram>(family.series.front().value);
    return metrics::Histogram();
  }

  // The post lets the Env look up once more, where it would else miss that nothing is left to do.
  static Task<Result<>> posting(tests::VirtualEnv& env, Task<Result<>> inner) {
    Result<> result = co_await std::move(inner);
    env.post([] {});
    co_return result;
  }

  tests::VirtualEnv env_;
  metrics::Registry registry_;
  kv::MemoryCluster cluster_;
  CountedStore store_;
};

Task<Result<>> write_two_then_read(kv::KvStore& store) {
  const auto writer = store.begin();
  writer->set("a", "1");
  writer->clear("b");
  FF_CO_TRY(co_await writer->commit());
  const auto reader = store.begin();
  FF_CO_TRY_ASSIGN(const auto value, co_await reader->get("a"));
  if (value != "1") co_return fail(Errc::kInternal, "what was written is not there");
  FF_CO_TRY(co_await reader->commit());
  co_await store.stop();
  co_return {};
}

TEST_F(CountedStoreTest, CountsCommitsAndTheirWrites) {
  run(write_two_then_read(store_));
  EXPECT_EQ(count("committed"), 2u);
  EXPECT_EQ(count("conflict"), 0u);
  const metrics::Histogram writes = histogram("test_transaction_writes");
  EXPECT_EQ(writes.count(), 1u) << "a commit without writes is none";
  EXPECT_EQ(writes.sum(), 2u);
  EXPECT_EQ(histogram("test_commit_seconds").count(), 1u);
}

Task<Result<>> conflict(kv::KvStore& store) {
  const auto slow = store.begin();
  FF_CO_TRY(co_await slow->get("a"));
  slow->set("a", "slow");
  const auto quick = store.begin();
  quick->set("a", "quick");
  FF_CO_TRY(co_await quick->commit());
  FF_CO_TRY_ASSIGN(const kv::Commit commit, co_await slow->commit());
  if (commit.outcome != kv::Outcome::kConflict) co_return fail(Errc::kInternal, "no conflict");
  co_await store.stop();
  co_return {};
}

TEST_F(CountedStoreTest, CountsConflicts) {
  run(conflict(store_));
  EXPECT_EQ(count("committed"), 1u);
  EXPECT_EQ(count("conflict"), 1u);
}

Task<Result<>> guard(kv::KvStore& store) {
  FF_CO_TRY_ASSIGN(auto lease, co_await store.acquire_lease("l", "me", 5s));
  const auto guarded = store.begin();
  FF_CO_TRY(co_await lease->guard(*guarded));
  guarded->set("a", "1");
  FF_CO_TRY_ASSIGN(const kv::Commit commit, co_await guarded->commit());
  if (commit.outcome != kv::Outcome::kCommitted) co_return fail(Errc::kInternal, "not committed");
  FF_CO_TRY(co_await lease->release());
  const auto late = store.begin();
  if (co_await lease->guard(*late)) co_return fail(Errc::kInternal, "guarded by a lease that is gone");
  lease.reset();
  co_await store.stop();
  co_return {};
}

TEST_F(CountedStoreTest, ItsLeasesGuardItsTransactions) { run(guard(store_)); }

}  // namespace
}  // namespace ff::ffs
