// explain, events, status: why and what the master decided.
#include <fmt/core.h>

#include <memory>

#include "ffctl/cluster/local_cluster.hpp"
#include "ffctl/cluster/local_ffs.hpp"
#include "ffctl/cluster/local_folder.hpp"
#include "ffctl/cmd/choosing.hpp"
#include "ffctl/cmd/commands.hpp"
#include "ffctl/cmd/text.hpp"
#include "ffctl/job/spec.hpp"
#include "libcommon/base/duration.hpp"
#include "libcommon/report/utf8.hpp"

namespace ff::ctl {

using namespace std::chrono_literals;
using report::Cell;
using report::Format;
using runtime::Task;

namespace {

constexpr auto kFfsPatience = std::chrono::seconds(2);
constexpr auto kLongPoll = 20s;

struct Options {
  MasterChoice master;
  cli::OutputOptions output;
  std::string job, node, at;
  bool watch = false;
  std::int64_t lines = 50;
};

// A time, or how long ago it was.
Result<std::uint64_t> parse_past(const std::string& text, std::uint64_t now) {
  if (const auto ago = parse_duration(text)) {
    const auto ms = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(*ago).count());
    return std::max<std::uint64_t>(now - std::min(now, ms), 1);
  }
  return parse_when(text, now);
}

Task<Result<int>> explain(MasterSession& master, const Options& o, Format format) {
  FF_CO_TRY_ASSIGN(const ChosenJob chosen, co_await choose_job(master, o.job));
  ExplainRequest request;
  request.set_job(chosen.job.id());
  if (!o.at.empty()) {
    FF_CO_TRY_ASSIGN(const std::uint64_t at, parse_past(o.at, wall_ms(master.env())));
    request.set_at_ms(at);
  }
  FF_CO_TRY_ASSIGN(const ExplainReply reply, co_await master.ask(&MasterClient::explain, std::move(request)));
  if (format == Format::kTable) {
    FF_CO_TRY(print(fmt::format("job {} ({}): {}", std::uint64_t{chosen.job.id()}, chosen.job.spec().name(),
                                explanation_text(reply))));
    co_return cli::kExitOk;
  }
  report::Table table(
      "ff.explain/1",
      {{.key = "what", .title = "WHAT"}, {.key = "text", .title = "TEXT"}, {.key = "remedy", .title = "REMEDY"}});
  table.set_header("job", count_cell(chosen.job.id()));
  table.set_header("state", state_text(chosen.job));
  table.set_header("summary", reply.summary());
  table.set_header("position", reply.position() == 0 ? Cell() : count_cell(reply.position()));
  table.set_header("start", reply.estimate().at_ms() == 0 ? Cell() : time_cell(reply.estimate().at_ms()));
  table.set_header("start_text", estimate_text(reply.estimate()));
  for (const ExplainReply::Blocker& one : reply.blockers()) table.add_row({one.what(), one.text(), one.remedy()});
  FF_CO_TRY(print(table.render(format)));
  co_return cli::kExitOk;
}

Task<Result<int>> events(MasterSession& master, const Options& o, Format format) {
  ListEventsRequest request;
  request.set_node(o.node);
  if (!o.job.empty()) {
    FF_CO_TRY_ASSIGN(const ChosenJob chosen, co_await choose_job(master, o.job));
    request.set_job(chosen.job.id());
  }
  request.set_latest(true);
  request.set_limit(static_cast<std::uint32_t>(o.lines));
  report::Table table = event_table();
  FF_CO_TRY_ASSIGN(ListEventsReply reply, co_await master.ask(&MasterClient::list_events, request));
  std::uint64_t last = 0;
  for (const Event& event : reply.events()) {
    table.add_row(event_cells(event));
    last = event.id();
  }
  if (!o.watch) {
    FF_CO_TRY(print(table.render(format)));
    co_return cli::kExitOk;
  }
  FF_CO_TRY(print(table.render_titles(format)));
  for (std::size_t i = 0; i < table.size(); ++i) FF_CO_TRY(print(table.render_row(i, format)));
  request.set_latest(false);
  request.set_limit(0);
  for (;;) {
    request.set_after(last);
    request.set_wait_ms(
        static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::milliseconds>(kLongPoll).count()));
    FF_CO_TRY_ASSIGN(reply, co_await master.ask(&MasterClient::list_events, request, kLongPoll));
    for (const Event& event : reply.events()) {
      report::Table one = event_table();
      one.add_row(event_cells(event));
      FF_CO_TRY(print(one.render_row(0, format)));
      last = event.id();
    }
  }
}

