#include "ffctl/cmd/draining.hpp"

#include "ffctl/cmd/choosing.hpp"
#include "libcommon/runtime/sleep.hpp"

namespace ff::ctl {

using namespace std::chrono_literals;
using runtime::Task;

namespace {

constexpr auto kPoll = 50ms;

}  // namespace

Task<Result<>> undrain(MasterSession& master, std::vector<std::string> nodes) {
  if (nodes.empty()) co_return {};
  ControlNodeRequest request;
  request.set_verb(ControlNodeRequest::UNDRAIN);
  for (std::string& node : nodes) request.add_nodes(std::move(node));
  FF_CO_TRY(co_await master.ask(&MasterClient::control_node, std::move(request)));
  co_return {};
}

Task<Result<Left>> empty_nodes(MasterSession& master, runtime::Duration grace, bool force) {
  FF_CO_TRY_ASSIGN(const ListNodesReply nodes, co_await master.ask(&MasterClient::list_nodes, ListNodesRequest()));
  ControlNodeRequest drain;
  drain.set_verb(ControlNodeRequest::DRAIN);
  drain.set_preempt(true);
  drain.set_text(kDownReason);
  for (const NodeInfo& node : nodes.nodes())
    if (!node.draining()) drain.add_nodes(node.facts().name());
  if (!drain.nodes().empty()) FF_CO_TRY(co_await master.ask(&MasterClient::control_node, drain));
  runtime::Time until = runtime::saturating_add(master.env().now(), grace);
  bool forced = false;
  for (;;) {
    JobFilter filter;
    for (const JobPhase phase : {STARTING, RUNNING, SUSPENDING, STOPPING}) filter.add_phases(phase);
    FF_CO_TRY_ASSIGN(const std::vector<Job> jobs, co_await list_jobs(master, std::move(filter), Detail::kRow));
    Left left;
    for (const Job& job : jobs) left.jobs.push_back(job.id());
    if (left.jobs.empty()) co_return left;
    if (force && !forced) {
      ControlRequest stop;
      stop.set_verb(ControlRequest::STOP);
      stop.set_force(true);
      stop.set_reason(kDownReason);
      for (const std::uint64_t job : left.jobs) stop.add_jobs(job);
      FF_CO_TRY(co_await master.ask(&MasterClient::control, std::move(stop)));
      forced = true;
    } else if (master.env().now() >= until) {
      std::vector<std::string> back(drain.nodes().begin(), drain.nodes().end());
      FF_CO_TRY(co_await undrain(master, std::move(back)));
      co_return left;
    }
    FF_CO_TRY(co_await runtime::sleep(kPoll));
  }
}

}  // namespace ff::ctl
