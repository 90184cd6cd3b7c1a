#include "ffctl/cmd/text.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <ctime>

#include "libcommon/base/byte_size.hpp"
#include "libcommon/base/duration.hpp"
#include "libcommon/report/utf8.hpp"

namespace ff::ctl {

using report::Cell;
using report::Unit;

namespace {

std::string time_text(std::uint64_t unix_ms) {
  const std::time_t seconds = static_cast<std::time_t>(unix_ms / 1000);
  std::tm parts{};
  if (::gmtime_r(&seconds, &parts) == nullptr) return std::to_string(unix_ms);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                     parts.tm_hour, parts.tm_min, parts.tm_sec);
}

std::string duration_text(std::uint64_t ms) { return format_duration(std::chrono::milliseconds(ms)); }

template <class List>
std::string joined(const List& list, std::string_view by) {
  std::string out;
  for (const auto& one : list) out.append(out.empty() ? "" : by).append(one);
  return out;
}

// As a shell would need it to be written.
std::string shell_word(const std::string& word) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_-./=:,+@%").find(c) != std::string_view::npos;
  };
  if (!word.empty() && std::ranges::all_of(word, plain)) return word;
  std::string out = "'";
  for (const char c : word) out.append(c == '\'' ? "'\\''" : std::string(1, c));
  return out + "'";
}

std::string command_text(const RunSpec& run) {
  std::string out = run.script().empty() ? "" : "(script)";
  for (int i = run.script().empty() ? 0 : 1; i < run.command_size(); ++i)
    out.append(out.empty() ? "" : " ").append(shell_word(run.command(i)));
  return out;
}

std::uint64_t run_ms(const Job& job, std::uint64_t now_ms) {
  if (job.first_start_ms() == 0) return 0;
  const std::uint64_t end = job.done_ms() != 0 ? job.done_ms() : now_ms;
  return end > job.first_start_ms() ? end - job.first_start_ms() : 0;
}

void attempt_json(report::JsonWriter& json, const Attempt& attempt) {
  json.begin_object().field("number", attempt.number());
  json.field("phase", std::string_view(word_of(attempt.phase())));
  json.key("nodes").begin_array();
  for (const std::string& node : attempt.nodes()) json.value(std::string_view(node));
  json.end_array();
  json.field("created_ms", std::uint64_t{attempt.created_ms()})
      .field("started_ms", std::uint64_t{attempt.started_ms()});
  json.field("drain_ms", std::uint64_t{attempt.drain_ms()}).field("closed_ms", std::uint64_t{attempt.closed_ms()});
  json.key("cause");
  if (attempt.cause() == END_NONE) {
    json.null();
  } else {
    json.value(std::string_view(word_of(attempt.cause())));
  }
  json.field("exit_code", attempt.exit_code()).field("failed_rank", attempt.failed_rank());
  json.field("reason", std::string_view(attempt.reason()));
  json.field("preempted_for", std::uint64_t{attempt.preempted_for()});
  json.field("last_step", std::uint64_t{attempt.last_step()}).field("saved_step", std::uint64_t{attempt.saved_step()});
  json.field("notice_to_seen_ms", std::uint64_t{attempt.notice_to_seen_ms()});
  json.field("notice_to_saved_ms", std::uint64_t{attempt.notice_to_saved_ms()});
  json.field("notice_to_freed_ms", std::uint64_t{attempt.notice_to_freed_ms()}).end_object();
}

}  // namespace

Cell time_cell(std::uint64_t unix_ms) { return unix_ms == 0 ? Cell() : Cell(time_text(unix_ms)); }
Cell count_cell(std::uint64_t value) { return static_cast<std::int64_t>(value); }
Cell duration_cell(std::uint64_t ms) { return static_cast<std::int64_t>(ms * 1'000'000); }

std::uint32_t rank_count(const JobSpec& spec) {
  const std::uint32_t per_node = spec.run().launcher() == PER_RANK ? std::max(spec.run().ranks_per_node(), 1u) : 1;
  return std::max(spec.resources().nodes(), 1u) * per_node;
}

