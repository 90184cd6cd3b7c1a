// A real ffnoded as a process of its own, and a master that only a test knows, over real TCP.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ffctl/node/launch_plan.hpp"
#include "ffctl/proto/agent.ff.hpp"
#include "ffctl/rank/process_tree.hpp"
#include "libcommon/base/defer.hpp"
#include "libcommon/net/cluster_key.hpp"
#include "libcommon/net/tcp_network.hpp"
#include "libcommon/rpc/client.hpp"
#include "libcommon/rpc/server.hpp"
#include "libcommon/runtime/real_env.hpp"
#include "libcommon/testing/temp_folder.hpp"

namespace ff::ctl {

using namespace std::chrono_literals;
using runtime::Task;

class FakeMaster final : public ReportsService {
 public:
  Task<Result<ReportReply>> report(rpc::ServerCall&, const NodeReport& report) override {
    if (!leads) co_return fail(Errc::kUnavailable, "not the leader");
    last = report;
    for (const AttemptReport& one : report.attempts())
      if (!one.user_state().empty()) states[one.job()] = one.user_state();
    ++reports;
    ReportReply reply;
    reply.set_master_epoch(epoch);
    reply.set_lease_ms(lease_ms);
    reply.set_stop_ms(stop_ms);
    reply.set_void_sequence(void_sequence);
    co_return reply;
  }
  bool leads = true;
  std::uint64_t epoch = 1;
  std::uint64_t lease_ms = 0, stop_ms = 0, void_sequence = 0;
  std::uint64_t reports = 0;
  NodeReport last;
  std::map<std::uint64_t, std::string> states;  // of jobs, as last told
};

// Path of ffnoded; each test program says where its build has put it.
extern const char* const kFfnoded;

class AgentWorld {
 public:
  AgentWorld() {
    ::chmod(temp.path().c_str(), 0755);
    key = std::make_shared<const net::ClusterKey>(net::ClusterKey::generate());
    EXPECT_TRUE(key->create_file(temp.file("key")));
    auto made = runtime::RealEnv::create({.registered_bytes = 0});
    EXPECT_TRUE(made);
    env = std::move(*made);
    net::TcpOptions tcp;
    tcp.endpoint.identity = {.role = "master", .node_id = 1, .instance_id = 5};
    tcp.endpoint.key = key;
    auto network = net::make_tcp_network(*env, std::move(tcp));
    EXPECT_TRUE(network);
    env->attach_network(std::move(*network));
  }
  ~AgentWorld() { kill_agent(); }

  // Runs a test's body with the master up and the agent started.
  template <class F>
  void run(F body) {
    env->run(around(std::move(body)));
  }

