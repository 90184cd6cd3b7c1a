// submit, plan, run: new jobs.
#include <fmt/core.h>

#include <memory>

#include "ffctl/cmd/commands.hpp"
#include "ffctl/cmd/submitting.hpp"
#include "ffctl/cmd/text.hpp"
#include "ffctl/cmd/waiting.hpp"
#include "libcommon/net/auth.hpp"

namespace ff::ctl {

using report::Cell;
using report::Format;
using runtime::Task;

namespace {

struct Options {
  JobOptions job;
  MasterChoice master;
  cli::OutputOptions output{"name"};
  bool wait = false, dry_run = false;
  std::string rank = "0";
};

Task<Result<SubmitReply>> submit_all(MasterSession& master, std::vector<JobSpec> specs, bool check_only) {
  SubmitRequest request;
  for (JobSpec& spec : specs) *request.add_jobs() = std::move(spec);
  request.set_check_only(check_only);
  std::array<std::byte, 16> key{};
  net::secure_random(key);
  request.set_request_key(key.data(), key.size());
  co_return co_await master.ask(&MasterClient::submit, std::move(request));
}

Task<Result<int>> end_as(MasterSession& master, std::vector<std::uint64_t> ids) {
  WaitWish wish{.jobs = std::move(ids)};
  FF_CO_TRY_ASSIGN(const std::vector<Job> jobs, co_await wait_for_jobs(master, std::move(wish)));
  for (const Job& job : jobs) {
    if (job.result() == SUCCEEDED) continue;
    fmt::print(stderr, "ffctl: job {}: {}\n", job.id(),
               job.reason().empty() ? state_text(job) : state_text(job) + ": " + job.reason());
  }
  co_return exit_code_of(jobs);
}

Task<Result<int>> submit(MasterSession& master, const Options& o, std::vector<JobSpec> specs, Format format) {
  std::vector<std::string> names;
  for (const JobSpec& spec : specs) names.push_back(spec.name());
  FF_CO_TRY_ASSIGN(const SubmitReply reply, co_await submit_all(master, std::move(specs), o.dry_run));
  if (o.dry_run) {
    report::Table table("ff.estimate/1", {{.key = "name", .title = "NAME"},
                                          {.key = "now", .title = "NOW"},
                                          {.key = "start", .title = "START"},
                                          {.key = "would_preempt", .title = "WOULD-PREEMPT"},
                                          {.key = "text", .title = "TEXT"}});
    for (int i = 0; i < reply.estimates_size(); ++i) {
      const StartEstimate& one = reply.estimates(i);
      const std::string& name = names[std::min<std::size_t>(static_cast<std::size_t>(i), names.size() - 1)];
      std::string victims;
      for (const std::uint64_t victim : one.would_preempt())
        victims += (victims.empty() ? "" : ",") + std::to_string(victim);
      table.add_row({name, one.now(), time_cell(one.at_ms()), victims.empty() ? Cell() : victims,
                     one.text().empty() ? Cell() : one.text()});
    }
    FF_CO_TRY(print(table.render(format == Format::kName ? Format::kTable : format)));
    co_return cli::kExitOk;
  }
  if (static_cast<std::size_t>(reply.jobs_size()) != names.size())
    co_return fail(Errc::kInternal, "submit: the master gave not as many numbers as jobs");
  report::Table table("ff.submit/1", {{.key = "job", .title = "JOB"}, {.key = "name", .title = "NAME"}});
  for (int i = 0; i < reply.jobs_size(); ++i)
    table.add_row({count_cell(reply.jobs(i)), names[static_cast<std::size_t>(i)]});
  FF_CO_TRY(print(table.render(format)));
  if (!o.wait) co_return cli::kExitOk;
  co_return co_await end_as(master, {reply.jobs().begin(), reply.jobs().end()});
}

Task<Result<int>> run(MasterSession& master, const Options& o, JobSpec spec) {
  LogWish wish{.follow = true};
  FF_CO_TRY_ASSIGN(wish.ranks, parse_ranks(o.rank, rank_count(spec)));
  FF_CO_TRY_ASSIGN(const SubmitReply reply, co_await submit_all(master, {std::move(spec)}, false));
  if (reply.jobs().empty()) co_return fail(Errc::kInternal, "run: the master gave no number");
  fmt::print(stderr, "ffctl: job {}\n", reply.jobs(0));
  wish.job = reply.jobs(0);
  if (const auto shown = co_await show_log(master, std::move(wish)); !shown) {
    if (shown.error().code() == Errc::kCancelled) co_return fail(shown.error());
    // How it ends counts, also where its output cannot be had.
    cli::report_error("ffctl", shown.error(), false);
  }
  co_return co_await end_as(master, {reply.jobs(0)});
}

// Asks `then` with the jobs that are described. What is wrong with them is said before a master is looked for.
template <class F>
Result<int> with_jobs(const Options& o, bool json, F then) {
  auto specs = o.job.jobs();
  if (!specs) return cli::report_error("ffctl", specs.error(), json), exit_code_of(specs.error());
  return then(std::move(*specs));
}

// What ends the description of submit and plan.
cli::Command submits(cli::Command command, const std::shared_ptr<Options>& options) {
  command.exit_codes.push_back({kExitNeverSchedulable, "no node of this cluster could ever run it"});
  options->output.add_to(command);
  options->master.add_to(command);
  for (cli::ExitCode& code : master_exit_codes()) command.exit_codes.push_back(std::move(code));
  command.run = [options]() -> Result<int> {
    FF_TRY_ASSIGN(const Format format, options->output.format());
    const bool json = format == Format::kJson;
    return with_jobs(*options, json, [&](std::vector<JobSpec> specs) {
      return with_master(options->master.target(), json, [&] [[clang::coro_wrapper]] (MasterSession & master) {
        return submit(master, *options, std::move(specs), format);
      });
    });
  };
  return command;
}

constexpr const char* kAboutJobs =
    "Its environment is that of the node's agent with --env over it; no shell is between: `sh -c '…'` is one where it "
    "is wanted. ";

}  // namespace

cli::Command submit_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "submit";
  command.summary = "Queue a job, and print its number";
  command.description =
      std::string("The command after -- is started on each of the job's nodes when its turn comes. ") + kAboutJobs +
      "What no state of this cluster could run is refused at once. A job file describes the same and arrays and sweeps "
      "besides; all "
      "of its jobs are submitted, or none. A script is a job file too: lines '#FF key: value' or '#FF --nodes 4' "
      "before "
      "its first command describe it.";
  options->job.add_to(command, true);
  command.options.push_back(
      {.names = "-w,--wait", .target = &options->wait, .help = "wait until it is done, and end as `ffctl wait` does"});
  command.options.push_back({.names = "--dry-run",
                             .target = &options->dry_run,
                             .help = "check it, and tell when it would start; nothing is queued"});
  command.examples = {{"ffctl submit job.yaml -N 4", "a description kept in a file"},
                      {"ffctl submit -a 0-99%8 -- ./shard {i}", "a hundred jobs, eight at a time"},
                      {"ffctl submit -N 2 -G 8 -p low -J train -- python train.py", "two whole nodes"},
                      {"ffctl submit -d after-ok:17 -- ./evaluate", "when job 17 has succeeded"},
                      {"id=$(ffctl submit -- make -j) && ffctl wait $id", "in a script"}};
  for (cli::ExitCode& code : job_exit_codes()) command.exit_codes.push_back(std::move(code));
  return submits(std::move(command), options);
}

