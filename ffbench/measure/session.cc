#include "ffbench/measure/session.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <optional>

#include "ffbench/measure/environment.hpp"
#include "ffbench/measure/load.hpp"
#include "ffbench/measure/noise.hpp"
#include "ffbench/measure/processors.hpp"
#include "ffbench/measure/signals.hpp"
#include "ffbench/result/document_json.hpp"
#include "ffbench/result/document_table.hpp"
#include "ffbench/result/output_file.hpp"
#include "libcommon/base/assert.hpp"
#include "libcommon/report/utf8.hpp"

namespace ff::bench {
namespace {

using Clock = std::chrono::steady_clock;

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  return std::string(text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts));
}

std::string working_folder() {
  std::error_code ignored;
  return std::filesystem::current_path(ignored).string();
}

bool is_text(report::Format format) { return format == report::Format::kTable || format == report::Format::kWide; }

bool is_measured(const Row& row) {
  return std::ranges::any_of(row.metrics, [](const Metric& metric) { return !metric.samples.empty(); }) ||
         std::ranges::any_of(row.latencies, [](const Latency& latency) { return latency.histogram.count() > 0; });
}

// Adds one reading to the row: all of it or nothing.
Result<> add_reading(Row& row, const Reading& reading) {
  FF_ASSERT(reading.values.size() == row.metrics.size() && reading.latencies.size() == row.latencies.size(), row.name,
            reading.values.size(), row.metrics.size(), reading.latencies.size(), row.latencies.size());
  for (std::size_t i = 0; i < reading.values.size(); ++i)
    if (reading.values[i] && !std::isfinite(*reading.values[i]))
      return fail(Errc::kInternal, fmt::format("{}: the measurement gave no number", row.metrics[i].name));
  for (std::size_t i = 0; i < reading.latencies.size(); ++i) {
    metrics::Histogram& all = row.latencies[i].histogram;
    if (all.count() == 0) all = metrics::Histogram(reading.latencies[i].layout());
    FF_TRY_CTX(all.merge(reading.latencies[i]), row.latencies[i].name);
  }
  for (std::size_t i = 0; i < reading.values.size(); ++i)
    if (reading.values[i]) row.metrics[i].samples.push_back(*reading.values[i]);
  return {};
}

Row without_samples(Row row) {
  for (Metric& metric : row.metrics) metric.samples.clear();
  for (Latency& latency : row.latencies) latency.histogram = metrics::Histogram();
  row.error.clear();
  return row;
}

void check_names(const std::vector<Row>& rows) {
  std::vector<std::string_view> names;
  for (const Row& row : rows) names.push_back(row.name);
  std::ranges::sort(names);
  const auto twice = std::ranges::adjacent_find(names);
  FF_ASSERT(twice == names.end(), *twice);
}

}  // namespace

struct Session::State {
  Document document;
  report::Format format = report::Format::kTable;
  std::string out;
  bool quiet = false;
  bool draw_progress = false;
  std::int64_t repeat = 1;
  std::chrono::nanoseconds duration{}, warmup{};
  std::unique_ptr<StopOnSignal> signals;
  LoadMeter load;
  std::vector<double> frequencies_hz;
  Clock::time_point begin = Clock::now();
  std::optional<RowPrinter> printer;
  std::size_t rows_printed = 0;

  bool stopped() const { return signals->token().stop_requested(); }
  void measure_once(Case& measured, Row& row, bool first);
  void run_round(std::vector<Case>& cases, std::int64_t round, cli::Progress& progress);
  void note_frequency();
  void print_rows(std::size_t end);
  void close_document();
  void say_failures() const;
  int exit_code() const;
};

Result<Session> Session::open(std::string command, const MeasureOptions& options, std::vector<std::string> arguments) {
  auto state = std::make_unique<State>();
  FF_TRY_ASSIGN(state->format, options.output_.format());
  if (!options.out_.empty()) FF_TRY_CTX(check_output_path(options.out_, false), "--out");
  FF_TRY_ASSIGN(const auto processors, options.binds_ ? options.processors() : options.listed_processors());
  if (!processors.empty() && options.binds_) FF_TRY_CTX(pin_this_thread(processors), "--cpus");
  FF_TRY_ASSIGN(state->signals, StopOnSignal::install());
  state->out = options.out_;
  state->quiet = options.quiet_;
  state->draw_progress = !options.quiet_ && options.progress_.enabled();
  state->repeat = options.repeat;
  state->duration = options.duration;
  state->warmup = options.warmup;

  Document& document = state->document;
  document.command = std::move(command);
  document.arguments = std::move(arguments);
  document.version = cli::build_version();
  document.started = utc_now();
  document.method = {.repeats = options.repeat,
                     .warmup_ns = options.warmup.count(),
                     .duration_ns = options.duration.count(),
                     .cpus = format_processors(processors),
                     .order = "interleaved"};
  document.machine = capture_environment("", working_folder());
  state->note_frequency();
  return Session(std::move(state));
}

