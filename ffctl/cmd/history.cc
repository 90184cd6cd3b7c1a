// history, account: where the time of jobs went.
#include <fmt/core.h>

#include <map>
#include <memory>

#include "ffctl/cmd/choosing.hpp"
#include "ffctl/cmd/commands.hpp"
#include "ffctl/cmd/text.hpp"
#include "ffctl/job/goodput.hpp"

namespace ff::ctl {

using report::Cell;
using report::Column;
using report::Format;
using report::Unit;
using runtime::Task;

namespace {

struct Options {
  MasterChoice master;
  cli::OutputOptions output;
  std::string job, user, by = "user";
  cli::Duration since{0};
};

constexpr double kHourMs = 3600.0 * 1000;

double hours(std::uint64_t ms) { return static_cast<double>(ms) / kHourMs; }

Task<Result<int>> history(MasterSession& master, const Options& o, Format format) {
  FF_CO_TRY_ASSIGN(const Job job, co_await whole_job(master, o.job));
  report::Table table("ff.history/1", {{.key = "attempt", .title = "ATTEMPT"},
                                       {.key = "created", .title = "CREATED"},
                                       {.key = "nodes", .title = "NODES"},
                                       {.key = "waited_ns", .title = "WAITED", .unit = Unit::kNanoseconds},
                                       {.key = "starting_ns", .title = "STARTING", .unit = Unit::kNanoseconds},
                                       {.key = "useful_ns", .title = "USEFUL", .unit = Unit::kNanoseconds},
                                       {.key = "lost_ns", .title = "LOST", .unit = Unit::kNanoseconds},
                                       {.key = "leaving_ns", .title = "LEAVING", .unit = Unit::kNanoseconds},
                                       {.key = "cause", .title = "CAUSE"},
                                       {.key = "reason", .title = "REASON"},
                                       {.key = "phase", .title = "PHASE", .wide_only = true},
                                       {.key = "preempted_for", .title = "FOR", .wide_only = true},
                                       {.key = "saved_step", .title = "SAVED-STEP", .wide_only = true},
                                       {.key = "where", .title = "WHERE", .wide_only = true}});
  const std::uint64_t now = wall_ms(master.env());
  for (int i = 0; i < job.attempts_size(); ++i) {
    const Attempt& attempt = job.attempts(i);
    const Spent all = spent(attempt, now);
    // Of the attempt, not of each of its nodes.
    const auto nodes = static_cast<std::uint64_t>(std::max(attempt.nodes_size(), 1));
    std::string where;
    for (const std::string& node : attempt.nodes()) where += (where.empty() ? "" : ",") + node;
    table.add_row({count_cell(attempt.number()), time_cell(attempt.created_ms()), count_cell(nodes),
                   duration_cell(waited_ms(job, i)), duration_cell(all.starting_ms / nodes),
                   duration_cell(all.useful_ms / nodes), duration_cell(all.lost_ms / nodes),
                   duration_cell(all.leaving_ms / nodes),
                   attempt.cause() == END_NONE ? Cell() : Cell(word_of(attempt.cause())),
                   attempt.reason().empty() ? Cell() : Cell(attempt.reason()), word_of(attempt.phase()),
                   attempt.preempted_for() == 0 ? Cell() : count_cell(attempt.preempted_for()),
                   attempt.saved_step() == 0 ? Cell() : count_cell(attempt.saved_step()), where});
  }
  const Spent all = spent(job, now);
  table.set_header("job", count_cell(job.id()));
  table.set_header("state", state_text(job));
  table.set_header("node_hours", hours(all.total_ms()));
  table.set_header("goodput_percent", goodput_percent(all));
  FF_CO_TRY(print(table.render(format)));
  co_return cli::kExitOk;
}

struct Sum {
  std::uint64_t jobs = 0, gpu_ms = 0, preemptions = 0;
  Spent time;
};

std::string group_of(const Job& job, const std::string& by) {
  if (by == "priority") return priority_text(job.spec().priority());
  if (by == "queue") return job.spec().queue();
  if (by == "state") return state_text(job);
  return job.user();
}

Task<Result<int>> account(MasterSession& master, const Options& o, Format format) {
  const std::uint64_t now = wall_ms(master.env());
  JobFilter filter;
  filter.set_done(true);
  if (!o.user.empty()) filter.add_users(o.user == "me" ? master.caller().user() : o.user);
  if (o.since != cli::Duration(0)) {
    const auto back =
        static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(o.since).count());
    filter.set_since_ms(now - std::min(now, back));
  }
  FF_CO_TRY_ASSIGN(const std::vector<Job> jobs, co_await list_jobs(master, std::move(filter), Detail::kAll));
  std::map<std::string, Sum> sums;
  Sum all;
  for (const Job& job : jobs) {
    const Spent time = spent(job, now);
    for (Sum* const sum : {&sums[group_of(job, o.by)], &all}) {
      ++sum->jobs;
      sum->preemptions += job.preemptions();
      sum->time += time;
      sum->gpu_ms += time.total_ms() * job.spec().resources().gpus_per_node();
    }
  }
  report::Table table("ff.account/1", {{.key = "group", .title = "GROUP"},
                                       {.key = "jobs", .title = "JOBS"},
                                       {.key = "node_hours", .title = "NODE-HOURS", .decimals = 2},
                                       {.key = "gpu_hours", .title = "GPU-HOURS", .decimals = 2},
                                       {.key = "useful_hours", .title = "USEFUL", .decimals = 2},
                                       {.key = "lost_hours", .title = "LOST", .decimals = 2},
                                       {.key = "starting_hours", .title = "STARTING", .decimals = 2},
                                       {.key = "leaving_hours", .title = "LEAVING", .decimals = 2},
                                       {.key = "goodput_percent", .title = "GOODPUT-%", .decimals = 1},
                                       {.key = "preemptions", .title = "PREEMPTIONS"}});
  const auto add = [&](const std::string& name, const Sum& sum) {
    table.add_row({name, count_cell(sum.jobs), hours(sum.time.total_ms()), hours(sum.gpu_ms), hours(sum.time.useful_ms),
                   hours(sum.time.lost_ms), hours(sum.time.starting_ms), hours(sum.time.leaving_ms),
                   goodput_percent(sum.time), count_cell(sum.preemptions)});
  };
  for (const auto& [name, sum] : sums) add(name, sum);
  add("total", all);
  FF_CO_TRY(print(table.render(format)));
  co_return cli::kExitOk;
}

constexpr const char* kWhatIsUseful =
    "USEFUL is what ran and counts: all of an attempt whose ranks ended with 0, of another what ran up to its last "
    "checkpoint (as libffjob is told), of one that runs all so far. LOST is the rest of what ran; STARTING and LEAVING "
    "are the time before its ranks ran, and from when they were told to end until the nodes were free. ";

}  // namespace