std::vector<report::Column> job_columns() {
  return {{.key = "job", .title = "JOB"},
          {.key = "name", .title = "NAME"},
          {.key = "user", .title = "USER"},
          {.key = "priority", .title = "PRIORITY"},
          {.key = "state", .title = "STATE"},
          {.key = "nodes", .title = "NODES"},
          {.key = "gpus_per_node", .title = "GPUS", .wide_only = true},
          {.key = "elapsed_ns", .title = "ELAPSED", .unit = Unit::kNanoseconds},
          {.key = "exit_code", .title = "EXIT"},
          {.key = "where", .title = "WHERE"},
          {.key = "reason", .title = "REASON"},
          {.key = "phase", .title = "PHASE", .wide_only = true},
          {.key = "queue", .title = "QUEUE", .wide_only = true},
          {.key = "attempts", .title = "ATTEMPTS", .wide_only = true},
          {.key = "preemptions", .title = "PREEMPTIONS", .wide_only = true},
          {.key = "submitted", .title = "SUBMITTED", .wide_only = true},
          {.key = "done", .title = "DONE", .wide_only = true},
          {.key = "command", .title = "COMMAND", .wide_only = true}};
}

std::vector<Cell> job_cells(const Job& job, std::uint64_t now_ms) {
  const bool live = job.attempts_size() != 0 && job.attempts(job.attempts_size() - 1).phase() != CLOSED;
  const std::uint64_t elapsed = run_ms(job, now_ms);
  const std::uint32_t attempts = job.attempts_size() == 0 ? 0 : job.attempts(job.attempts_size() - 1).number();
  return {count_cell(job.id()),
          job.spec().name(),
          job.user(),
          priority_text(job.spec().priority()),
          state_text(job),
          count_cell(job.spec().resources().nodes()),
          count_cell(job.spec().resources().gpus_per_node()),
          job.first_start_ms() == 0 ? Cell() : duration_cell(elapsed),
          job.phase() == DONE ? Cell(std::int64_t{job.exit_code()}) : Cell(),
          live ? Cell(joined(job.attempts(job.attempts_size() - 1).nodes(), ",")) : Cell(),
          job.reason().empty() ? Cell() : Cell(job.reason()),
          phase_text(job.phase()),
          job.spec().queue().empty() ? Cell() : Cell(job.spec().queue()),
          count_cell(attempts),
          count_cell(job.preemptions()),
          time_cell(job.submitted_ms()),
          time_cell(job.done_ms()),
          command_text(job.spec().run())};
}