cli::Command plan_command() {
  const auto options = std::make_shared<Options>();
  options->dry_run = true;
  cli::Command command;
  command.name = "plan";
  command.summary = "Tell when a job would start and whom it would preempt, and queue nothing";
  command.description =
      "As `ffctl submit --dry-run`: everything is checked, and the scheduler is asked with the jobs as they are now.";
  options->job.add_to(command, true);
  command.examples = {{"ffctl plan -N 8 -p high -- ./train", "would it start now?"},
                      {"ffctl plan job.yaml --json | jq '.rows[].would_preempt'", "who would have to make room"}};
  return submits(std::move(command), options);
}

cli::Command run_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "run";
  command.summary = "Submit a job, show what it prints, and end as it does";
  command.description = std::string("As `ffctl submit --wait`, with `ffctl logs -f` beside it. ") + kAboutJobs +
                        "Ctrl-C ends the looking on; the job goes on (`ffctl stop` ends it).";
  options->job.add_to(command, false);
  command.options.push_back(
      {.names = "--rank", .target = &options->rank, .help = "show these ranks: 0,3-5, or all", .value_name = "LIST"});
  command.examples = {{"ffctl run -- nvidia-smi", "on some node"},
                      {"ffctl run train.sh -N 4 -- --epochs 3", "a script with lines #FF, its options and arguments"},
                      {"ffctl run -N 2 -R 4 --rank all -- ./ranks", "eight ranks, all their output"}};
  command.exit_codes.push_back({kExitNeverSchedulable, "no node of this cluster could ever run it"});
  for (cli::ExitCode& code : job_exit_codes()) command.exit_codes.push_back(std::move(code));
  options->master.add_to(command);
  for (cli::ExitCode& code : master_exit_codes()) command.exit_codes.push_back(std::move(code));
  command.run = [options]() -> Result<int> {
    return with_jobs(*options, false, [&](std::vector<JobSpec> specs) -> Result<int> {
      if (specs.size() != 1)
        return fail(Errc::kInvalidArgument,
                    fmt::format("run: the description makes {} jobs, one is shown (use `ffctl submit`)", specs.size()));
      return with_master(options->master.target(), false, [&] [[clang::coro_wrapper]] (MasterSession & master) {
        return run(master, *options, std::move(specs.front()));
      });
    });
  };
  return command;
}

}  // namespace ff::ctl
