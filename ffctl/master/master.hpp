// Master: the services of master.proto and agent.proto's Reports over an Engine: one of several processes over one
// KvStore, of which the one that holds the lease leads and answers.
//
//   Master master(env, store, std::move(scheduling), {.name = "host:9700"});
//   FF_TRY(server.add(master));
//   FF_TRY(server.add(master.reports(), only_agents));
//   master.start();
//   ...
//   co_await master.stop();        // before the rpc::Server, whose handlers wait, is stopped
//
// Leading    Campaigns for the lease "ctld"; then reads the state, and goes on with what is there: nodes tell what they
//            run, and are told what they should. Nothing that runs is touched by a change of leaders.
// Writes     Change the state in memory, and are answered when the journal has stored them; nodes hear of them after
//            that. If storing fails, the lease is given up, the state read anew, and until then nothing is answered.
// Reads      From memory; they never wait for writes. What ends a long poll is stored before it is told.
// Passes     At once when the last one is longer ago than `coalesce`; else when it is.
// Who asks   actor.hpp. Everybody may see what jobs there are; their variables, scripts and state are their owner's.
// Errors     kUnavailable "not the leader (NAME is)"; what people ask for wrongly, with a sentence.
// Threads    Those of the Env, which outlives it, as does the store.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "ffctl/master/actor.hpp"
#include "ffctl/master/engine.hpp"
#include "ffctl/master/journal.hpp"
#include "ffctl/master/scheduling.hpp"
#include "ffctl/proto/agent.ff.hpp"
#include "ffctl/proto/master.ff.hpp"
#include "libcommon/rpc/client.hpp"
#include "libcommon/runtime/scope.hpp"

namespace ff::ctl {

struct MasterOptions {
  EngineOptions engine;
  std::string name;       // told to those who ask others
  std::uint32_t uid = 0;  // of the daemon: it administrates, as does root
  std::string prefix = "ctl/";
  runtime::Duration lease_ttl = std::chrono::seconds(5);
  runtime::Duration coalesce = std::chrono::milliseconds(50);
  runtime::Duration apply_timeout = std::chrono::seconds(3);
  // Told after every step of the leader, and whether all of it is stored. For tests; may be empty.
  std::function<void(const Engine&, bool stored)> observe = {};
};

// Counted since the start of the process, for metrics.
struct MasterCounts {
  std::uint64_t submits = 0, starts = 0, preemptions = 0, passes = 0, orders = 0, orders_failed = 0, reports = 0;
  double last_pass_ms = 0;
};

class Master final : public MasterService {
 public:
  Master(runtime::Env& env, kv::KvStore& store, Scheduling scheduling, MasterOptions options);
  ~Master() override;

  // Once.
  void start();
  runtime::Task<void> stop();
  bool leads() const noexcept;
  // Why it does not lead, when it should: the last error.
  const std::optional<Error>& trouble() const noexcept { return trouble_; }
  ReportsService& reports() noexcept { return reports_; }
  // REQUIRES: leads().
  const Engine& engine() const noexcept { return engine_; }
  const MasterCounts& counts() const noexcept { return counts_; }