std::string job_details(const Job& job, std::uint64_t now_ms) {
  std::string out;
  const auto line = [&](const char* what, const std::string& text) {
    if (!text.empty()) out += fmt::format("{:<13}{}\n", what, report::printable(text));
  };
  const JobSpec& spec = job.spec();
  line("job", fmt::format("{} {}", job.id(), spec.name()));
  line("user", job.user());
  line("state", state_text(job));
  line("reason", job.reason());
  if (job.phase() == DONE) line("exit code", std::to_string(job.exit_code()));
  line("priority", priority_text(spec.priority()));
  line("queue", spec.queue());
  std::string wants = fmt::format("{} nodes", spec.resources().nodes());
  if (spec.resources().gpus_per_node() != 0) wants += fmt::format(", {} GPUs a node", spec.resources().gpus_per_node());
  if (spec.resources().cpus_per_node() != 0) wants += fmt::format(", {} CPUs a node", spec.resources().cpus_per_node());
  if (spec.resources().memory_bytes() != 0)
    wants += fmt::format(", {} a node", format_byte_size(spec.resources().memory_bytes()));
  line("wants", wants);
  line("ranks", fmt::format("{} ({})", rank_count(spec), word_of(spec.run().launcher())));
  line("command", command_text(spec.run()));
  line("folder", spec.run().workdir());
  line("checkpoint", spec.checkpoint());
  if (spec.time().limit_ms() != 0) line("limit", duration_text(spec.time().limit_ms()));
  std::string preemption = word_of(spec.preemption().mode());
  if (spec.preemption().mode() == PreemptionSpec::CHECKPOINT)
    preemption += ", grace " + duration_text(spec.preemption().grace_ms());
  line("preemption", preemption);
  for (const Dependency& one : spec.depends())
    line("depends", fmt::format("{}: {}", word_of(one.condition()), one.job()));
  for (const auto& [key, value] : spec.labels()) line("label", value.empty() ? key : key + "=" + value);
  line("submitted", time_text(job.submitted_ms()));
  if (job.first_start_ms() != 0) line("started", time_text(job.first_start_ms()));
  if (job.done_ms() != 0) line("done", time_text(job.done_ms()));
  if (job.first_start_ms() != 0) line("elapsed", duration_text(run_ms(job, now_ms)));
  if (job.preemptions() != 0) line("preemptions", std::to_string(job.preemptions()));
  for (const Attempt& attempt : job.attempts()) {
    std::string text =
        fmt::format("{} {} on {}", attempt.number(), word_of(attempt.phase()), joined(attempt.nodes(), ","));
    if (attempt.started_ms() != 0) text += ", started " + time_text(attempt.started_ms());
    if (attempt.closed_ms() != 0) text += ", closed " + time_text(attempt.closed_ms());
    if (attempt.cause() != END_NONE) text += ", " + word_of(attempt.cause());
    if (attempt.exit_code() != 0) text += fmt::format(" (rank {}: {})", attempt.failed_rank(), attempt.exit_code());
    if (attempt.last_step() != 0) text += fmt::format(", step {}", attempt.last_step());
    if (attempt.saved_step() != 0) text += fmt::format(", saved step {}", attempt.saved_step());
    if (attempt.notice_to_freed_ms() != 0) text += ", freed in " + duration_text(attempt.notice_to_freed_ms());
    if (!attempt.reason().empty()) text += ": " + attempt.reason();
    line("attempt", text);
  }
  return out;
}

void job_json(report::JsonWriter& json, const Job& job) {
  const JobSpec& spec = job.spec();
  json.field("job", std::uint64_t{job.id()}).field("name", std::string_view(spec.name()));
  json.field("user", std::string_view(job.user())).field("uid", job.uid());
  json.field("state", std::string_view(state_text(job))).field("phase", std::string_view(phase_text(job.phase())));
  json.key("exit_code");
  if (job.phase() == DONE) {
    json.value(job.exit_code());
  } else {
    json.null();
  }
  json.field("reason", std::string_view(job.reason()));
  json.field("priority", std::string_view(priority_text(spec.priority())));
  json.field("queue", std::string_view(spec.queue())).field("nodes", spec.resources().nodes());
  json.field("gpus_per_node", spec.resources().gpus_per_node()).field("ranks", rank_count(spec));
  json.key("command").begin_array();
  for (const std::string& word : spec.run().command()) json.value(std::string_view(word));
  json.end_array();
  json.field("workdir", std::string_view(spec.run().workdir()));
  json.key("environment").begin_object();
  for (const auto& [key, value] : spec.run().environment()) json.field(key, std::string_view(value));
  json.end_object();
  json.key("labels").begin_object();
  for (const auto& [key, value] : spec.labels()) json.field(key, std::string_view(value));
  json.end_object();
  json.field("limit_ms", std::uint64_t{spec.time().limit_ms()});
  json.field("submitted_ms", std::uint64_t{job.submitted_ms()});
  json.field("first_start_ms", std::uint64_t{job.first_start_ms()}).field("done_ms", std::uint64_t{job.done_ms()});
  json.field("service_ms", std::uint64_t{job.service_ms()});
  json.field("preemptions", job.preemptions()).field("failures", job.failures());
  json.key("attempts").begin_array();
  for (const Attempt& attempt : job.attempts()) attempt_json(json, attempt);
  json.end_array();
}