cli::Command history_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "history";
  command.summary = "Show the attempts of a job, and where their time went";
  command.description = std::string(kWhatIsUseful) + "The last 32 attempts are kept.";
  command.options = {{.names = "job",
                      .target = &options->job,
                      .help = "number, name, or last",
                      .value_name = "JOB",
                      .required = true}};
  command.examples = {{"ffctl history train", "how often it was preempted, and what that cost"},
                      {"ffctl history 17 --json | jq .goodput_percent", "in one figure"}};
  reports(command, options, history);
  return command;
}

cli::Command account_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "account";
  command.summary = "Sum what jobs used, and how much of that counted";
  command.description = std::string(kWhatIsUseful) +
                        "Of the jobs that the master still knows; the last line is of all. GPU hours are of jobs that "
                        "ask for GPUs by number.";
  command.options = {
      {.names = "-u,--user", .target = &options->user, .help = "of this user; me: the caller's", .value_name = "USER"},
      {.names = "--since", .target = &options->since, .help = "submitted within this time; 0: ever", .min = 0},
      {.names = "--by",
       .target = &options->by,
       .help = "a line for each",
       .choices = {"user", "priority", "queue", "state"}}};
  command.examples = {{"ffctl account --since 7d", "who used what in a week"},
                      {"ffctl account --by priority", "what low priority costs in lost work"}};
  reports(command, options, account);
  return command;
}

}  // namespace ff::ctl