  runtime::Task<Result<SubmitReply>> submit(rpc::ServerCall& call, const SubmitRequest& request) override;
  runtime::Task<Result<ListJobsReply>> list_jobs(rpc::ServerCall& call, const ListJobsRequest& request) override;
  runtime::Task<Result<WaitJobsReply>> wait_jobs(rpc::ServerCall& call, const WaitJobsRequest& request) override;
  runtime::Task<Result<ControlReply>> control(rpc::ServerCall& call, const ControlRequest& request) override;
  runtime::Task<Result<ListEventsReply>> list_events(rpc::ServerCall& call, const ListEventsRequest& request) override;
  runtime::Task<Result<ExplainReply>> explain(rpc::ServerCall& call, const ExplainRequest& request) override;
  runtime::Task<Result<ListNodesReply>> list_nodes(rpc::ServerCall& call, const ListNodesRequest& request) override;
  runtime::Task<Result<ControlNodeReply>> control_node(rpc::ServerCall& call,
                                                       const ControlNodeRequest& request) override;
  runtime::Task<Result<ReadLogReply>> read_job_log(rpc::ServerCall& call, const LogRequest& request) override;
  runtime::Task<Result<SetQuotaReply>> set_quota(rpc::ServerCall& call, const SetQuotaRequest& request) override;
  runtime::Task<Result<ListQuotasReply>> list_quotas(rpc::ServerCall& call, const ListQuotasRequest& request) override;
  runtime::Task<Result<SetShareReply>> set_share(rpc::ServerCall& call, const SetShareRequest& request) override;
  runtime::Task<Result<ListSharesReply>> list_shares(rpc::ServerCall& call, const ListSharesRequest& request) override;
  runtime::Task<Result<ListQueueReply>> list_queue(rpc::ServerCall& call, const ListQueueRequest& request) override;
  runtime::Task<Result<ListProcessesOfJobReply>> list_job_processes(rpc::ServerCall& call,
                                                                    const ListProcessesOfJobRequest& request) override;
  runtime::Task<Result<SignalJobReply>> signal_job(rpc::ServerCall& call, const SignalJobRequest& request) override;
  runtime::Task<Result<StatusReply>> get_status(rpc::ServerCall& call, const StatusRequest& request) override;

 private:
  // The job, if this master leads and the caller may see into it.
  Result<const JobEntry*> own_job(const rpc::ServerCall& call, const Caller& caller, std::uint64_t id) const;
  class Reports final : public ReportsService {
   public:
    explicit Reports(Master& master) : master_(master) {}
    runtime::Task<Result<ReportReply>> report(rpc::ServerCall& call, const NodeReport& request) override;

   private:
    Master& master_;
  };
  // Tells one node what it should do, whenever that changes.
  struct Sender {
    std::string address;
    std::shared_ptr<rpc::Client> client;
    runtime::Event wake;
  };

  runtime::Task<void> run();
  runtime::Task<Result<>> lead(kv::Lease& lease);
  runtime::Task<Result<>> until_lost(kv::Lease& lease);
  runtime::Task<Result<>> drive();
  void step();
  void dispatch(runtime::Scope& scope);
  runtime::Task<void> send_orders(std::string node);
  runtime::Task<void> stop_senders();
  // kUnavailable while no address of the node is known.
  Result<std::shared_ptr<rpc::Client>> client_of(const std::string& node);
  struct NodeCheck {
    runtime::Event done;
    std::optional<Error> error;  // it could not be made, or nobody knows how it went
  };
  runtime::Task<void> check_node(std::string node, std::string level, std::shared_ptr<NodeCheck> check);

  std::uint64_t now_ms() const;
  Result<> check_leads() const;
  Result<Actor> actor_of(const rpc::ServerCall& call, const Caller& caller) const;
  Result<const JobEntry*> find_job(std::uint64_t id) const;
  // All that was changed so far is stored.
  runtime::Task<Result<>> stored();
  void kick() noexcept { work_.set(); }

  runtime::Env& env_;
  kv::KvStore& store_;
  const MasterOptions options_;
  const UserNames user_names_ = system_user_names();
  Reports reports_{*this};
  Scheduling scheduling_;
  Journal journal_;
  Engine engine_;
  MasterCounts counts_;
  std::map<std::string, Sender> senders_;
  std::vector<std::shared_ptr<rpc::Client>> retired_;  // of nodes that have moved
  kv::Lease* lease_ = nullptr;                         // while leading
  bool loaded_ = false;
  bool started_ = false, stopping_ = false;
  std::uint64_t started_ms_ = 0;
  std::uint64_t base_ms_ = 0;  // of base_
  runtime::Time base_{};
  runtime::Time last_pass_{};
  std::uint64_t told_ = 0;  // sequence of which waits have heard
  std::string other_;       // who leads, as far as known
  std::optional<Error> trouble_;
  runtime::Event work_;
  runtime::WaitQueue changed_;  // of long polls
  runtime::Scope* leading_ = nullptr;
  runtime::Scope scope_;
};

}  // namespace ff::ctl