std::string estimate_text(const StartEstimate& estimate) {
  if (estimate.now()) return "now";
  std::string text = estimate.at_ms() == 0 ? "" : std::get<std::string>(time_cell(estimate.at_ms()));
  if (!estimate.text().empty()) text += (text.empty() ? "" : ", ") + estimate.text();
  return text;
}

std::string explanation_text(const ExplainReply& reply) {
  std::string text = report::printable(reply.summary()) + '\n';
  if (reply.position() != 0) text += fmt::format("position in the queue: {}\n", reply.position());
  for (const ExplainReply::Blocker& one : reply.blockers()) {
    text += fmt::format("- {}: {}\n", one.what(), report::printable(one.text()));
    if (!one.remedy().empty()) text += fmt::format("  would help: {}\n", report::printable(one.remedy()));
  }
  if (const std::string start = estimate_text(reply.estimate()); !start.empty())
    text += fmt::format("start: {}\n", start);
  for (const std::uint64_t victim : reply.estimate().would_preempt())
    text += fmt::format("would preempt: job {}\n", victim);
  return text;
}

std::vector<report::Cell> event_cells(const Event& event) {
  return {count_cell(event.id()),
          time_cell(event.time_ms()),
          event.kind(),
          event.job() == 0 ? Cell() : count_cell(event.job()),
          event.node().empty() ? Cell() : event.node(),
          event.actor().empty() ? Cell() : event.actor(),
          event.text().empty() ? Cell() : event.text(),
          event.attempt() == 0 ? Cell() : count_cell(event.attempt()),
          event.cause() == 0 ? Cell() : count_cell(event.cause()),
          count_cell(event.time_ms())};
}

report::Table event_table() {
  return {"ff.event/1",
          {{.key = "event", .title = "EVENT"},
           {.key = "time", .title = "TIME"},
           {.key = "kind", .title = "KIND"},
           {.key = "job", .title = "JOB"},
           {.key = "node", .title = "NODE"},
           {.key = "actor", .title = "ACTOR"},
           {.key = "text", .title = "TEXT"},
           {.key = "attempt", .title = "ATTEMPT", .wide_only = true},
           {.key = "cause", .title = "CAUSE", .wide_only = true},
           {.key = "time_ms", .title = "TIME-MS", .wide_only = true}}};
}

report::Table queue_table() {
  return {"ff.queue/1",
          {{.key = "position", .title = "POSITION"},
           {.key = "job", .title = "JOB"},
           {.key = "name", .title = "NAME"},
           {.key = "user", .title = "USER"},
           {.key = "priority", .title = "PRIORITY"},
           {.key = "nodes", .title = "NODES"},
           {.key = "gpus_per_node", .title = "GPUS"},
           {.key = "waited_ns", .title = "WAITED", .unit = Unit::kNanoseconds},
           {.key = "start", .title = "START"},
           {.key = "what", .title = "WHAT"},
           {.key = "text", .title = "TEXT"},
           {.key = "queue", .title = "QUEUE", .wide_only = true},
           {.key = "preemptions", .title = "PREEMPTIONS", .wide_only = true}}};
}

std::vector<Cell> queue_cells(const QueuedJob& job, std::uint64_t now_ms) {
  return {job.position() == 0 ? Cell() : count_cell(job.position()),
          count_cell(job.job()),
          job.name(),
          job.user(),
          priority_text(job.priority()),
          count_cell(job.nodes()),
          count_cell(job.gpus_per_node()),
          duration_cell(queued_ms(job, now_ms)),
          time_cell(job.start_ms()),
          job.what(),
          job.text().empty() ? Cell() : job.text(),
          job.queue().empty() ? Cell() : job.queue(),
          count_cell(job.preemptions())};
}

std::uint64_t queued_ms(const QueuedJob& job, std::uint64_t now_ms) {
  return now_ms > job.since_ms() ? now_ms - job.since_ms() : 0;
}

}  // namespace ff::ctl
