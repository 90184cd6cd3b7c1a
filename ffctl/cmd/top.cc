// top: what the cluster does at this moment, again and again.
#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <unordered_map>

#include "ffctl/cmd/choosing.hpp"
#include "ffctl/cmd/commands.hpp"
#include "ffctl/cmd/text.hpp"
#include "libcommon/base/duration.hpp"
#include "libcommon/cli/full_screen.hpp"
#include "libcommon/runtime/sleep.hpp"

namespace ff::ctl {

using namespace std::chrono_literals;
using report::Cell;
using report::Format;
using report::Unit;
using runtime::Task;

namespace {

// How long a key waits to be seen.
constexpr runtime::Duration kKeyEvery = 50ms;
constexpr std::uint32_t kWaitingShown = 20;

struct Options {
  MasterChoice master;
  cli::OutputOptions output{"table", {"table", "wide", "json", "jsonl"}};
  cli::Duration delay = 2s;
  std::int64_t samples = 0;
  bool once = false;
};

struct Sample {
  std::uint64_t now_ms = 0;
  StatusReply status;
  std::vector<Job> running;  // the largest first
  ListQueueReply waiting;    // the first of them
  std::uint64_t gpus = 0, gpus_held = 0;
};

// Of all nodes, and of those that jobs hold: whole nodes with all of theirs.
void count_gpus(const ListNodesReply& nodes, Sample& sample) {
  std::unordered_map<std::string, std::uint64_t> of;
  for (const NodeInfo& node : nodes.nodes()) {
    of[node.facts().name()] = node.facts().gpus();
    if (node.state() == NodeInfo::READY || node.state() == NodeInfo::BUSY) sample.gpus += node.facts().gpus();
  }
  for (const Job& job : sample.running) {
    const Resources& wants = job.spec().resources();
    const bool part = wants.nodes() == 1 && (wants.gpus_per_node() > 0 || wants.cpus_per_node() > 0);
    if (job.attempts().empty()) continue;
    for (const std::string& node : job.attempts(job.attempts_size() - 1).nodes())
      sample.gpus_held += part ? wants.gpus_per_node() : of[node];
  }
}

Task<Result<Sample>> take(MasterSession& master) {
  Sample sample;
  FF_CO_TRY_ASSIGN(sample.status, co_await master.ask(&MasterClient::get_status, StatusRequest()));
  FF_CO_TRY_ASSIGN(const ListNodesReply nodes, co_await master.ask(&MasterClient::list_nodes, ListNodesRequest()));
  JobFilter running;
  for (const JobPhase phase : {STARTING, RUNNING, SUSPENDING, STOPPING}) running.add_phases(phase);
  FF_CO_TRY_ASSIGN(sample.running, co_await list_jobs(master, std::move(running), Detail::kRow));
  std::ranges::sort(sample.running, std::ranges::greater(),
                    [](const Job& job) { return std::pair(job.spec().resources().nodes(), job.id()); });
  ListQueueRequest queue;
  queue.set_limit(kWaitingShown);
  FF_CO_TRY_ASSIGN(sample.waiting, co_await master.ask(&MasterClient::list_queue, std::move(queue)));
  sample.now_ms = wall_ms(master.env());
  count_gpus(nodes, sample);
  co_return sample;
}

double percent(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : 100 * static_cast<double>(part) / static_cast<double>(whole);
}

std::string text_of(const Sample& sample, Format format) {
  const StatusReply& s = sample.status;
  std::string text = fmt::format("nodes: {} busy, {} ready, {} drained, {} lost; GPUs: {} of {} held ({:.0f} %)\n",
                                 s.nodes_busy(), s.nodes_ready(), s.nodes_drained(), s.nodes_lost(), sample.gpus_held,
                                 sample.gpus, percent(sample.gpus_held, sample.gpus));
  text += fmt::format("jobs: {} running, {} queued, {} held, {} done; led by {}, last pass {:.1f} ms\n\n",
                      s.jobs_running(), s.jobs_queued(), s.jobs_held(), s.jobs_done(), s.leader(), s.last_pass_ms());
  report::Table jobs("ff.job/1", job_columns());
  for (const Job& job : sample.running) jobs.add_row(job_cells(job, sample.now_ms));
  text += jobs.render(format);
  if (!sample.waiting.jobs().empty()) {
    report::Table waiting = queue_table();
    for (const QueuedJob& job : sample.waiting.jobs()) waiting.add_row(queue_cells(job, sample.now_ms));
    text += fmt::format("\nwaiting{}:\n{}", sample.waiting.more() ? " (the first)" : "", waiting.render(format));
  }
  return text;
}

// One object a sample.
std::string json_of(const Sample& sample, bool one_line) {
  const StatusReply& s = sample.status;
  report::JsonWriter json(one_line ? 0 : 2);
  json.begin_object().field("schema", "ff.ctl.top/1").field("time_ms", std::uint64_t{sample.now_ms});
  json.field("leader", std::string_view(s.leader())).field("last_pass_ms", s.last_pass_ms());
  json.field("nodes_busy", s.nodes_busy()).field("nodes_ready", s.nodes_ready());
  json.field("nodes_drained", s.nodes_drained()).field("nodes_lost", s.nodes_lost());
  json.field("gpus", std::uint64_t{sample.gpus}).field("gpus_held", std::uint64_t{sample.gpus_held});
  json.field("jobs_running", s.jobs_running()).field("jobs_queued", s.jobs_queued());
  json.field("jobs_held", s.jobs_held()).field("jobs_done", std::uint64_t{s.jobs_done()});
  json.key("running").begin_array();
  for (const Job& job : sample.running) {
    json.begin_object().field("job", std::uint64_t{job.id()}).field("name", std::string_view(job.spec().name()));
    json.field("user", std::string_view(job.user())).field("state", std::string_view(state_text(job)));
    json.field("nodes", job.spec().resources().nodes()).end_object();
  }
  json.end_array().key("waiting").begin_array();
  for (const QueuedJob& job : sample.waiting.jobs()) {
    json.begin_object().field("job", std::uint64_t{job.job()}).field("name", std::string_view(job.name()));
    json.field("user", std::string_view(job.user())).field("what", std::string_view(job.what()));
    json.field("nodes", job.nodes()).end_object();
  }
  json.end_array().end_object();
  return json.take() + '\n';
}

// Until q is pressed, or the error of the context.
Task<Result<>> show_on_screen(MasterSession& master, const Options& o, Format format) {
  cli::FullScreen screen;
  runtime::Time next = master.env().now();
  Sample sample;
  for (bool changed = true;;) {
    if (master.env().now() >= next) {
      FF_CO_TRY_ASSIGN(sample, co_await take(master));
      next = master.env().now() + o.delay;
      changed = true;
    }
    if (std::exchange(changed, false))
      FF_CO_TRY(screen.draw(fmt::format("ffctl top: every {}, q quits\n", format_duration(o.delay)) +
                            text_of(sample, format)));
    FF_CO_TRY(co_await runtime::sleep(kKeyEvery));
    for (char key = screen.key(); key != 0; key = screen.key()) {
      if (key == 'q') co_return {};
      changed = true;
    }
    changed = changed || screen.resized();
  }
}

Task<Result<>> print_samples(MasterSession& master, const Options& o, Format format) {
  const std::int64_t most = o.once ? 1 : o.samples;
  runtime::Time next = master.env().now();
  for (std::int64_t done = 0; most == 0 || done < most; ++done) {
    FF_CO_TRY(co_await runtime::sleep_until(next));
    next = std::max(next + o.delay, master.env().now());
    FF_CO_TRY_ASSIGN(const Sample sample, co_await take(master));
    const bool text = format == Format::kTable || format == Format::kWide;
    FF_CO_TRY(
        print(text ? (done == 0 ? "" : "\n") + text_of(sample, format) : json_of(sample, format == Format::kJsonl)));
    if (std::fflush(stdout) != 0) co_return fail(errno_error("standard output"));
  }
  co_return {};
}

Task<Result<int>> top(MasterSession& master, const Options& o, Format format) {
  if (o.once && o.samples > 1)
    co_return fail(Errc::kInvalidArgument, "--once: contradicts --samples (give one of them)");
  const bool text = format == Format::kTable || format == Format::kWide;
  if (!o.once && o.samples == 0 && text && cli::FullScreen::possible()) {
    FF_CO_TRY(co_await show_on_screen(master, o, format));
  } else {
    FF_CO_TRY(co_await print_samples(master, o, format));
  }
  co_return cli::kExitOk;
}

}  // namespace

cli::Command top_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "top";
  command.summary = "Watch what runs and what waits";
  command.description =
      "On a terminal: over the whole screen, until q is pressed. Else, and with --samples: samples one after the "
      "other, "
      "until Ctrl-C. GPUs held are those of the nodes, or parts of nodes, that jobs have.";
  command.options = {
      {.names = "-d,--delay", .target = &options->delay, .help = "time between samples", .min = 0.1, .max = 3600},
      {.names = "-n,--samples",
       .target = &options->samples,
       .help = "print so many and end; 0: go on",
       .value_name = "N",
       .min = 0,
       .max = 1e9},
      {.names = "--once", .target = &options->once, .help = "print one sample and end"}};
  command.examples = {{"ffctl top", "on a terminal"},
                      {"ffctl top --once --json | jq '.gpus_held / .gpus'", "occupancy, for scripts"}};
  reports(command, options, top);
  return command;
}

}  // namespace ff::ctl
