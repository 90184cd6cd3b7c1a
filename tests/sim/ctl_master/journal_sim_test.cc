// A submission of more jobs than a transaction of the store takes, and a master that is killed at any moment of it: the
// next one finds all of them or none, and numbers jobs on from there.
#include <gtest/gtest.h>

#include "ffctl/master/journal.hpp"
#include "libcommon/base/defer.hpp"
#include "libcommon/testing/seeds.hpp"
#include "tests/sim/ctl_master/cluster.hpp"

namespace ff::sim {
namespace {

using namespace std::chrono_literals;
using runtime::Task;
using testing::run_seeds;
using testing::SimEnv;
using testing::SimWorld;

constexpr std::size_t kJobs = 300;
constexpr std::uint64_t kSeeds = 200;

struct Seen {
  bool acknowledged = false;
  std::size_t jobs = 0;
  std::uint64_t next = 0;
};

Task<Result<>> submit_many(SimEnv& env, kv::MemoryCluster& cluster, Seen& seen) {
  const auto store = cluster.connect(env);
  store->faults() = {.delay_max = 5ms};
  FF_CO_TRY_ASSIGN(const auto lease, co_await store->acquire_lease("ctld", "first", 1s));
  ctl::Journal journal(env, *store, "ctl/");
  FF_CO_TRY_ASSIGN(ctl::State state, co_await journal.load(*lease));
  ctl::Engine engine({}, [&](ctl::Change change) { journal.append(std::move(change)); });
  engine.begin(std::move(state), lease->epoch(), 1000);
  runtime::Scope scope(co_await runtime::current_context());
  scope.spawn(journal.run(*lease));
  ctl::SubmitRequest request;
  for (std::size_t i = 0; i < kJobs; ++i) *request.add_jobs() = sim_job("many", 1, ctl::NORMAL, {});
  const auto submitted = engine.submit(request, {.user = "alice", .uid = 1000}, 1000);
  if (submitted) {
    const Result<> stored = co_await journal.wait(engine.sequence());
    seen.acknowledged = stored.has_value();
  } else {
    env.world().convict(submitted.error().message());
  }
  // Until it is killed.
  runtime::Event forever;
  (void)co_await forever.wait();
  scope.cancel();
  co_return co_await scope.join();
}

Task<Result<>> read_after(SimEnv& env, kv::MemoryCluster& cluster, Seen& seen) {
  const auto store = cluster.connect(env);
  FF_CO_TRY_ASSIGN(auto lease, co_await store->acquire_lease("ctld", "second", 1s));
  ctl::Journal journal(env, *store, "ctl/");
  Result<ctl::State> state = co_await journal.load(*lease);
  if (state) {
    seen.jobs = state->jobs.size();
    seen.next = state->header.next_job();
  }
  (void)co_await lease->release();
  lease.reset();
  co_await store->stop();
  if (!state) co_return fail(std::move(state).error());
  co_return {};
}

TEST(JournalSim, ASubmissionOfManyJobsIsWholeOrNotThere) {
  std::size_t whole = 0, none = 0;
  const auto run =
      run_seeds("JournalSim.ASubmissionOfManyJobsIsWholeOrNotThere", 1, kSeeds, [&](SimWorld& world) -> Result<> {
        kv::MemoryCluster store({.seed = world.seed(),
                                 .clock = [&world] { return world.now(); },
                                 .limits = {.value_bytes_max = 1u << 20,
                                            .transaction_bytes_max = 5u << 18,
                                            .transaction_operations_max = 40,
                                            .data_bytes_max = 0,
                                            .note = "small"}});
        Seen seen;
        const Defer stop([&world] {
          for (testing::NodeId node = 0; node < world.nodes(); ++node) world.kill(node);
        });
        const auto first = world.add_node(), second = world.add_node();
        world.start(first, [&](SimEnv& env) -> Task<Result<>> { co_return co_await submit_many(env, store, seen); });
        world.after(std::chrono::milliseconds(world.rng().below(900)), [&] { world.kill(first); });
        FF_TRY(world.run_for(1s));
        world.start(second, [&](SimEnv& env) -> Task<Result<>> { co_return co_await read_after(env, store, seen); });
        FF_TRY(world.run_until([&] { return world.exited(second); }, 30s, "the second master reads"));
        FF_TRY(world.exit_result(second));
        if (seen.jobs != 0 && seen.jobs != kJobs) return fail(Errc::kInternal, "a part of a submission is there");
        if (seen.next != seen.jobs + 1) return fail(Errc::kInternal, "jobs are not numbered on");
        if (seen.acknowledged && seen.jobs == 0) return fail(Errc::kInternal, "an acknowledged submission is lost");
        (seen.jobs == 0 ? none : whole) += 1;
        return {};
      });
  EXPECT_TRUE(run.ok()) << run.report;
  if (run.seeds == kSeeds) {
    EXPECT_GT(whole, 10u);
    EXPECT_GT(none, 10u);
  }
}

}  // namespace
}  // namespace ff::sim
