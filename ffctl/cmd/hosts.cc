#include "ffctl/cmd/hosts.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "ffctl/cluster/child.hpp"
#include "ffctl/cluster/cluster_file.hpp"
#include "ffctl/cluster/host_work.hpp"
#include "ffctl/cmd/draining.hpp"
#include "libcommon/base/file.hpp"
#include "libcommon/net/cluster_key.hpp"
#include "libcommon/runtime/sleep.hpp"

namespace ff::ctl {

using namespace std::chrono_literals;
using report::Cell;
using report::Format;
using runtime::Task;

namespace {

constexpr auto kPoll = 100ms;
constexpr std::size_t kKeyBytesMax = 4096;

Result<std::vector<ClusterHost>> chosen(const ClusterPlan& plan, const std::vector<std::string>& limit) {
  std::vector<ClusterHost> out;
  for (const ClusterHost& host : plan.hosts)
    if (limit.empty() || std::ranges::find(limit, host.name) != limit.end()) out.push_back(host);
  for (const std::string& name : limit)
    if (std::ranges::none_of(out, [&](const ClusterHost& host) { return host.name == name; }))
      return fail(Errc::kInvalidArgument, fmt::format("--limit: {}: {} has no such host", name, plan.path));
  return out;
}

Result<std::string> key_text(const ClusterPlan& plan, bool make) {
  if (make) {
    if (const auto made = net::ClusterKey::generate().create_file(plan.key_file);
        !made && made.error().code() != Errc::kAlreadyExists)
      return fail(made.error());
  }
  // Also that nobody else may read it.
  if (const auto key = net::ClusterKey::load(plan.key_file); !key) return fail(key.error());
  return read_file(plan.key_file, kKeyBytesMax);
}

MasterTarget target_of(const ClusterPlan& plan, runtime::Duration patience) {
  MasterTarget target;
  for (const ClusterHost& host : plan.hosts) {
    if (!host.master) continue;
    if (auto address = net::parse_address(fmt::format("{}:{}", host.address, plan.master_port)); address)
      target.masters.push_back({{*std::move(address)}});
  }
  target.key_file = plan.key_file;
  target.first_patience = patience;
  return target;
}

struct HostOutcome {
  std::vector<HostDaemon> daemons;
  std::string error;  // empty: all is well
};

HostOutcome outcome_of(const Result<ChildResult>& result) {
  if (!result) return {.daemons = {}, .error = result.error().message()};
  if (result->code != 0) {
    const std::string said = last_line(result->errors);
    return {.daemons = {}, .error = said.empty() ? fmt::format("exit code {}", result->code) : said};
  }
  auto daemons = parse_host_reply(result->output);
  if (!daemons) return {.daemons = {}, .error = "its answer: " + daemons.error().message()};
  return {.daemons = *std::move(daemons), .error = ""};
}

// All hosts, so many at a time; in the order of the hosts.
std::vector<HostOutcome> tell(const ClusterPlan& plan, const std::vector<ClusterHost>& hosts, HostVerb verb,
                              const std::string& key, bool force) {
  std::vector<ChildCommand> commands;
  for (const ClusterHost& host : hosts) {
    HostWork work = host_work(plan, host, verb, key);
    work.force = force;
    commands.push_back({.name = host.name,
                        .words = ssh_words(plan, host),
                        .input = host_work_text(work),
                        .patience = std::chrono::ceil<std::chrono::milliseconds>(plan.timeout),
                        .environment = {}});
  }
  std::vector<HostOutcome> out;
  for (const auto& result : run_children(commands, plan.at_once)) out.push_back(outcome_of(result));
  return out;
}

std::string words_text(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

report::Table up_table(const ClusterPlan& plan) {
  report::Table table("ff.up-hosts/1", {{.key = "host", .title = "HOST"},
                                        {.key = "daemon", .title = "DAEMON"},
                                        {.key = "state", .title = "STATE"},
                                        {.key = "pid", .title = "PID"},
                                        {.key = "error", .title = "ERROR"},
                                        {.key = "command", .title = "COMMAND", .wide_only = true},
                                        {.key = "ssh", .title = "SSH", .wide_only = true}});
  table.set_header("masters", master_addresses(plan));
  table.set_header("key", plan.key_file);
  return table;
}

// Until these nodes have reported; those that `down` has drained are there again.
Task<Result<int>> wait_nodes(MasterSession& master, std::set<std::string> names, runtime::Duration within) {
  const runtime::Time until = runtime::saturating_add(master.env().now(), within);
  for (;;) {
    auto reply = co_await master.ask(&MasterClient::list_nodes, ListNodesRequest());
    std::size_t there = 0;
    std::vector<std::string> drained;
    if (reply) {
      for (const NodeInfo& node : reply->nodes()) {
        if (!names.contains(node.facts().name()) || node.state() == NodeInfo::LOST) continue;
        ++there;
        if (node.draining() && node.drain_reason() == kDownReason) drained.push_back(node.facts().name());
      }
    } else if (reply.error().code() != Errc::kUnavailable || master.env().now() >= until) {
      co_return fail(std::move(reply).error());
    }
    if (there == names.size()) {
      FF_CO_TRY(co_await undrain(master, std::move(drained)));
      co_return cli::kExitOk;
    }
    if (master.env().now() >= until)
      co_return fail(
          Errc::kTimeout,
          fmt::format("{} of {} nodes have reported in time (see ffnoded.log in their folders)", there, names.size()));
    FF_CO_TRY(co_await runtime::sleep(kPoll));
  }
}

void tell_failures(const std::vector<ClusterHost>& hosts, const std::vector<HostOutcome>& outcomes) {
  for (std::size_t i = 0; i < hosts.size(); ++i)
    if (!outcomes[i].error.empty())
      cli::report_error("ffctl", Error(Errc::kUnavailable, hosts[i].name + ": " + outcomes[i].error), false);
}

}  // namespace

Result<int> up_hosts(const HostsOptions& o, Format format) {
  FF_TRY_ASSIGN(const ClusterPlan plan, load_cluster(o.file));
  FF_TRY_ASSIGN(const std::vector<ClusterHost> hosts, chosen(plan, o.limit));
  report::Table table = up_table(plan);
  std::vector<HostOutcome> outcomes(hosts.size());
  if (!o.dry_run) {
    FF_TRY_ASSIGN(const std::string key, key_text(plan, true));
    outcomes = tell(plan, hosts, HostVerb::kUp, key, false);
  }
  std::set<std::string> nodes;
  bool failed = false;
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    const HostOutcome& outcome = outcomes[i];
    failed = failed || !outcome.error.empty();
    if (hosts[i].node && outcome.error.empty()) nodes.insert(hosts[i].name);
    const std::string ssh = words_text(ssh_words(plan, hosts[i]));
    for (const DaemonCommand& one : host_work(plan, hosts[i], HostVerb::kUp, "").daemons) {
      std::string state = o.dry_run ? "would run" : "failed";
      Cell pid;
      for (const HostDaemon& daemon : outcome.daemons) {
        if (daemon.name != one.name) continue;
        state = daemon.state;
        pid = daemon.pid;
      }
      table.add_row({hosts[i].name, one.name, state, pid, outcome.error.empty() ? Cell() : Cell(outcome.error),
                     words_text(one.words), ssh});
    }
  }
  int code = cli::kExitOk;
  if (!o.dry_run && !nodes.empty()) {
    FF_TRY_ASSIGN(code, with_master(target_of(plan, o.within), format == Format::kJson,
                                    [&] [[clang::coro_wrapper]] (MasterSession & master) {
                                      return wait_nodes(master, nodes, o.within);
                                    }));
  }
  FF_TRY(print(table.render(format)));
  if (!failed) return code;
  tell_failures(hosts, outcomes);
  return cli::kExitFailed;
}

Result<int> down_hosts(const HostsOptions& o) {
  FF_TRY_ASSIGN(const ClusterPlan plan, load_cluster(o.file));
  FF_TRY_ASSIGN(const std::string key, key_text(plan, false));
  const int emptied =
      with_master(target_of(plan, 1s), false, [&](MasterSession& master) -> Task<Result<int>> {
        const auto left = co_await empty_nodes(master, o.grace, o.force);
        // Where no master is left there may be no ranks either: the hosts look.
        if (!left && left.error().code() == Errc::kUnavailable) co_return cli::kExitOk;
        if (!left) co_return fail(left.error());
        if (left->jobs.empty()) co_return cli::kExitOk;
        cli::report_error(
            "ffctl",
            Error(Errc::kTimeout, fmt::format("{} jobs still run (stop them, or give --force)", left->jobs.size())),
            false);
        co_return kExitWrongPhase;
      }).value_or(cli::kExitFailed);
  if (emptied != cli::kExitOk) return emptied;
  const std::vector<HostOutcome> outcomes = tell(plan, plan.hosts, HostVerb::kDown, key, o.force);
  tell_failures(plan.hosts, outcomes);
  const bool failed = std::ranges::any_of(outcomes, [](const HostOutcome& one) { return !one.error.empty(); });
  return failed ? cli::kExitFailed : cli::kExitOk;
}

}  // namespace ff::ctl