  void start_agent() {
    std::vector<std::string> words{
        kFfnoded,   "--master",        masters,  "--key", temp.file("key"), "--name",      "n1",
        "--folder", temp.file("node"), "--gpus", "4",     "--fake-gpus",    "--heartbeat", "500ms"};
    words.insert(words.end(), extra.begin(), extra.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    ASSERT_EQ(::posix_spawn(&agent, kFfnoded, nullptr, nullptr, argv.data(), environ), 0);
  }
  void kill_agent(int signo = SIGKILL) {
    if (agent <= 0) return;
    ::kill(agent, signo);
    ::waitpid(agent, nullptr, 0);
    agent = 0;
  }

  // Waits for a report that pleases; false after `patience`.
  Task<bool> until(std::function<bool(const NodeReport&)> pleases, runtime::Duration patience = 20s) {
    const runtime::Time end = env->now() + patience;
    while (env->now() < end) {
      if (master.reports > 0 && pleases(master.last)) co_return true;
      if (!co_await runtime::sleep(5ms)) co_return false;
    }
    co_return false;
  }
  // The agent started anew and has reported.
  Task<bool> connected() {
    const std::uint64_t before = master.reports;
    if (!co_await until([this, before](const NodeReport&) { return master.reports > before; })) co_return false;
    if (client) co_await client->stop();
    auto peer = net::parse_peer_address(master.last.facts().address());
    if (!peer) co_return false;
    client = std::make_unique<rpc::Client>(*env, *peer);
    co_return true;
  }
  Task<bool> until_state(std::uint64_t job, AttemptReport::State state, runtime::Duration patience = 20s) {
    co_return co_await until(
        [job, state](const NodeReport& report) {
          for (const AttemptReport& attempt : report.attempts())
            if (attempt.job() == job) return attempt.state() == state;
          return false;
        },
        patience);
  }
  const AttemptReport& attempt(std::uint64_t job) const {
    for (const AttemptReport& attempt : master.last.attempts())
      if (attempt.job() == job) return attempt;
    static const AttemptReport none;
    return none;
  }

  static DesiredAttempt job(std::uint64_t number, std::vector<std::string> command, std::uint32_t ranks = 1) {
    DesiredAttempt desired;
    desired.set_job(number);
    desired.set_attempt(1);
    desired.set_want(DesiredAttempt::RUN);
    desired.set_job_name("job-" + std::to_string(number));
    desired.set_user("somebody");
    desired.set_uid(::getuid());
    desired.set_gid(::getgid());
    for (std::string& word : command) desired.mutable_spec()->mutable_run()->add_command(std::move(word));
    desired.mutable_spec()->mutable_run()->set_workdir("/");
    desired.mutable_spec()->mutable_run()->set_launcher(PER_RANK);
    desired.mutable_spec()->mutable_run()->set_ranks_per_node(ranks);
    desired.add_nodes("n1");
    desired.add_addresses("127.0.0.1");
    desired.set_rendezvous_port(29500);
    desired.set_grace_left_ms(10'000);
    desired.set_max_grace_left_ms(20'000);
    return desired;
  }
  static DesiredAttempt shell(std::uint64_t number, std::string script, std::uint32_t ranks = 1) {
    return job(number, {"/bin/sh", "-c", std::move(script)}, ranks);
  }

  Task<Result<ApplyReply>> apply(std::vector<DesiredAttempt> attempts) {
    ApplyRequest request;
    request.set_master_epoch(master.epoch);
    request.set_sequence(++sequence);
    for (DesiredAttempt& desired : attempts) *request.add_attempts() = std::move(desired);
    Result<ApplyReply> reply = co_await AgentClient(*client).apply(request);
    if (reply) master.last = reply->report();
    co_return reply;
  }
  Task<std::string> log(std::uint64_t job, std::uint32_t rank = 0) {
    ReadLogRequest request;
    request.set_job(job);
    request.set_attempt(1);
    request.set_rank(rank);
    request.set_bytes(1u << 20);
    const auto reply = co_await AgentClient(*client).read_log(request);
    co_return reply ? reply->data() : "(" + reply.error().message() + ")";
  }
  std::string page(std::uint64_t job) const { return temp.file("node/pages/") + attempt_name(job, 1); }
  // Processes of the attempt, wherever they hang.
  std::size_t processes_left(std::uint64_t job) const { return marked("FF_CTL=" + page(job)).size(); }

  testing::TempFolder temp;
  std::shared_ptr<const net::ClusterKey> key;
  std::unique_ptr<runtime::RealEnv> env;
  FakeMaster master;
  std::unique_ptr<rpc::Client> client;
  std::vector<std::string> extra;
  std::string masters;
  pid_t agent = 0;
  std::uint64_t sequence = 0;

 private:
  template <class F>
  Task<bool> around(F body) {
    rpc::Server server(*env);
    EXPECT_TRUE(server.add(master));
    auto at = co_await server.listen(net::Address::tcp("127.0.0.1", 0));
    EXPECT_TRUE(at);
    masters = "127.0.0.1:1," + at->text();
    start_agent();
    const bool is_connected = co_await connected();
    EXPECT_TRUE(is_connected) << "the agent did not report";
    if (is_connected) {
      co_await body(*this);
      // Nothing of a test outlives it.
      (void)co_await apply({});
      EXPECT_TRUE(co_await until([](const NodeReport& report) { return report.attempts().empty(); }));
    }
    if (client) co_await client->stop();
    kill_agent(SIGTERM);
    co_await server.stop(1s);
    co_await env->network().stop();
    co_return true;
  }
};

}  // namespace ff::ctl
