#include "tools/fftrain/train_report.hpp"

#include <fmt/core.h>

#include <numbers>
#include <utility>

#include "libcommon/base/duration.hpp"
#include "libcommon/report/json.hpp"

namespace ff::fftrain {
namespace {

using report::Cell;
using report::Format;
using report::Unit;

double bits(double nats) { return nats / std::numbers::ln2; }

double rate(std::int64_t bytes, std::int64_t ns) {
  return ns > 0 ? static_cast<double>(bytes) * 1e9 / static_cast<double>(ns) : 0.0;
}

double share(std::int64_t part, std::int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0.0;
}

report::Table step_table() {
  return report::Table("ff.train.step/1",
                       {
                           {.key = "step", .title = "STEP"},
                           {.key = "loss", .title = "LOSS", .decimals = 4},
                           {.key = "bits_per_byte", .title = "BITS/B", .decimals = 4},
                           {.key = "lr", .title = "LR", .decimals = 6},
                           {.key = "grad_norm", .title = "GRADNORM", .decimals = 4},
                           {.key = "tokens_per_second", .title = "TOKENS/S", .decimals = 0},
                           {.key = "hidden_percent", .title = "HIDDEN", .unit = Unit::kPercent, .decimals = 1},
                           {.key = "forward_ns", .title = "FORWARD", .unit = Unit::kNanoseconds, .wide_only = true},
                           {.key = "backward_ns", .title = "BACKWARD", .unit = Unit::kNanoseconds, .wide_only = true},
                           {.key = "optimizer_ns", .title = "UPDATE", .unit = Unit::kNanoseconds, .wide_only = true},
                           {.key = "communication_ns", .title = "COMM", .unit = Unit::kNanoseconds, .wide_only = true},
                           {.key = "exposed_ns", .title = "EXPOSED", .unit = Unit::kNanoseconds, .wide_only = true},
                           {.key = "step_ns", .title = "STEPTIME", .unit = Unit::kNanoseconds, .wide_only = true},
                       });
}

}  // namespace

std::string printable_text(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    if (c == '\n' || c == '\t' || (c >= 0x20 && c < 0x7f))
      text += c;
    else
      text += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
  return text;
}

TrainReport::TrainReport(Format format, std::int64_t every, int ranks, Sink sink)
    : format_(format), every_(every), ranks_(ranks), sink_(std::move(sink)) {}

void TrainReport::on_step(const StepRecord& record, std::int64_t last) {
  bytes_since_ += record.bytes;
  ns_since_ += record.step_ns;
  if (titled_ && record.step % every_ != 0 && record.step != last) return;
  print_row(record);
  bytes_since_ = ns_since_ = 0;
}

void TrainReport::print_row(const StepRecord& record) {
  report::Table table = step_table();
  const CommTimes& c = record.communication;
  // A rank alone has nobody to talk to, and so nothing to hide.
  const Cell hidden = ranks_ > 1 ? Cell(100.0 * c.hidden()) : Cell();
  table.add_row({record.step, record.loss, bits(record.loss), record.lr, record.grad_norm,
                 rate(bytes_since_, ns_since_), hidden, record.forward_ns, record.backward_ns, record.optimizer_ns,
                 c.total_ns, c.exposed_ns, record.step_ns});
  if (!std::exchange(titled_, true)) sink_(table.render_titles(format_));
  sink_(table.render_row(0, format_));
}

void TrainReport::finish(const TrainSummary& summary, std::string_view sample) {
  switch (format_) {
    case Format::kTable:
    case Format::kWide: return sink_(summary_text(summary, sample));
    case Format::kJson:
    case Format::kJsonl:
    case Format::kYaml: return sink_(summary_json(summary, sample));
    case Format::kCsv:
    case Format::kName: return;
  }
}

std::string TrainReport::summary_json(const TrainSummary& s, std::string_view sample) const {
  const StepRecord& t = s.total;
  const std::int64_t compute_ns = t.forward_ns + t.backward_ns + t.optimizer_ns;
  report::JsonWriter json;
  json.begin_object().field("schema", "ff.train.summary/1");
  json.field("ranks", s.ranks).field("parameters", static_cast<std::uint64_t>(s.parameters));
  json.field("text_bytes", s.text_bytes).field("first_step", s.first_step).field("steps_done", s.steps_done);
  json.field("stopped", s.stopped);
  json.field("suspended", s.suspended);
  json.field("unigram_bits_per_byte", s.unigram_bits)
      .field("unigram_nats_per_byte", s.unigram_bits * std::numbers::ln2);
  json.field("final_loss", s.final_loss).field("final_bits_per_byte", bits(s.final_loss));
  json.field("tokens_per_second", rate(t.bytes, t.step_ns));
  json.field("step_ns", t.step_ns).field("compute_ns", compute_ns).field("forward_ns", t.forward_ns);
  json.field("backward_ns", t.backward_ns).field("optimizer_ns", t.optimizer_ns);
  json.field("communication_ns", t.communication.total_ns).field("exposed_ns", t.communication.exposed_ns);
  json.field("compute_plus_communication_ns", compute_ns + t.communication.total_ns);
  json.field("communication_share", share(t.communication.total_ns, t.step_ns));
  json.key("hidden_share");
  if (ranks_ > 1)
    json.value(t.communication.hidden());
  else
    json.null();
  if (!sample.empty()) json.field("sample", sample);
  json.end_object();
  return json.take() + "\n";
}

std::string TrainReport::summary_text(const TrainSummary& s, std::string_view sample) const {
  const StepRecord& t = s.total;
  std::string text = fmt::format("\n{} parameters, {} bytes of text, {} {}, steps {}..{}{}\n", s.parameters,
                                 s.text_bytes, s.ranks, s.ranks == 1 ? "rank" : "ranks", s.first_step, s.steps_done,
                                 s.stopped     ? " (stopped by request)"
                                 : s.suspended ? " (suspended)"
                                               : "");
  const std::int64_t steps = s.steps_done - s.first_step;
  if (steps > 0) {
    const std::int64_t compute_ns = t.forward_ns + t.backward_ns + t.optimizer_ns;
    auto per_step = [steps](std::int64_t ns) { return format_duration(std::chrono::nanoseconds(ns / steps)); };
    text += fmt::format("loss       {:.4f} nats/byte = {:.4f} bits/byte (mean of the last {} steps)\n", s.final_loss,
                        bits(s.final_loss), std::min<std::int64_t>(steps, kFinalSteps));
    text += fmt::format("unigram    {:.4f} nats/byte = {:.4f} bits/byte (entropy of the text's byte frequencies)\n",
                        s.unigram_bits * std::numbers::ln2, s.unigram_bits);
    text += fmt::format("step       {} (forward {}, backward {}, update {}), {:.0f} tokens/s\n", per_step(t.step_ns),
                        per_step(t.forward_ns), per_step(t.backward_ns), per_step(t.optimizer_ns),
                        rate(t.bytes, t.step_ns));
    if (s.ranks > 1)
      text += fmt::format(
          "all_reduce {} a step, {:.1f}% hidden behind backward; compute + all_reduce = {} in a step of "
          "{}\n",
          per_step(t.communication.total_ns), 100.0 * t.communication.hidden(),
          per_step(compute_ns + t.communication.total_ns), per_step(t.step_ns));
  }
  if (!sample.empty()) text += fmt::format("\nsample:\n{}\n", printable_text(sample));
  return text;
}

}  // namespace ff::fftrain
