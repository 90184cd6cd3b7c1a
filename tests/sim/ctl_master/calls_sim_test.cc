// What people are told over the wire: what is private, long lists, and checks of nodes.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include "libcommon/base/defer.hpp"
#include "libcommon/testing/seeds.hpp"
#include "tests/sim/ctl_master/cluster.hpp"

namespace ff::sim {
namespace {

using namespace std::chrono_literals;
using runtime::Task;
using testing::SimEnv;
using testing::SimWorld;

using Body = Task<Result<>> (*)(SimWorld&, SimEnv&, ctl::MasterClient&);

ctl::Caller caller(std::string name, std::uint32_t uid) {
  ctl::Caller out;
  out.set_user(std::move(name));
  out.set_uid(uid);
  out.set_gid(uid);
  return out;
}

// Once more until a leader has stored it.
template <class Request, class Reply>
Task<Result<Reply>> ask(ctl::MasterClient& master,
                        Task<Result<Reply>> (ctl::MasterClient::*method)(const Request&, rpc::CallOptions) const,
                        Request request) {
  for (int i = 0;; ++i) {
    Result<Reply> reply = co_await (master.*method)(request, {.timeout = 10s, .attempts = 1});
    if (reply || i == 500 || (reply.error().code() != Errc::kUnavailable && reply.error().code() != Errc::kTimeout))
      co_return reply;
    FF_CO_TRY(co_await runtime::sleep(100ms));
  }
}

// One master, one node, and a person who does as `body` says.
void with_master(const char* name, Body body) {
  const auto run = testing::run_seeds(name, 1, 3, [&](SimWorld& world) -> Result<> {
    kv::MemoryCluster store({.seed = world.seed(), .clock = [&world] { return world.now(); }});
    CtlOracle oracle(world);
    const Defer stop([&world] {
      for (testing::NodeId node = 0; node < world.nodes(); ++node) world.kill(node);
    });
    const auto masters = world.add_nodes(kMasters);
    const auto agents = world.add_nodes(1);
    const auto person = world.add_node();
    world.start(masters[0], [&](SimEnv& env) -> Task<Result<>> { co_return co_await run_master(env, store, oracle); });
    world.start(agents[0], [&](SimEnv& env) -> Task<Result<>> { co_return co_await run_agent(env, oracle); });
    world.start(person, [&](SimEnv& env) -> Task<Result<>> {
      rpc::Client client(env, env.world().address(masters[0], kMasterPort));
      ctl::MasterClient master(client);
      (void)co_await runtime::sleep(9s);  // by then the store fails no more
      Result<> done = co_await body(world, env, master);
      co_await client.stop();
      co_return done;
    });
    FF_TRY(world.run_until([&] { return world.exited(person); }, 120s, "the person ends"));
    return world.exit_result(person);
  });
  EXPECT_TRUE(run.ok()) << run.report;
}

Task<Result<>> look_at_others(SimWorld&, SimEnv&, ctl::MasterClient& master) {
  ctl::SubmitRequest submit;
  *submit.mutable_caller() = caller("alice", 1000);
  submit.set_request_key("0123456789abcdef");  // asked again it is the same submission
  ctl::JobSpec& spec = *submit.add_jobs() = sim_job("private", 1, ctl::NORMAL, {});
  spec.set_hold(true);
  spec.mutable_run()->set_script("#!/bin/sh\ntrue\n");
  (*spec.mutable_run()->mutable_environment())["PASSWORD"] = "secret";
  FF_CO_TRY(co_await ask(master, &ctl::MasterClient::submit, submit));
  for (const auto& [who, sees] : {std::pair(caller("alice", 1000), true), std::pair(caller("bob", 1001), false),
                                  std::pair(caller("root", 0), true)}) {
    ctl::ListJobsRequest list;
    *list.mutable_caller() = who;
    FF_CO_TRY_ASSIGN(const ctl::ListJobsReply reply, co_await ask(master, &ctl::MasterClient::list_jobs, list));
    if (reply.jobs_size() != 1) co_return fail(Errc::kInternal, "the job is not listed");
    const ctl::RunSpec& run = reply.jobs(0).spec().run();
    EXPECT_EQ(run.environment().contains("PASSWORD"), sees) << who.user();
    EXPECT_EQ(!run.script().empty(), sees) << who.user();
    EXPECT_EQ(run.command(0), "fake");
  }
  co_return {};
}

TEST(CallsSim, VariablesAndScriptsAreTheirOwners) { with_master("CallsSim.Variables", look_at_others); }

Task<Result<>> wait_for_many(SimWorld&, SimEnv&, ctl::MasterClient& master) {
  ctl::WaitJobsRequest wait;
  *wait.mutable_caller() = caller("alice", 1000);
  wait.set_any(true);
  wait.set_wait_ms(1000);
  for (int i = 0; i < 40; ++i) {
    ctl::SubmitRequest submit;
    *submit.mutable_caller() = wait.caller();
    *submit.add_jobs() = sim_job("long", 1, ctl::NORMAL, {std::string(100'000, 'x')});
    submit.mutable_jobs(0)->set_hold(true);
    FF_CO_TRY_ASSIGN(const ctl::SubmitReply reply, co_await ask(master, &ctl::MasterClient::submit, submit));
    wait.add_jobs(reply.jobs(0));
  }
  ctl::ControlRequest stop;
  *stop.mutable_caller() = wait.caller();
  stop.set_verb(ctl::ControlRequest::STOP);
  stop.add_jobs(wait.jobs(39));
  FF_CO_TRY(co_await ask(master, &ctl::MasterClient::control, stop));
  FF_CO_TRY_ASSIGN(const ctl::WaitJobsReply reply, co_await ask(master, &ctl::MasterClient::wait_jobs, wait));
  EXPECT_TRUE(reply.reached());
  EXPECT_LT(reply.jobs_size(), 40);
  EXPECT_EQ(reply.jobs(reply.jobs_size() - 1).id(), wait.jobs(39));
  EXPECT_EQ(reply.jobs(reply.jobs_size() - 1).result(), ctl::STOPPED);
  co_return {};
}

TEST(CallsSim, TheFirstThatFailedIsToldAlsoInALongList) { with_master("CallsSim.LongList", wait_for_many); }

Task<Result<>> check_twice(SimWorld& world, SimEnv&, ctl::MasterClient& master) {
  ctl::ControlNodeRequest check;
  *check.mutable_caller() = caller("root", 0);
  check.set_verb(ctl::ControlNodeRequest::CHECK);
  check.add_nodes(fmt::format("n{}", kMasters));
  FF_CO_TRY_ASSIGN(ctl::ControlNodeReply reply, co_await ask(master, &ctl::MasterClient::control_node, check));
  EXPECT_EQ(reply.nodes(0).error(), "");
  EXPECT_EQ(reply.nodes(0).text(), "passed");
  world.kill(kMasters, testing::Kill::kProcess);
  FF_CO_TRY_ASSIGN(reply, co_await ask(master, &ctl::MasterClient::control_node, check));
  EXPECT_NE(reply.nodes(0).error(), "");
  EXPECT_EQ(reply.nodes(0).text(), "");
  co_return {};
}

TEST(CallsSim, ANodeThatCouldNotBeCheckedHasNotPassed) { with_master("CallsSim.Check", check_twice); }

}  // namespace
}  // namespace ff::sim
