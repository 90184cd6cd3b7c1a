// describe: one page about a job, of what show, explain, history and events tell.
#include <fmt/core.h>

#include <memory>

#include "ffctl/cmd/choosing.hpp"
#include "ffctl/cmd/commands.hpp"
#include "ffctl/cmd/text.hpp"
#include "ffctl/job/goodput.hpp"
#include "libcommon/base/duration.hpp"
#include "libcommon/report/utf8.hpp"

namespace ff::ctl {

using report::Format;
using runtime::Task;

namespace {

constexpr std::uint32_t kEventsShown = 10;

struct Options {
  MasterChoice master;
  std::string job;
};

std::string spent_text(const Spent& time) {
  const auto text = [](std::uint64_t ms) { return format_duration(std::chrono::milliseconds(ms)); };
  return fmt::format("useful {}, lost {}, starting {}, leaving {} (node time; goodput {:.1f} %)", text(time.useful_ms),
                     text(time.lost_ms), text(time.starting_ms), text(time.leaving_ms), goodput_percent(time));
}

Task<Result<int>> describe(MasterSession& master, const Options& o) {
  FF_CO_TRY_ASSIGN(const Job job, co_await whole_job(master, o.job));
  const std::uint64_t now = wall_ms(master.env());
  std::string text = job_details(job, now);
  if (job.attempts_size() != 0) text += fmt::format("{:<13}{}\n", "time", spent_text(spent(job, now)));

  if (job.phase() != DONE) {
    ExplainRequest why;
    why.set_job(job.id());
    FF_CO_TRY_ASSIGN(const ExplainReply reply, co_await master.ask(&MasterClient::explain, std::move(why)));
    text += fmt::format("\n{}", explanation_text(reply));
  }

  ListEventsRequest events;
  events.set_job(job.id());
  events.set_latest(true);
  events.set_limit(kEventsShown);
  FF_CO_TRY_ASSIGN(const ListEventsReply reply, co_await master.ask(&MasterClient::list_events, std::move(events)));
  report::Table table = event_table();
  for (const Event& event : reply.events()) table.add_row(event_cells(event));
  text += fmt::format("\nlast events:\n{}", table.render(Format::kTable));
  FF_CO_TRY(print(text));
  co_return cli::kExitOk;
}

}  // namespace

cli::Command describe_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "describe";
  command.summary = "Tell all about a job on one page: what it is, why it waits, where its time went, what happened";
  command.description = "For people. Programs ask `ffctl show`, `explain`, `history` and `events`, which have --json.";
  command.options = {{.names = "job",
                      .target = &options->job,
                      .help = "number, name, or last",
                      .value_name = "JOB",
                      .required = true}};
  command.examples = {{"ffctl describe last", "the first thing to look at"}};
  asks(command, options, describe);
  return command;
}

}  // namespace ff::ctl
