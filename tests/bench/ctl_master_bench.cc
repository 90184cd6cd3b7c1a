// What ffctld reaches: submissions a second with durability on, from a submission until all ranks run, and a whole pass
// (views, plan, starts) over a large cluster. Masters, agents without processes, and clients share one thread, so that
// the figures of the first two are what is left for the master after the others.
//
//   ctl_master_bench FOLDER [SECONDS] [NODES] [JOBS] [LATENCIES]      FOLDER: for the store, ff-ctl-master-bench in it,
//                                                                  which is made anew and left
#include <fmt/core.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <string>
#include <vector>

#include "ffctl/master/master.hpp"
#include "libcommon/kv/rocksdb_store.hpp"
#include "libcommon/net/tcp_network.hpp"
#include "libcommon/rpc/server.hpp"
#include "libcommon/runtime/real_env.hpp"
#include "tests/support/ctl_fake_node.hpp"

namespace ff::ctl {
namespace {

using namespace std::chrono_literals;
using runtime::Task;

constexpr std::size_t kClients = 64, kAgents = 4;

struct Arguments {
  std::string folder;
  std::int64_t seconds = 5;
  std::size_t nodes = 10'000, jobs = 50'000, latencies = 100;
};

double ms_since(runtime::Env& env, runtime::Time since) {
  return static_cast<double>((env.now() - since) / 1us) / 1000;
}

JobSpec spec_of(std::string name, std::uint32_t nodes, bool hold) {
  JobSpec spec;
  spec.set_name(std::move(name));
  spec.set_queue("train");
  spec.set_priority(NORMAL);
  spec.mutable_resources()->set_nodes(nodes);
  spec.mutable_resources()->set_gpus_per_node(8);
  for (const char* word : {"fake", "steps=1", "rate=100"}) spec.mutable_run()->add_command(word);
  for (int i = 0; i < 10; ++i) (*spec.mutable_run()->mutable_environment())[fmt::format("NAME_{}", i)] = "some value";
  spec.mutable_run()->set_workdir("/tmp");
  spec.mutable_run()->set_launcher(PER_NODE);
  spec.mutable_run()->set_ranks_per_node(1);
  spec.mutable_preemption()->set_mode(PreemptionSpec::CHECKPOINT);
  spec.mutable_preemption()->set_grace_ms(5000);
  spec.mutable_preemption()->set_max_grace_ms(10'000);
  spec.set_hold(hold);
  return spec;
}

struct Agent final : AgentService {
  Agent(runtime::Env& e, std::string name, std::string address)
      : env(e),
        node(std::move(name), std::move(address), 1, {.launch_ms = 0, .save_ms = 0, .end_ms = 0, .clean_ms = 0}) {}
  std::uint64_t now() const { return static_cast<std::uint64_t>(env.wall_now().time_since_epoch() / 1ms); }
  Task<Result<ApplyReply>> apply(rpc::ServerCall&, const ApplyRequest& request) override {
    (void)node.apply(request, now());
    ApplyReply reply;
    *reply.mutable_report() = node.report(now());
    co_return reply;
  }
  Task<Result<ReadLogReply>> read_log(rpc::ServerCall&, const ReadLogRequest&) override { co_return ReadLogReply(); }
  Task<Result<RunCheckReply>> run_check(rpc::ServerCall&, const RunCheckRequest&) override {
    co_return RunCheckReply();
  }
  Task<Result<ListProcessesReply>> list_processes(rpc::ServerCall&, const ListProcessesRequest&) override {
    co_return ListProcessesReply();
  }
  Task<Result<SignalReply>> signal(rpc::ServerCall&, const SignalRequest&) override { co_return SignalReply(); }

  runtime::Env& env;
  FakeNode node;
};

Task<Result<>> submit_until(runtime::Env& env, rpc::Client& client, runtime::Time until, std::uint64_t& count) {
  MasterClient master(client);
  SubmitRequest request;
  request.mutable_caller()->set_user("bench");
  *request.add_jobs() = spec_of("bench", 1, true);
  while (env.now() < until) {
    FF_CO_TRY(co_await master.submit(request, {.timeout = 10s}));
    ++count;
  }
  co_return {};
}

Task<Result<>> report_now(rpc::Client& client, Agent& agent) {
  ReportsClient reports(client);
  FF_CO_TRY(co_await reports.report(agent.node.report(agent.now()), {.timeout = 5s}));
  co_return {};
}

Task<Result<>> report_for_ever(rpc::Client& client, std::vector<std::unique_ptr<Agent>>& agents) {
  for (;;) {
    for (auto& agent : agents) (void)co_await report_now(client, *agent);
    FF_CO_TRY(co_await runtime::sleep(5ms));
  }
}

Task<Result<>> measure_submissions(runtime::Env& env, rpc::Client& client, const Arguments& arguments) {
  std::vector<double> latencies;
  MasterClient ask(client);
  for (std::size_t i = 0; i < arguments.latencies; ++i) {
    SubmitRequest request;
    request.mutable_caller()->set_user("bench");
    *request.add_jobs() = spec_of("latency", 1 + static_cast<std::uint32_t>(i % kAgents), false);
    const runtime::Time began = env.now();
    FF_CO_TRY_ASSIGN(const SubmitReply reply, co_await ask.submit(request, {.timeout = 10s}));
    WaitJobsRequest wait;
    wait.add_jobs(reply.jobs(0));
    wait.add_until(RUNNING);
    wait.set_wait_ms(5000);
    FF_CO_TRY(co_await ask.wait_jobs(wait, {.timeout = 10s}));
    latencies.push_back(ms_since(env, began));
    wait.clear_until();
    FF_CO_TRY(co_await ask.wait_jobs(wait, {.timeout = 10s}));
    FF_CO_TRY(co_await runtime::sleep(100ms));
  }
  std::ranges::sort(latencies);
  fmt::print("submit to running, {} jobs on an idle cluster: p50 {:.1f} ms, p99 {:.1f} ms\n", latencies.size(),
             latencies[latencies.size() / 2], latencies[latencies.size() * 99 / 100]);
  std::uint64_t count = 0;
  const runtime::Time began = env.now();
  {
    runtime::Scope scope(co_await runtime::current_context());
    for (std::size_t i = 0; i < kClients; ++i)
      scope.spawn(submit_until(env, client, began + std::chrono::seconds(arguments.seconds), count));
    FF_CO_TRY(co_await scope.join());
  }
  fmt::print("submits, durable, {} clients: {:.0f} a second\n", kClients,
             static_cast<double>(count) * 1000 / ms_since(env, began));
  co_return {};
}

Task<Result<>> measure(runtime::Env& env, rpc::Client& client, std::vector<std::unique_ptr<Agent>>& agents,
                       Master& master, const Arguments& arguments) {
  while (!master.leads()) FF_CO_TRY(co_await runtime::sleep(10ms));
  runtime::Scope reporting(co_await runtime::current_context());
  reporting.spawn(report_for_ever(client, agents));
  (void)co_await runtime::sleep(200ms);
  Result<> done = co_await measure_submissions(env, client, arguments);
  reporting.cancel();
  (void)co_await reporting.join();
  co_return done;
}

Task<Result<>> live(runtime::RealEnv& env, const Arguments& arguments) {
  FF_CO_TRY_ASSIGN(const auto store, co_await kv::open_rocksdb_store(env, {.path = arguments.folder, .create = true}));
  FF_CO_TRY_ASSIGN(Scheduling scheduling, Scheduling::create("slice"));
  Master master(env, *store, std::move(scheduling), {.name = "bench"});
  rpc::Server server(env);
  FF_CO_TRY(server.add(master));
  FF_CO_TRY(server.add(master.reports()));
  FF_CO_TRY_ASSIGN(const net::Address at, co_await server.listen(net::Address::tcp("127.0.0.1", 0)));
  std::vector<std::unique_ptr<Agent>> agents;
  std::vector<std::unique_ptr<rpc::Server>> servers;
  Result<> result;
  for (std::size_t i = 0; i < kAgents && result; ++i) {
    agents.push_back(std::make_unique<Agent>(env, fmt::format("n{}", i), "127.0.0.1:1"));
    servers.push_back(std::make_unique<rpc::Server>(env));
    result = servers.back()->add(*agents.back());
    const auto where = co_await servers.back()->listen(net::Address::tcp("127.0.0.1", 0));
    if (where) agents.back()->node.facts().set_address(where->text());
  }
  master.start();
  rpc::Client client(env, net::PeerAddress{{at}});
  if (result) result = co_await measure(env, client, agents, master, arguments);
  co_await client.stop();
  co_await master.stop();
  co_await server.stop(1s);
  for (auto& one : servers) co_await one->stop(1s);
  co_await store->stop();
  co_await env.network().stop();
  co_return result;
}

// In time of the processor, so that others on the machine count less.
Result<> passes(const Arguments& arguments) {
  Engine engine({}, [](Change) {});
  FF_TRY_ASSIGN(Scheduling scheduling, Scheduling::create("slice"));
  std::uint64_t now = 1'700'000'000'000;
  engine.begin(State(), 1, now);
  scheduling.begin(engine, now);
  for (std::size_t i = 0; i < arguments.nodes; ++i) {
    FakeNode node(fmt::format("n{:05}", i), "127.0.0.1:1", 1);
    node.facts().set_leaf(fmt::format("leaf{}", i / 32));
    FF_TRY(engine.report(node.report(now), now));
  }
  Rng rng(1);
  const Actor actor{.user = "u"};
  for (std::size_t i = 0; i < arguments.jobs; ++i) {
    SubmitRequest request;
    *request.add_jobs() = spec_of("job", 1u << rng.below(6), false);
    request.mutable_jobs(0)->set_priority(static_cast<Priority>(1 + rng.below(7)));
    FF_TRY(engine.submit(request, {.user = fmt::format("u{}", rng.below(100)), .uid = 1}, now));
  }
  std::vector<double> times;
  for (int i = 0; i < 20; ++i) {
    now += 100;
    const std::clock_t began = std::clock();
    const Scheduling::Pass pass = scheduling.pass(engine, now);
    times.push_back(static_cast<double>(std::clock() - began) * 1000 / CLOCKS_PER_SEC);
    if (i == 0)
      fmt::print("first pass over {} nodes, {} jobs: {:.1f} ms, {} started\n", arguments.nodes, arguments.jobs,
                 times[0], pass.started);
  }
  times.erase(times.begin());
  std::ranges::sort(times);
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  fmt::print("passes after it: median {:.1f} ms, most {:.1f} ms; memory of the process {} MiB\n",
             times[times.size() / 2], times.back(), usage.ru_maxrss / 1024);
  return {};
}

Result<> run(const Arguments& arguments) {
  std::error_code ignored;
  std::filesystem::remove_all(arguments.folder, ignored);
  std::filesystem::create_directories(std::filesystem::path(arguments.folder).parent_path(), ignored);
  FF_TRY(passes(arguments));
  FF_TRY_ASSIGN(auto env, runtime::RealEnv::create({}));
  net::TcpOptions tcp;
  tcp.endpoint.identity = {.role = "bench", .node_id = 0, .instance_id = 1};
  tcp.endpoint.key = std::make_shared<const net::ClusterKey>(net::ClusterKey::generate());
  FF_TRY_ASSIGN(auto network, net::make_tcp_network(*env, std::move(tcp)));
  env->attach_network(std::move(network));
  return env->run(live(*env, arguments));
}

}  // namespace
}  // namespace ff::ctl

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: ctl_master_bench FOLDER [SECONDS] [NODES] [JOBS] [LATENCIES]\n");
    return 2;
  }
  ff::ctl::Arguments arguments{.folder = std::string(argv[1]) + "/ff-ctl-master-bench"};
  if (argc > 2) arguments.seconds = std::atoll(argv[2]);
  if (argc > 3) arguments.nodes = static_cast<std::size_t>(std::atoll(argv[3]));
  if (argc > 4) arguments.jobs = static_cast<std::size_t>(std::atoll(argv[4]));
  if (argc > 5) arguments.latencies = std::max<std::size_t>(1, static_cast<std::size_t>(std::atoll(argv[5])));
  if (const auto done = ff::ctl::run(arguments); !done) {
    fmt::print(stderr, "ctl_master_bench: {}\n", done.error().message());
    return 1;
  }
  return 0;
}
