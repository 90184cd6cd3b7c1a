// ls, show, wait, logs: jobs, and what their ranks printed.
#include <fmt/core.h>

#include <memory>

#include "ffctl/cmd/choosing.hpp"
#include "ffctl/cmd/commands.hpp"
#include "ffctl/cmd/text.hpp"
#include "ffctl/cmd/waiting.hpp"

namespace ff::ctl {

using report::Format;
using runtime::Task;

namespace {

struct Options {
  MasterChoice master;
  cli::OutputOptions output;
  std::vector<std::string> jobs, states, labels;
  std::string job, user, name, queue, until = "done", rank = "0";
  bool all = false, any = false, follow = false;
  std::int64_t limit = 0, lines = -1;
  cli::Duration within{0};
};

report::Table job_table() { return {"ff.job/1", job_columns()}; }

Task<Result<int>> list(MasterSession& master, const Options& o, Format format) {
  std::vector<Job> jobs;
  if (o.jobs.empty()) {
    JobFilter filter;
    filter.set_done(o.all);
    for (const std::string& state : o.states) {
      FF_CO_TRY_ASSIGN(const JobPhase phase, parse_phase(state));
      filter.add_phases(phase);
    }
    if (!o.user.empty()) filter.add_users(o.user == "me" ? master.caller().user() : o.user);
    if (!o.name.empty()) filter.add_names(o.name);
    if (!o.queue.empty()) filter.set_queue(o.queue);
    for (const std::string& label : o.labels) filter.add_labels(label);
    FF_CO_TRY_ASSIGN(jobs,
                     co_await list_jobs(master, std::move(filter), Detail::kRow, static_cast<std::uint32_t>(o.limit)));
  } else {
    FF_CO_TRY_ASSIGN(std::vector<ChosenJob> chosen, co_await choose_jobs(master, o.jobs));
    for (ChosenJob& one : chosen) jobs.push_back(std::move(one.job));
  }
  report::Table table = job_table();
  const std::uint64_t now = wall_ms(master.env());
  for (const Job& job : jobs) table.add_row(job_cells(job, now));
  FF_CO_TRY(print(table.render(format)));
  co_return cli::kExitOk;
}

Task<Result<int>> show(MasterSession& master, const Options& o, Format format) {
  FF_CO_TRY_ASSIGN(const Job job, co_await whole_job(master, o.job));
  if (format == Format::kTable) {
    FF_CO_TRY(print(job_details(job, wall_ms(master.env()))));
    co_return cli::kExitOk;
  }
  report::JsonWriter json(format == Format::kJson ? 2 : 0);
  json.begin_object().field("schema", "ff.job-show/1");
  job_json(json, job);
  json.end_object();
  FF_CO_TRY(print(json.take() + '\n'));
  co_return cli::kExitOk;
}

Task<Result<int>> wait(MasterSession& master, const Options& o) {
  FF_CO_TRY_ASSIGN(const std::vector<ChosenJob> chosen, co_await choose_jobs(master, o.jobs));
  WaitWish wish{.any = o.any, .within = o.within};
  for (const ChosenJob& one : chosen) wish.jobs.push_back(one.job.id());
  FF_CO_TRY_ASSIGN(const JobPhase until, parse_phase(o.until));
  if (until != DONE) wish.until.push_back(until);
  auto jobs = co_await wait_for_jobs(master, std::move(wish));
  if (!jobs) {
    if (jobs.error().code() != Errc::kTimeout || o.within == cli::Duration(0)) co_return fail(std::move(jobs).error());
    cli::report_error("ffctl", jobs.error(), false);
    co_return kExitWaitTimeout;
  }
  co_return exit_code_of(*jobs);
}

Task<Result<int>> logs(MasterSession& master, const Options& o) {
  FF_CO_TRY_ASSIGN(const ChosenJob chosen, co_await choose_job(master, o.job));
  LogWish wish{.job = chosen.job.id(), .attempt = chosen.attempt, .follow = o.follow, .lines = o.lines};
  FF_CO_TRY_ASSIGN(wish.ranks, parse_ranks(o.rank, rank_count(chosen.job.spec())));
  FF_CO_TRY(co_await show_log(master, std::move(wish)));
  co_return cli::kExitOk;
}

cli::Option job_option(Options& o) {
  return {.names = "job", .target = &o.job, .help = "number, name, or last", .value_name = "JOB", .required = true};
}

}  // namespace

cli::Command ls_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "ls";
  command.summary = "List jobs";
  command.description =
      "Newest first; without those that are done, unless --all, --state, --name or a job asks for them. JOB is a "
      "number, a name, last, a..b, user:NAME, state:NAME or label:KEY[=VALUE].";
  command.options = {
      {.names = "job", .target = &options->jobs, .help = "these alone", .value_name = "JOB"},
      {.names = "-a,--all", .target = &options->all, .help = "also those that are done"},
      {.names = "--state",
       .target = &options->states,
       .help = "in this phase; may be given several times",
       .choices = phase_words()},
      {.names = "-u,--user", .target = &options->user, .help = "of this user; me: the caller's", .value_name = "USER"},
      {.names = "--name", .target = &options->name, .help = "of this name", .value_name = "NAME"},
      {.names = "-q,--queue", .target = &options->queue, .help = "of this queue", .value_name = "QUEUE"},
      {.names = "-l,--label",
       .target = &options->labels,
       .help = "with this label; may be given several times",
       .value_name = "KEY[=VALUE]"},
      {.names = "--limit", .target = &options->limit, .help = "at most so many; 0: all", .min = 0, .max = 100000}};
  command.examples = {{"ffctl ls", "what waits and runs"},
                      {"ffctl ls -a -u me --limit 20", "the caller's last jobs"},
                      {"ffctl ls -a -o jsonl | jq 'select(.exit_code == 22)'", "those that nodes have failed"}};
  reports(command, options, list);
  return command;
}