// Of the local cluster's file system, where it has one: "healthy", or what is wrong.
Cell ffs_cell(const MasterChoice& master) {
  if (!master.is_local()) return {};
  const auto folder = local_folder("");
  const auto plan = folder ? load_plan(*folder) : Result<LocalPlan>(fail(folder.error()));
  if (!plan || plan->ffs_processes == 0) return {};
  auto state = ffs_state(local_ffs_folder(*folder), kFfsPatience);
  return state ? *std::move(state) : std::string("silent");
}

Task<Result<int>> status(MasterSession& master, const Options& o, Format format) {
  FF_CO_TRY_ASSIGN(const StatusReply reply, co_await master.ask(&MasterClient::get_status, StatusRequest()));
  report::Table table("ff.ctl-status/1", {{.key = "leader", .title = "LEADER"},
                                          {.key = "nodes_ready", .title = "READY"},
                                          {.key = "nodes_busy", .title = "BUSY"},
                                          {.key = "nodes_drained", .title = "DRAINED"},
                                          {.key = "nodes_lost", .title = "LOST"},
                                          {.key = "jobs_running", .title = "RUNNING"},
                                          {.key = "jobs_queued", .title = "QUEUED"},
                                          {.key = "jobs_held", .title = "HELD"},
                                          {.key = "jobs_done", .title = "DONE"},
                                          {.key = "ffs", .title = "FFS"},
                                          {.key = "epoch", .title = "EPOCH", .wide_only = true},
                                          {.key = "started", .title = "STARTED", .wide_only = true},
                                          {.key = "journal", .title = "JOURNAL", .wide_only = true},
                                          {.key = "last_pass_ms", .title = "PASS-MS", .wide_only = true},
                                          {.key = "policy", .title = "POLICY", .wide_only = true},
                                          {.key = "store", .title = "STORE", .wide_only = true},
                                          {.key = "version", .title = "VERSION", .wide_only = true}});
  table.add_row({reply.leader(), count_cell(reply.nodes_ready()), count_cell(reply.nodes_busy()),
                 count_cell(reply.nodes_drained()), count_cell(reply.nodes_lost()), count_cell(reply.jobs_running()),
                 count_cell(reply.jobs_queued()), count_cell(reply.jobs_held()), count_cell(reply.jobs_done()),
                 ffs_cell(o.master), count_cell(reply.epoch()), time_cell(reply.started_ms()),
                 count_cell(reply.journal()), reply.last_pass_ms(), reply.policy(), reply.store(), reply.version()});
  FF_CO_TRY(print(table.render(format)));
  co_return cli::kExitOk;
}

}  // namespace

cli::Command explain_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "explain";
  command.summary = "Say why a job does not run, what would help, and when it may start";
  command.description = "All that keeps it from starting is listed, not the first thing alone.";
  command.options = {
      {.names = "job", .target = &options->job, .help = "number, name, or last", .value_name = "JOB", .required = true},
      {.names = "--at",
       .target = &options->at,
       .help = "why it was where it was then: 2026-12-31T08:00:00Z, or 2h: two hours ago",
       .value_name = "TIME"}};
  command.examples = {{"ffctl explain train", "for people"},
                      {"ffctl explain train --at 2h", "what was decided of it before that time"},
                      {"ffctl explain 17 --json | jq -r '.rows[].what'", "what keeps it from starting"}};
  reports(command, options, explain);
  return command;
}

cli::Command events_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "events";
  command.summary = "Show what happened to jobs and nodes, and who or what caused it";
  command.options = {
      {.names = "job", .target = &options->job, .help = "of this job alone", .value_name = "JOB"},
      {.names = "--node", .target = &options->node, .help = "of this node alone", .value_name = "NODE"},
      {.names = "-n,--lines",
       .target = &options->lines,
       .help = "the last ones",
       .value_name = "N",
       .min = 1,
       .max = 100000},
      {.names = "-w,--watch", .target = &options->watch, .help = "go on with those that come, until Ctrl-C"}};
  command.examples = {{"ffctl events train", "the story of a job"}, {"ffctl events -w -o jsonl", "for programs"}};
  reports(command, options, events);
  return command;
}

cli::Command status_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "status";
  command.summary = "Tell in a line how the cluster does";
  command.description =
      "Counts of nodes and jobs by what they do, from the master that leads; of the local cluster also how its file "
      "system does.";
  command.examples = {{"ffctl status", "for people"}, {"ffctl status >/dev/null || alert", "does a master answer?"}};
  reports(command, options, status);
  return command;
}

}  // namespace ff::ctl
