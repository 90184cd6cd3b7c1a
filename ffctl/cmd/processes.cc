// ps, signal: the processes of a job.
#include <fmt/core.h>

#include <charconv>
#include <csignal>
#include <cstring>

#include <memory>

#include "ffctl/cmd/choosing.hpp"
#include "ffctl/cmd/commands.hpp"
#include "ffctl/cmd/text.hpp"
#include "ffctl/cmd/waiting.hpp"

namespace ff::ctl {

using report::Format;
using report::Unit;
using runtime::Task;

namespace {

struct Options {
  MasterChoice master;
  cli::OutputOptions output;
  std::string job, signal, rank = "all";
};

constexpr int kSignalMax = 64;

// "USR1", "sigusr1", "10".
Result<int> parse_signal(std::string_view text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size() && number >= 1 && number <= kSignalMax) return number;
  std::string name(text);
  for (char& c : name) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  if (name.starts_with("SIG")) name.erase(0, 3);
  for (int signo = 1; signo < NSIG; ++signo)
    if (const char* const known = ::sigabbrev_np(signo); known != nullptr && name == known) return signo;
  return fail(Errc::kInvalidArgument,
              fmt::format("signal '{}': is none (give a name as `kill -l` has it, or 1 to {})", text, kSignalMax));
}

// Tells of nodes that did not answer; the exit code of the first.
template <class Failures>
int report_failures(const Failures& failures, Format format) {
  int code = cli::kExitOk;
  for (const NodeFailure& one : failures) {
    const Error error(static_cast<Errc>(one.code()), fmt::format("node {}: {}", one.node(), one.error()));
    cli::report_error("ffctl", error, format == Format::kJson);
    if (code == cli::kExitOk) code = exit_code_of(error);
  }
  return code;
}

Task<Result<int>> ps(MasterSession& master, const Options& o, Format format) {
  FF_CO_TRY_ASSIGN(const ChosenJob chosen, co_await choose_job(master, o.job));
  report::Table table("ff.process/1", {{.key = "node", .title = "NODE"},
                                       {.key = "rank", .title = "RANK"},
                                       {.key = "pid", .title = "PID"},
                                       {.key = "parent", .title = "PARENT"},
                                       {.key = "cpu_ns", .title = "CPU", .unit = Unit::kNanoseconds},
                                       {.key = "memory_bytes", .title = "MEMORY", .unit = Unit::kBytes},
                                       {.key = "command", .title = "COMMAND"}});
  ListProcessesOfJobRequest request;
  request.set_job(chosen.job.id());
  int code = cli::kExitOk;
  do {
    FF_CO_TRY_ASSIGN(const ListProcessesOfJobReply reply,
                     co_await master.ask(&MasterClient::list_job_processes, request));
    for (const auto& one : reply.processes()) {
      const auto& process = one.process();
      table.add_row({one.node(), count_cell(process.rank()), std::int64_t{process.pid()},
                     std::int64_t{process.parent()}, static_cast<std::int64_t>(process.cpu_seconds() * 1e9),
                     count_cell(process.memory_bytes()), process.command()});
    }
    if (const int failed = report_failures(reply.silent(), format); code == cli::kExitOk) code = failed;
    request.set_first_node(reply.next_node());
  } while (request.first_node() != 0);
  FF_CO_TRY(print(table.render(format)));
  co_return code;
}

Task<Result<int>> send(MasterSession& master, const Options& o) {
  FF_CO_TRY_ASSIGN(const int number, parse_signal(o.signal));
  FF_CO_TRY_ASSIGN(const ChosenJob chosen, co_await choose_job(master, o.job));
  SignalJobRequest request;
  request.set_job(chosen.job.id());
  request.set_signal(number);
  if (o.rank != "all") {
    FF_CO_TRY_ASSIGN(const std::vector<std::uint32_t> ranks, parse_ranks(o.rank, rank_count(chosen.job.spec())));
    for (const std::uint32_t rank : ranks) request.add_ranks(rank);
  }
  FF_CO_TRY_ASSIGN(const SignalJobReply reply, co_await master.ask(&MasterClient::signal_job, std::move(request)));
  co_return report_failures(reply.failed(), Format::kTable);
}

cli::Option job_option(Options& o) {
  return {.names = "job", .target = &o.job, .help = "number, name, or last", .value_name = "JOB", .required = true};
}

}  // namespace

cli::Command ps_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "ps";
  command.summary = "Show the processes of a job, on all its nodes";
  command.description =
      "As the agents find them now, also those that ranks have started. A node that does not answer is told of, and "
      "the "
      "exit code says so; the others are shown.";
  command.options = {job_option(*options)};
  command.examples = {{"ffctl ps train", "what runs where"},
                      {"ffctl ps train --json | jq '[.rows[].memory_bytes] | add'", "memory of all of it"}};
  reports(command, options, ps);
  return command;
}

cli::Command signal_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "signal";
  command.summary = "Send a signal to the ranks of a job";
  command.description =
      "To the process of each rank, not to those that it has started. What the program does with it is its own: to end "
      "a job, use `ffctl stop`.";
  command.options = {
      {.names = "signal",
       .target = &options->signal,
       .help = "name with or without SIG, or number 1 to 64",
       .value_name = "SIGNAL",
       .required = true},
      job_option(*options),
      {.names = "-r,--rank", .target = &options->rank, .help = "to these ranks: 0,3-5, or all", .value_name = "LIST"}};
  command.examples = {{"ffctl signal USR1 train", "if it writes its state then"},
                      {"ffctl signal QUIT train -r 3", "rank 3 tells where it is stuck, if it is Python or Java"}};
  asks(command, options, send);
  return command;
}

}  // namespace ff::ctl
