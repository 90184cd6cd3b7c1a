#include "tests/sim/ctl_master/cluster.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "libcommon/rpc/server.hpp"

namespace ff::sim {

using namespace std::chrono_literals;
using runtime::Task;
using testing::SimEnv;

namespace {

constexpr auto kFlaky = 8s;
constexpr auto kWell = 12s;
constexpr auto kHeartbeat = 200ms;

std::uint64_t steady_ms(SimEnv& env) { return static_cast<std::uint64_t>(env.now().time_since_epoch() / 1ms); }
std::uint64_t unix_ms(SimEnv& env) { return static_cast<std::uint64_t>(env.wall_now().time_since_epoch() / 1ms); }

ctl::MasterOptions master_options(SimEnv& env, CtlOracle& oracle) {
  ctl::MasterOptions options;
  options.name = fmt::format("master{}", env.node());
  options.engine = {.failure_timeout_ms = 1000,
                    .launch_timeout_ms = 2000,
                    .settle_ms = 200,
                    .kill_timeout_ms = 1000,
                    .cleanup_timeout_ms = 1000,
                    .done_age_ms = std::uint64_t{1} << 50};  // the nodes' clocks are years apart
  options.lease_ttl = 1s;
  options.apply_timeout = 500ms;
  options.observe = [&oracle](const ctl::Engine& engine, bool stored) { oracle.saw(engine, stored); };
  return options;
}

}  // namespace

ctl::JobSpec sim_job(std::string name, std::uint32_t nodes, ctl::Priority priority, std::vector<std::string> words) {
  ctl::JobSpec spec;
  spec.set_name(std::move(name));
  spec.set_queue("train");
  spec.set_priority(priority);
  spec.mutable_resources()->set_nodes(nodes);
  if (nodes > 1) spec.mutable_resources()->set_gpus_per_node(8);
  spec.mutable_run()->add_command("fake");
  for (std::string& word : words) spec.mutable_run()->add_command(std::move(word));
  spec.mutable_run()->set_workdir("/tmp");
  spec.mutable_run()->set_launcher(ctl::PER_NODE);
  spec.mutable_run()->set_ranks_per_node(1);
  spec.mutable_preemption()->set_mode(ctl::PreemptionSpec::CHECKPOINT);
  spec.mutable_preemption()->set_grace_ms(2000);
  spec.mutable_preemption()->set_max_grace_ms(4000);
  spec.mutable_retry()->add_on(ctl::NODE_FAIL);
  spec.mutable_retry()->set_max(1000);
  spec.mutable_retry()->set_backoff_ms(10);
  return spec;
}

// ---- masters --------------------------------------------------------------------------------------------------------

Task<Result<>> run_master(SimEnv& env, kv::MemoryCluster& cluster, CtlOracle& oracle) {
  const auto store = cluster.connect(env);
  store->faults() = {.delay_max = 5ms};
  if (env.world().elapsed() < kFlaky)
    store->faults() = {.conflict = 0.02,
                       .maybe_committed = 0.02,
                       .late_max = 200ms,
                       .delay_max = 5ms,
                       .outage = 0.002,
                       .outage_max = 500ms};
  FF_CO_TRY_ASSIGN(ctl::Scheduling scheduling, ctl::Scheduling::create("slice", 200));
  ctl::Master master(env, *store, std::move(scheduling), master_options(env, oracle));
  rpc::Server server(env);
  FF_CO_TRY(server.add(master));
  FF_CO_TRY(server.add(master.reports()));
  FF_CO_TRY(co_await server.listen(net::Address::tcp("", kMasterPort)));
  master.start();
  runtime::Event forever;
  (void)co_await forever.wait();
  co_await master.stop();
  co_await server.stop(1s);
  co_return {};
}

// ---- agents ---------------------------------------------------------------------------------------------------------

namespace {

struct Agent final : ctl::AgentService {
  Agent(SimEnv& e, CtlOracle& o)
      : env(e),
        oracle(o),
        node(fmt::format("n{}", e.node()), e.world().address(e.node(), kAgentPort).text(), e.rng().next() | 1) {
    node.fence(steady_ms(env), unix_ms(env));
    oracle.nodes[env.node()] = {&node, &env};
  }
  ~Agent() override { oracle.nodes.erase(env.node()); }