cli::Command show_command() {
  struct ShowOptions : Options {};
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "show";
  command.summary = "Show all of one job: what it asked for, where it ran, how it ended";
  command.description = "Other formats than the table give an object of schema ff.job-show/1.";
  command.options = {job_option(*options)};
  command.examples = {{"ffctl show train", "for people"},
                      {"ffctl show 17 --json | jq '.attempts[-1].nodes'", "for scripts"}};
  reports(command, options, show);
  return command;
}

cli::Command wait_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "wait";
  command.summary = "Wait until jobs are done, and end as they did";
  command.description =
      "The exit code is that of the first of the jobs, in the order given, that did not succeed; 0 if all did. A job's "
      "code is that of its first rank that failed, 128 + N where signal N killed it, or one of those below. With "
      "--until another phase, jobs that are in it, or done, are no longer waited for.";
  command.options = {
      {.names = "job",
       .target = &options->jobs,
       .help = "number, name, last, a..b, user:NAME, …",
       .value_name = "JOB",
       .required = true},
      {.names = "--until", .target = &options->until, .help = "wait for this phase", .choices = phase_words()},
      {.names = "--any", .target = &options->any, .help = "one of them is enough"},
      {.names = "--within", .target = &options->within, .help = "give up after this time; 0: never", .min = 0}};
  command.examples = {{"ffctl wait train && ffctl submit -- ./evaluate", "go on if it succeeded"},
                      {"ffctl wait 17..20 --within 1h", "all of them, for an hour at most"}};
  command.exit_codes = job_exit_codes();
  asks(command, options, wait);
  return command;
}

cli::Command logs_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "logs";
  command.summary = "Print what a job's ranks have printed";
  command.description =
      "Standard output and standard error of a rank are one log. Without -f, of the last attempt, or of that which "
      "JOB@ATTEMPT names. With -f: from there on, through all attempts that follow, until the job is done.";
  command.options = {
      {.names = "job",
       .target = &options->job,
       .help = "number, name, or last; @N: of attempt N",
       .value_name = "JOB",
       .required = true},
      {.names = "-f,--follow", .target = &options->follow, .help = "wait for more until the job is done"},
      {.names = "-r,--rank", .target = &options->rank, .help = "of these ranks: 0,3-5, or all", .value_name = "LIST"},
      {.names = "-n,--lines",
       .target = &options->lines,
       .help = "the last lines alone; -1: all",
       .value_name = "N",
       .min = -1,
       .max = 1000000}};
  command.examples = {{"ffctl logs -f train", "watch rank 0"},
                      {"ffctl logs 17@1 -r all -n 20", "the end of all ranks' output in its first attempt"}};
  asks(command, options, logs);
  return command;
}

}  // namespace ff::ctl
