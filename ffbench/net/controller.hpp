// Controller: runs tests on agents: which flows, for how long, what they moved.
//
// A test   Open at all agents that have an end, Connect, Run, Close; each step at all of them at once. Whatever
// happens,
//          the agents that still answer are told to close.
// Bandwidth of a flow  = bytes that its receiver counted in its window / the length of that window (ff: of the pushes
//          that its sender knows to have arrived, ff_traffic.hpp); with iterations: bytes received / time from the
//          first byte sent until the receiver had the last.
// Processor time       = user and kernel time of an agent's process over the same window.
// Lost     An agent that no longer answers is named by the error (kUnavailable) and stays lost: later tests with it
//          fail at once, those without it go on.
// Deadlines  Every step has `timeout` on top of the time that it is meant to take.
// Threads  Those of the Env. One test at a time.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ffbench/net/agent.ff.hpp"
#include "libcommon/metrics/histogram.hpp"
#include "libcommon/runtime/scope.hpp"

namespace ff::bench {

struct AgentPeer {
  std::string name;                  // in rows and messages
  net::PeerAddress control;          // where this controller reaches it
  std::vector<std::string> hosts;    // where other agents reach it, one a plane; numeric addresses or names
  std::uint16_t port = 0;            // of its service there
  std::vector<int> processors = {};  // it runs tests on these; empty: where it is
};

struct FlowSpec {
  std::size_t from = 0;  // agent that sends, or asks
  std::size_t to = 0;
  bool to_accepts = true;  // else `from` accepts the connection
};

// How long the parts of a run are. Lead and tail are for agents that do not start in the same instant.
struct RunTiming {
  runtime::Duration lead = std::chrono::milliseconds(20);
  runtime::Duration window = std::chrono::seconds(1);
  runtime::Duration tail = std::chrono::milliseconds(20);
  // A tenth of the window before it, within [20 ms, 500 ms]: TCP's windows open meanwhile.
  static RunTiming of(runtime::Duration window) noexcept;
};

struct FlowFigures {
  double bandwidth = 0;  // bytes a second
  std::uint64_t bytes = 0;
  std::uint64_t messages = 0;    // latency: answered; bandwidth over ff: pushes that ended in the window
  std::uint64_t unanswered = 0;  // latency: due and without answer at the end
  double seconds = 0;
  metrics::Histogram round_trip;  // nanoseconds
};

struct TestFigures {
  std::vector<FlowFigures> flows;      // as asked
  std::vector<double> cpu_per_second;  // by agent: processor seconds a second; 0 for those without a part
};

struct IncastSpec {
  std::size_t receiver = 0;
  std::vector<std::size_t> senders;
  std::size_t bystander = 0;
  std::uint64_t piece_bytes = 0;
  std::uint32_t streams = 1;
  bool grants = true;
  double bystander_rate = 0;
  std::string traffic_class = {};
  std::string bystander_class = {};
};

struct IncastFigures {
  double goodput = 0;   // bytes a second
  double fairness = 0;  // bytes of the sender served least / of the one served most
  double cpu_per_second = 0;
  std::uint64_t unanswered = 0;
  metrics::Histogram bystander;  // round trips, nanoseconds
};

class Controller {
 public:
  // REQUIRES: stop() has returned before it goes; names differ.
  Controller(runtime::Env& env, std::vector<AgentPeer> agents, runtime::Duration timeout);
  ~Controller();
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;

  const std::vector<AgentPeer>& agents() const noexcept { return agents_; }
  // Why an agent is lost.
  const std::optional<Error>& lost(std::size_t agent) const noexcept { return lost_[agent]; }
  // "peer b is lost: ..." of the first; empty: none is.
  std::string lost_text() const;
  runtime::Duration round_trip() const noexcept { return round_trip_; }

  // All agents answer and are of one version. Learns how far they are: run_test() makes lead and tail longer than the
  // starts of its agents can be apart (the longest round trip), and by 0.1 ms for each connection of an agent.
  runtime::Task<Result<>> describe();
  // `test`: pattern, transport, sizes...; flows, token and timeout are filled in here. `connections` of each flow.
  runtime::Task<Result<TestFigures>> run_test(NetTest test, std::vector<FlowSpec> flows, std::uint32_t connections,
                                              RunTiming timing);
  runtime::Task<Result<IncastFigures>> run_incast(IncastSpec spec, RunTiming timing);
  runtime::Task<void> stop();

 private:
  struct Running;
  using Step = runtime::Task<Result<>> (Controller::*)(Running& running, std::size_t agent);

  rpc::CallOptions options(runtime::Duration more = {}) const;
  Error at(std::size_t agent, Error error) const;
  runtime::Task<Result<>> at_all(Running& running, Step step);
  runtime::Task<Result<>> describe_at(Running& running, std::size_t agent);
  runtime::Task<Result<>> open_at(Running& running, std::size_t agent);
  runtime::Task<Result<>> connect_at(Running& running, std::size_t agent);
  runtime::Task<Result<>> run_at(Running& running, std::size_t agent);
  runtime::Task<Result<>> close_at(Running& running, std::size_t agent);
  runtime::Task<void> probe(std::size_t agent);
  runtime::Task<void> probe_all(std::vector<std::size_t> agents);
  // Close where a test was opened; who does not answer is lost.
  runtime::Task<void> close_all(Running& running);
  void fill(Running& running, const std::vector<FlowSpec>& flows, std::uint32_t connections);
  Result<TestFigures> figures(const Running& running, const std::vector<FlowSpec>& flows) const;
  Result<> check_not_lost(const std::vector<std::size_t>& agents) const;

  runtime::Env& env_;
  const std::vector<AgentPeer> agents_;
  const runtime::Duration timeout_;
  runtime::Duration round_trip_{};  // the longest that describe() met
  std::vector<std::unique_ptr<rpc::Client>> clients_;
  std::vector<std::optional<Error>> lost_;
};

}  // namespace ff::bench
