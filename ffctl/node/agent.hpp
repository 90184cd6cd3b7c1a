// Agent: what `ffnoded` is. It holds the attempts of its node, does what the leading master says, and tells it what is.
//
// Master    Ranks run for the time of the lease without one, and none is started without a lease. Orders of an older
// master than one that was seen are refused,
//           older and repeated orders of the same one ignored.
// Restart   Attempts, their ranks, pages and logs are found again in the folder. One agent a folder.
// Errors    Of handlers: kNotFound (no such attempt or log), kPermission (an older master), kUnavailable (orders while
//           there is no lease), kInvalidArgument.
// Threads   Those of the Env.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ffctl/node/attempt.hpp"
#include "ffctl/proto/agent.ff.hpp"
#include "libcommon/net/cluster_key.hpp"
#include "libcommon/rpc/server.hpp"
#include "libcommon/runtime/sync.hpp"

namespace ff::ctl {

struct AgentOptions {
  std::string name;
  std::string folder;      // exists, absolute
  std::string executable;  // ffnoded
  std::string ffrank;      // see find_ffrank()
  std::vector<net::PeerAddress> masters;
  net::Address listen = net::Address::tcp("127.0.0.1", 0);
  std::string host;  // by which others reach this node; empty: that of `listen`
  std::shared_ptr<const net::ClusterKey> key;
  std::uint32_t gpus = 0;
  std::string gpu_model;
  bool fake_gpus = false;
  std::vector<std::string> labels;
  std::string zone, leaf;
  runtime::Duration heartbeat = std::chrono::seconds(2);
  std::uint64_t log_bytes = std::uint64_t{1} << 30;
  runtime::Duration log_keep = std::chrono::hours(24 * 7);
  bool cgroups = true;  // use them where they can be made
  std::string cgroup_base;
  std::string ffbench;  // empty: beside the executable, or in PATH
};

class Agent final : public AgentService {
 public:
  Agent(runtime::RealEnv& env, AgentOptions options);
  ~Agent() override;

  // Adopts what is there, listens, begins to report.
  runtime::Task<Result<>> start();
  // Lets go; ranks go on.
  runtime::Task<void> stop();
  const net::Address& address() const noexcept { return address_; }
  std::string about() const;

  runtime::Task<Result<ApplyReply>> apply(rpc::ServerCall& call, const ApplyRequest& request) override;
  runtime::Task<Result<ReadLogReply>> read_log(rpc::ServerCall& call, const ReadLogRequest& request) override;
  runtime::Task<Result<RunCheckReply>> run_check(rpc::ServerCall& call, const RunCheckRequest& request) override;
  runtime::Task<Result<ListProcessesReply>> list_processes(rpc::ServerCall& call,
                                                           const ListProcessesRequest& request) override;
  runtime::Task<Result<SignalReply>> signal(rpc::ServerCall& call, const SignalRequest& request) override;

 private:
  using Key = std::pair<std::uint64_t, std::uint32_t>;

  Result<> prepare_folder();
  void load_attempts();
  // What an agent that died at the wrong moment has left beside the attempts.
  Result<> open_cgroups();
  void sweep();
  void look_at_folder(runtime::Time now);
  void fill_facts();
  void apply_one(const DesiredAttempt& desired);
  void drop_unwanted(const ApplyRequest& request);
  Result<> see_epoch(std::uint64_t epoch);
  void take_lease(const ReportReply& reply, std::uint64_t sent_ms);
  bool leased() const noexcept;
  // An order that was made before the node was given up for lost.
  bool voided(std::uint64_t epoch, std::uint64_t sequence) const noexcept;
  // No more than a quarter of the lease.
  runtime::Duration heartbeat() const noexcept;
  NodeAttempt* find(std::uint64_t job, std::uint32_t attempt);
  void close(const Key& key);
  bool was_closed(const Key& key) const;
  NodeReport report();
  void tick();
  std::string report_key() const;

  runtime::Task<void> tick_loop();
  runtime::Task<void> report_loop();
  runtime::Task<void> tidy_loop();
  runtime::Task<Result<>> send_report();

  runtime::RealEnv& env_;
  const AgentOptions options_;
  AttemptHost host_;
  net::Address address_;
  NodeFacts facts_;
  std::uint64_t instance_ = 0, sequence_ = 0;
  std::uint64_t epoch_ = 0, applied_epoch_ = 0, applied_sequence_ = 0;
  std::uint64_t void_epoch_ = 0, void_sequence_ = 0;
  std::map<Key, std::shared_ptr<NodeAttempt>> attempts_;
  std::map<Key, std::uint64_t> told_states_;  // generations that a master of this epoch has taken
  std::string folder_trouble_;                // the node takes no jobs while there is one
  runtime::Time folder_again_{};
  std::string reported_key_;
  runtime::Event kick_, news_;
  bool checking_ = false;
  bool answered_ = false;  // by a master, since this agent was started
  runtime::Duration report_timeout_;
  std::size_t master_ = 0;  // the one that answered last
  std::vector<std::unique_ptr<rpc::Client>> clients_;
  rpc::Server server_;
  runtime::Scope scope_;
};

}  // namespace ff::ctl