  Task<Result<ctl::ApplyReply>> apply(rpc::ServerCall&, const ctl::ApplyRequest& request) override {
    node.fence(steady_ms(env), unix_ms(env));
    if (!node.apply(request, unix_ms(env))) co_return fail(Errc::kInvalidArgument, "apply: of a former master");
    poke.set();
    oracle.check();
    ctl::ApplyReply reply;
    *reply.mutable_report() = node.report(unix_ms(env));
    co_return reply;
  }
  Task<Result<ctl::ReadLogReply>> read_log(rpc::ServerCall&, const ctl::ReadLogRequest&) override {
    co_return ctl::ReadLogReply();
  }
  Task<Result<ctl::RunCheckReply>> run_check(rpc::ServerCall&, const ctl::RunCheckRequest&) override {
    co_return ctl::RunCheckReply();
  }
  Task<Result<ctl::ListProcessesReply>> list_processes(rpc::ServerCall&, const ctl::ListProcessesRequest&) override {
    co_return ctl::ListProcessesReply();
  }
  Task<Result<ctl::SignalReply>> signal(rpc::ServerCall&, const ctl::SignalRequest&) override {
    co_return ctl::SignalReply();
  }

  SimEnv& env;
  CtlOracle& oracle;
  ctl::FakeNode node;
  runtime::Event poke;
};

Task<Result<>> wait_for(runtime::Event& event) { co_return co_await event.wait(); }

// To whichever master leads, at once when something has happened and else every heartbeat.
Task<Result<>> report_for_ever(SimEnv& env, Agent& agent, std::vector<std::unique_ptr<rpc::Client>>& masters) {
  for (std::size_t at = 0;;) {
    ctl::ReportsClient reports(*masters[at % masters.size()]);
    const ctl::NodeReport report = agent.node.report(unix_ms(env));
    const std::uint64_t sent = steady_ms(env);
    const auto reply = co_await reports.report(report, {.timeout = 150ms, .attempts = 1});
    FF_CO_TRY(co_await runtime::not_cancelled());
    // One that has run out meanwhile is over, whatever the answer says.
    agent.node.fence(steady_ms(env), unix_ms(env));
    if (reply) agent.node.lease(*reply, sent);
    if (!reply) {
      ++at;
      FF_CO_TRY(co_await runtime::sleep(20ms));
      continue;
    }
    agent.poke.reset();
    const bool busy = agent.node.next(unix_ms(env)) != 0;
    (void)co_await runtime::with_timeout(busy ? 25ms : runtime::Duration(kHeartbeat), "news", wait_for(agent.poke));
    FF_CO_TRY(co_await runtime::not_cancelled());
    agent.oracle.check();
  }
}

}  // namespace

Task<Result<>> run_agent(SimEnv& env, CtlOracle& oracle) {
  Agent agent(env, oracle);
  rpc::Server server(env);
  FF_CO_TRY(server.add(agent));
  FF_CO_TRY(co_await server.listen(net::Address::tcp("", kAgentPort)));
  std::vector<std::unique_ptr<rpc::Client>> masters;
  for (testing::NodeId node = 0; node < kMasters; ++node)
    masters.push_back(std::make_unique<rpc::Client>(env, env.world().address(node, kMasterPort)));
  (void)co_await report_for_ever(env, agent, masters);
  for (auto& master : masters) co_await master->stop();
  co_await server.stop(1s);
  co_return {};
}

// ---- a person -------------------------------------------------------------------------------------------------------

namespace {

ctl::Caller caller() {
  ctl::Caller out;
  out.set_user("alice");
  out.set_uid(1000);
  return out;
}

// Until a leader has answered it.
template <class Reply, class Call>
Task<Result<Reply>> ask(SimEnv& env, std::vector<std::unique_ptr<rpc::Client>>& masters, Call call) {
  for (std::size_t at = 0;; ++at) {
    ctl::MasterClient master(*masters[at % masters.size()]);
    Result<Reply> reply = co_await call(master);
    if (reply) co_return reply;
    const Errc code = reply.error().code();
    // Until the nodes have been heard of, what asks for all of them is refused.
    const bool early = code == Errc::kUnsupported && env.world().elapsed() < 20s;
    if (!early && code != Errc::kUnavailable && code != Errc::kTimeout && code != Errc::kExhausted) co_return reply;
    if (env.world().elapsed() > 100s) co_return reply;
    FF_CO_TRY(co_await runtime::sleep(std::chrono::milliseconds(20 + env.rng().below(50))));
  }
}

Task<Result<>> submit_one(SimEnv& env, std::vector<std::unique_ptr<rpc::Client>>& masters, CtlOracle& oracle,
                          std::size_t index) {
  Rng& rng = env.rng();
  ctl::SubmitRequest request;
  *request.mutable_caller() = caller();
  std::string key(16, '\0');
  for (char& c : key) c = static_cast<char>(rng.next());
  request.set_request_key(key);
  const std::size_t count = 1 + rng.below(2);
  for (std::size_t i = 0; i < count; ++i)
    *request.add_jobs() =
        sim_job(fmt::format("j{}", index), static_cast<std::uint32_t>(1 + rng.below(3)),
                static_cast<ctl::Priority>(ctl::LOW + static_cast<int>(rng.below(4))),
                {fmt::format("steps={}", 2 + rng.below(20)), fmt::format("rate={}", rng.below(3) * 10),
                 fmt::format("deaf={}", rng.below(12) == 0 ? 1 : 0)});
  auto reply =
      co_await ask<ctl::SubmitReply>(env, masters, [&](ctl::MasterClient& m) -> Task<Result<ctl::SubmitReply>> {
        co_return co_await m.submit(request, {.timeout = 2s, .attempts = 1});
      });
  if (!reply) co_return fail(std::move(reply).error().context("submit"));
  for (const std::uint64_t job : reply->jobs()) oracle.submitted(job);
  if (rng.below(3) != 0) co_return {};
  (void)co_await runtime::sleep(std::chrono::milliseconds(rng.below(1000)));
  ctl::ControlRequest control;
  *control.mutable_caller() = caller();
  control.set_verb(static_cast<ctl::ControlRequest::Verb>(1 + rng.below(4)));
  control.add_jobs(reply->jobs(0));
  FF_CO_TRY(co_await ask<ctl::ControlReply>(env, masters, [&](ctl::MasterClient& m) -> Task<Result<ctl::ControlReply>> {
    co_return co_await m.control(control, {.timeout = 2s, .attempts = 1});
  }));
  // What was suspended goes on in the end.
  (void)co_await runtime::sleep(std::chrono::milliseconds(rng.below(1000)));
  control.set_verb(ctl::ControlRequest::RESUME);
  for (int i = 0; i < 100; ++i) {
    auto resumed =
        co_await ask<ctl::ControlReply>(env, masters, [&](ctl::MasterClient& m) -> Task<Result<ctl::ControlReply>> {
          co_return co_await m.control(control, {.timeout = 2s, .attempts = 1});
        });
    FF_CO_TRY(resumed);
    const ctl::JobPhase phase = resumed->jobs(0).phase();
    if (phase != ctl::SUSPENDED && phase != ctl::SUSPENDING) break;
    (void)co_await runtime::sleep(100ms);
  }
  co_return {};
}

}  // namespace

namespace {

// When the faults are over, as an administrator does: nodes that were cut off while their ranks were to be killed have
// been drained for that.
Task<Result<>> undrain_all(SimEnv& env, std::vector<std::unique_ptr<rpc::Client>>& masters) {
  if (env.world().elapsed() < kWell) FF_CO_TRY(co_await runtime::sleep(kWell - env.world().elapsed()));
  ctl::ControlNodeRequest undrain;
  *undrain.mutable_caller() = caller();
  undrain.mutable_caller()->set_uid(0);
  undrain.set_verb(ctl::ControlNodeRequest::UNDRAIN);
  for (std::size_t i = 0; i < kAgents; ++i) undrain.add_nodes(fmt::format("n{}", kMasters + i));
  FF_CO_TRY(co_await ask<ctl::ControlNodeReply>(
      env, masters, [&](ctl::MasterClient& m) -> Task<Result<ctl::ControlNodeReply>> {
        co_return co_await m.control_node(undrain, {.timeout = 2s, .attempts = 1});
      }));
  co_return {};
}

}  // namespace

Task<Result<>> run_person(SimEnv& env, CtlOracle& oracle, std::size_t jobs) {
  std::vector<std::unique_ptr<rpc::Client>> masters;
  for (testing::NodeId node = 0; node < kMasters; ++node)
    masters.push_back(std::make_unique<rpc::Client>(env, env.world().address(node, kMasterPort)));
  Result<> result;
  for (std::size_t i = 0; i < jobs && result; ++i) {
    (void)co_await runtime::sleep(std::chrono::milliseconds(env.rng().below(600)));
    result = co_await submit_one(env, masters, oracle, i);
  }
  if (result) result = co_await undrain_all(env, masters);
  for (auto& master : masters) co_await master->stop();
  co_return result;
}

// ---- the oracle -----------------------------------------------------------------------------------------------------

void CtlOracle::saw(const ctl::Engine& engine, bool stored) {
  for (const auto& [id, entry] : engine.state().jobs) {
    if (!stored) continue;
    Seen& seen = jobs_[id];
    const auto attempts = entry.job().attempts_size();
    const std::uint32_t number = attempts == 0 ? 0 : entry.job().attempts(attempts - 1).number();
    if (seen.phase == ctl::DONE && entry.job().phase() != ctl::DONE)
      world_.convict(fmt::format("job {} was done, and is {}", id, ctl::JobPhase_Name(entry.job().phase())));
    seen.phase = entry.job().phase();
    seen.attempt = number;
    int open = 0;
    for (const ctl::Attempt& attempt : entry.job().attempts()) {
      if (attempt.phase() != ctl::CLOSED) ++open;
    }
    if (open > 1) world_.convict(fmt::format("job {} has {} attempts open", id, open));
    if ((open == 1) != ctl::has_attempt(entry.job().phase()))
      world_.convict(
          fmt::format("job {} is {} with {} open attempts", id, ctl::JobPhase_Name(entry.job().phase()), open));
  }
  if (!stored) return;
  for (const std::uint64_t job : submitted_)
    if (!engine.state().jobs.contains(job))
      world_.convict(fmt::format("job {} was lost, at {}, {} jobs known", job, engine.state().header.ShortDebugString(),
                                 engine.state().jobs.size()));
}

void CtlOracle::check() {
  std::map<std::uint64_t, std::set<std::string>> running;
  for (const auto& [id, at] : nodes) {
    ctl::FakeNode* const node = at.node;
    node->fence(steady_ms(*at.env), unix_ms(*at.env));
    std::set<std::uint64_t> whole;
    for (const auto& [job, placement] : node->running()) {
      whole.insert(job);
      running[job].insert(placement);
    }
    if (whole.size() > 1) world_.convict(fmt::format("node {} holds {} attempts", node->facts().name(), whole.size()));
  }
  for (const auto& [job, attempts] : running)
    if (attempts.size() > 1) world_.convict(fmt::format("job {} runs twice at once", job));
}

bool CtlOracle::all_done() const {
  return std::ranges::all_of(submitted_, [&](std::uint64_t job) {
    const auto found = jobs_.find(job);
    return found != jobs_.end() && found->second.phase == ctl::DONE;
  });
}

std::string CtlOracle::describe() const {
  std::string out;
  for (const std::uint64_t job : submitted_) {
    const auto found = jobs_.find(job);
    if (found != jobs_.end() && found->second.phase != ctl::DONE)
      out += fmt::format("job {} is {} (attempt {}); ", job, ctl::JobPhase_Name(found->second.phase),
                         found->second.attempt);
  }
  return out;
}

}  // namespace ff::sim