Session::Session(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

Document& Session::document() noexcept { return state_->document; }
report::Format Session::format() const noexcept { return state_->format; }
std::stop_token Session::stop() const noexcept { return state_->signals->token(); }

Result<int> Session::run(std::vector<Case> cases) {
  State& state = *state_;
  for (const Case& each : cases) state.document.rows.push_back(without_samples(each.row));
  check_names(state.document.rows);
  {
    cli::Progress progress({.label = state.document.command,
                            .total = cases.size() * static_cast<std::uint64_t>(state.repeat),
                            .enabled = state.draw_progress});
    for (std::int64_t round = 0; round < state.repeat && !state.stopped(); ++round) {
      state.run_round(cases, round, progress);
      state.note_frequency();
    }
  }
  return finish();
}

void Session::State::run_round(std::vector<Case>& cases, std::int64_t round, cli::Progress& progress) {
  const std::size_t first_row = document.rows.size() - cases.size();
  for (std::size_t i = 0; i < cases.size() && !stopped(); ++i) {
    Row& row = document.rows[first_row + i];
    progress.update(static_cast<std::uint64_t>(round) * cases.size() + i);
    if (row.error.empty()) measure_once(cases[i], row, round == 0);
    if (round + 1 == repeat && !stopped() && is_text(format)) print_rows(first_row + i + 1);
  }
}

// A reading that a stop cut short stands only where the row has no whole one.
void Session::State::measure_once(Case& measured, Row& row, bool first) {
  const std::stop_token stop = signals->token();
  Result<> done;
  if (first && warmup.count() > 0) {
    // A warm-up too short for one whole operation is no failure; a peer that is silent fails the round too.
    if (auto reading = measured.measure(warmup, stop); !reading && reading.error().code() != Errc::kTimeout)
      done = fail(std::move(reading).error());
  }
  if (done && !stop.stop_requested()) {
    auto reading = measured.measure(duration, stop);
    if (!reading)
      done = fail(std::move(reading).error());
    else if (!stop.stop_requested() || !is_measured(row))
      done = add_reading(row, *reading);
    if (done && reading && !stop.stop_requested()) row.error = reading->error;
  }
  if (!done && !(stop.stop_requested() && done.error().code() == Errc::kCancelled)) row.error = done.error().message();
}

void Session::State::note_frequency() {
  if (const auto hz = frequency_hz("")) frequencies_hz.push_back(*hz);
}

// Prints the rows from the last one printed up to `end`.
void Session::State::print_rows(std::size_t end) {
  // The line of progress stands on the same terminal.
  if (draw_progress && ::isatty(STDERR_FILENO) == 1) std::fputs("\r\x1b[K", stderr);
  if (!printer) {
    printer.emplace(document.rows, document.method.confidence, format == report::Format::kWide);
    std::fputs(printer->titles().c_str(), stdout);
  }
  for (; rows_printed < end; ++rows_printed) std::fputs(printer->line(document.rows[rows_printed]).c_str(), stdout);
  std::fflush(stdout);
}

// What is known only at the end: load, noise, whether it is whole.
void Session::State::close_document() {
  document.elapsed_ns = std::chrono::nanoseconds(Clock::now() - begin).count();
  document.complete = !stopped();
  for (Row& row : document.rows)
    if (stopped() && row.error.empty() && !is_measured(row)) row.error = "stopped before it was measured";
  note_frequency();
  const auto shares = load.so_far();
  if (shares)
    document.machine.push_back({"load", {{"foreign_cpu_share", shares->foreign}, {"steal_share", shares->steal}}});
  const NoiseFacts facts{.load = shares,
                         .governor = frequency_governor(""),
                         .clock_source = clock_source(""),
                         .frequencies_hz = frequencies_hz};
  for (std::string& warning : noise_warnings(facts, document.rows)) document.warnings.push_back(std::move(warning));
}

void Session::State::say_failures() const {
  const auto failed = [](const Row& row) { return !row.error.empty(); };
  const auto first = std::ranges::find_if(document.rows, failed);
  if (first == document.rows.end() || stopped()) return;
  const auto bad = std::ranges::count_if(document.rows, failed);
  fmt::print(stderr, "ffbench: {}: {}{}\n", report::printable(first->name), report::printable(first->error),
             bad > 1 ? fmt::format(" (and {} more of {} rows failed)", bad - 1, document.rows.size()) : "");
}

int Session::State::exit_code() const {
  if (const int number = signals->signal(); number != 0) return 128 + number;
  const auto bad = std::ranges::count_if(document.rows, [](const Row& row) { return !row.error.empty(); });
  if (bad == 0) return cli::kExitOk;
  return std::ranges::any_of(document.rows, is_measured) ? cli::kExitPartial : cli::kExitFailed;
}

Result<int> Session::finish() {
  State& state = *state_;
  state.close_document();
  if (is_text(state.format))
    state.print_rows(state.document.rows.size());
  else
    std::fputs(render_document(state.document, state.format).c_str(), stdout);
  std::fflush(stdout);
  if (!state.quiet)
    for (const std::string& warning : state.document.warnings)
      fmt::print(stderr, "ffbench: warning: {}\n", report::printable(warning));
  // Also when warnings are not wanted, and whatever reads standard output: nobody has to look for why this failed.
  state.say_failures();
  if (!state.out.empty()) FF_TRY_CTX(write_output_file(state.out, to_json(state.document), false), "--out");
  return state.exit_code();
}

}  // namespace ff::bench
