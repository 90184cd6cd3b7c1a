// stop, suspend, resume, requeue, hold, release, prio: what people do to jobs.
#include <fmt/core.h>

#include <memory>

#include "ffctl/cmd/choosing.hpp"
#include "ffctl/cmd/commands.hpp"
#include "ffctl/cmd/text.hpp"

namespace ff::ctl {

using report::Format;
using runtime::Task;

namespace {

struct Options {
  explicit Options(ControlRequest::Verb v) : verb(v) {}
  const ControlRequest::Verb verb;
  MasterChoice master;
  cli::OutputOptions output;
  std::vector<std::string> jobs;
  std::string reason, priority;
  bool force = false;
  cli::Duration grace{0};
};

constexpr int kJobsAtOnce = 10'000;

int exit_code_of_one(std::uint32_t code) {
  const auto errc = static_cast<Errc>(code);
  return errc == Errc::kInvalidArgument ? kExitWrongPhase : exit_code_of(Error(errc, ""));
}

Task<Result<int>> control(MasterSession& master, const Options& o, Format format) {
  ControlRequest request;
  request.set_verb(o.verb);
  request.set_reason(o.reason);
  request.set_force(o.force);
  request.set_grace_ms(
      static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(o.grace).count()));
  if (!o.priority.empty()) {
    FF_CO_TRY_ASSIGN(const Priority priority, parse_priority(o.priority));
    request.set_priority(priority);
  }
  FF_CO_TRY_ASSIGN(const std::vector<ChosenJob> chosen, co_await choose_jobs(master, o.jobs));
  report::Table table("ff.control/1", {{.key = "job", .title = "JOB"},
                                       {.key = "name", .title = "NAME"},
                                       {.key = "phase", .title = "PHASE"},
                                       {.key = "error", .title = "ERROR", .wide_only = true}});
  int code = cli::kExitOk;
  for (std::size_t at = 0; at < chosen.size(); at += kJobsAtOnce) {
    request.clear_jobs();
    const std::size_t end = std::min(chosen.size(), at + kJobsAtOnce);
    for (std::size_t i = at; i < end; ++i) request.add_jobs(chosen[i].job.id());
    FF_CO_TRY_ASSIGN(const ControlReply reply, co_await master.ask(&MasterClient::control, request));
    for (int i = 0; i < reply.jobs_size(); ++i) {
      const ControlReply::One& one = reply.jobs(i);
      const std::string name =
          at + static_cast<std::size_t>(i) < end ? chosen[at + static_cast<std::size_t>(i)].job.spec().name() : "";
      table.add_row({count_cell(one.job()), name, one.phase() == JOB_NONE ? report::Cell() : phase_text(one.phase()),
                     one.error().empty() ? report::Cell() : one.error()});
      if (one.error().empty()) continue;
      cli::report_error("ffctl", Error(static_cast<Errc>(one.code()), one.error()), format == Format::kJson);
      if (code == cli::kExitOk) code = exit_code_of_one(one.code());
    }
  }
  FF_CO_TRY(print(table.render(format)));
  co_return code;
}

std::shared_ptr<Options> begin(cli::Command& command, ControlRequest::Verb verb, const char* name,
                               const char* summary) {
  const auto options = std::make_shared<Options>(verb);
  command.name = name;
  command.summary = summary;
  command.options = {{.names = "job",
                      .target = &options->jobs,
                      .help = "number, name, last, a..b, user:NAME, state:NAME, label:KEY[=VALUE]",
                      .value_name = "JOB",
                      .required = true}};
  return options;
}

void add_reason(cli::Command& command, Options& o) {
  command.options.push_back(
      {.names = "--reason", .target = &o.reason, .help = "for people who look later", .value_name = "TEXT"});
}

void add_grace(cli::Command& command, Options& o) {
  command.options.push_back(
      {.names = "--grace", .target = &o.grace, .help = "time to end in, instead of the job's; 0: the job's", .min = 0});
}

cli::Command finish(cli::Command command, const std::shared_ptr<Options>& options) {
  command.exit_codes.push_back({kExitWrongPhase, "a job is in a phase in which that cannot be done"});
  reports(command, options, control);
  return command;
}

}  // namespace

cli::Command stop_command() {
  cli::Command command;
  const auto options = begin(command, ControlRequest::STOP, "stop", "End jobs for good");
  command.description =
      "Ranks get SIGTERM, and SIGKILL after the grace time; jobs that wait are done at once. Returns when the order is "
      "recorded: `ffctl wait` waits for the end. A job that is done already is left as it is.";
  command.options.push_back({.names = "-f,--force", .target = &options->force, .help = "SIGKILL at once"});
  add_grace(command, *options);
  add_reason(command, *options);
  command.examples = {{"ffctl stop train", "by name"},
                      {"ffctl stop user:ann --reason 'wrong data'", "all of a user's"}};
  return finish(std::move(command), options);
}

cli::Command suspend_command() {
  cli::Command command;
  const auto options = begin(command, ControlRequest::SUSPEND, "suspend", "Let jobs save and end, to go on later");
  command.description =
      "Running jobs are asked to save and exit, as when they are preempted, and stay out of the queue until they are "
      "resumed.";
  add_grace(command, *options);
  add_reason(command, *options);
  command.examples = {{"ffctl suspend train", "frees its nodes when it has saved"}};
  return finish(std::move(command), options);
}

cli::Command resume_command() {
  cli::Command command;
  const auto options = begin(command, ControlRequest::RESUME, "resume", "Put suspended jobs back into the queue");
  add_reason(command, *options);
  command.examples = {{"ffctl resume train", "it goes on from where it saved"}};
  return finish(std::move(command), options);
}

cli::Command requeue_command() {
  cli::Command command;
  const auto options =
      begin(command, ControlRequest::REQUEUE, "requeue", "Let running jobs save and end, and queue them again");
  add_grace(command, *options);
  add_reason(command, *options);
  command.examples = {{"ffctl requeue train", "to move it to other nodes"}};
  return finish(std::move(command), options);
}

cli::Command hold_command() {
  cli::Command command;
  const auto options = begin(command, ControlRequest::HOLD, "hold", "Keep waiting jobs from starting");
  add_reason(command, *options);
  command.examples = {{"ffctl hold 17..20", "until they are released"}};
  return finish(std::move(command), options);
}

cli::Command release_command() {
  cli::Command command;
  const auto options = begin(command, ControlRequest::RELEASE, "release", "Undo hold");
  command.examples = {{"ffctl release 17..20", "they may start now"}};
  return finish(std::move(command), options);
}

cli::Command prio_command() {
  cli::Command command;
  const auto options = begin(command, ControlRequest::SET_PRIORITY, "prio", "Change the priority of jobs");
  command.options.insert(command.options.begin(), {.names = "priority",
                                                   .target = &options->priority,
                                                   .help = "the new one",
                                                   .choices = priority_words(),
                                                   .required = true});
  command.examples = {{"ffctl prio high train", "before others"}};
  return finish(std::move(command), options);
}

}  // namespace ff::ctl
