// `ffbench failures`: statistics of tables of failures, and a generator fitted to them.
#include <fmt/core.h>

#include <cmath>
#include <cstdio>
#include <memory>
#include <set>

#include "ffbench/cmd/commands.hpp"
#include "ffbench/faults/failure_generator.hpp"
#include "ffbench/faults/failure_stats.hpp"
#include "ffbench/faults/poisson.hpp"
#include "ffbench/faults/renewal_fit.hpp"
#include "libcommon/cli/output.hpp"

namespace ff::bench {
namespace {

using report::Cell;
using report::Table;

struct Options {
  std::vector<std::string> files, without;
  std::string from, to, against;
  std::int64_t threshold = 5, generate = 0, nodes = 1250, seed = 1;
  double confidence = 0.95;
  cli::OutputOptions output;
};

Cell number(double value) { return std::isnan(value) ? Cell() : Cell(value); }
Cell count_cell(std::uint64_t count) { return static_cast<double>(count); }

// Rows of one report: a part, a name, a value with its unit, an interval where there is one, a remark.
class FailureReport {
 public:
  void add(const std::string& part, const std::string& name, Cell value, const std::string& unit = {},
           const std::string& remark = {}) {
    table_.add_row({name, part, std::move(value), text(unit), Cell(), Cell(), Cell(), text(remark)});
  }
  void add_interval(const std::string& part, const std::string& name, double value, const std::string& unit,
                    Interval interval, const std::string& remark = {}) {
    table_.add_row(
        {name, part, number(value), text(unit), number(interval.low), number(interval.high), Cell(), text(remark)});
  }
  void add_share(const std::string& part, const std::string& name, std::uint64_t count, std::uint64_t total) {
    const double share = total == 0 ? 0 : 100.0 * static_cast<double>(count) / static_cast<double>(total);
    table_.add_row({name, part, count_cell(count), Cell(), Cell(), Cell(), share, Cell()});
  }
  Table& table() { return table_; }

 private:
  static Cell text(const std::string& words) { return words.empty() ? Cell() : Cell(words); }

  Table table_{"ff.failures/1",
               {{.key = "name", .title = "NAME"},
                {.key = "part", .title = "PART"},
                {.key = "value", .title = "VALUE"},
                {.key = "unit", .title = "UNIT"},
                {.key = "low", .title = "LOW"},
                {.key = "high", .title = "HIGH"},
                {.key = "share_percent", .title = "SHARE", .unit = report::Unit::kPercent},
                {.key = "remark", .title = "REMARK"}}};
};

Result<std::optional<ParsedTime>> time_option(const std::string& name, const std::string& text) {
  if (text.empty()) return std::nullopt;
  const auto time = parse_time(text);
  if (!time)
    return fail(Errc::kInvalidArgument, fmt::format("{}: '{}' is no date (write 2023-04-19 or 2023-04)", name, text));
  return time;
}

// The table's own span, or what --from and --to say; rows outside are dropped.
Result<Span> observed_span(const std::string& begin, const std::string& end, std::vector<Failure>& failures) {
  FF_TRY_ASSIGN(const auto from, time_option("--from", begin));
  FF_TRY_ASSIGN(const auto to, time_option("--to", end));
  const auto own = span_of(failures);
  if (!own) return fail(Errc::kInvalidArgument, "the tables have no rows (nothing was observed)");
  Span span = *own;
  if (from) span.begin_ns = from->ns;
  if (to) span.end_ns = to->precision == TimePrecision::kInstant ? to->ns : end_of_unit(to->ns, to->precision);
  if (span.begin_ns >= span.end_ns) return fail(Errc::kInvalidArgument, "--from: is not before --to");
  // Failures of which only the month or the day is known cannot be cut through.
  for (const Failure& f : failures) {
    const std::int64_t unit_end = end_of_unit(f.time_ns, f.precision);
    const auto within = [&](std::int64_t cut) { return cut > f.time_ns && cut < unit_end; };
    if (f.precision == TimePrecision::kInstant || (!within(span.begin_ns) && !within(span.end_ns))) continue;
    return fail(
        Errc::kInvalidArgument,
        fmt::format("{}: lies within a {} of which the table has only sums (write whole ones)",
                    within(span.begin_ns) ? "--from" : "--to", f.precision == TimePrecision::kDay ? "day" : "month"));
  }
  std::erase_if(failures, [&](const Failure& f) { return f.time_ns < span.begin_ns || f.time_ns >= span.end_ns; });
  return span;
}

void add_mtbf(FailureReport& report, const Options& options, const std::vector<Failure>& failures, Span span) {
  const auto row = [&](const std::string& name, std::uint64_t count) {
    const Mtbf mtbf = mean_time_between(count, span.hours(), options.confidence);
    report.add_interval("mtbf", name, mtbf.hours, "h", mtbf.hours_interval, fmt::format("{} failures", count));
  };
  const std::uint64_t total = total_of(failures);
  row("all", total);
  const auto classes = class_sums(failures);
  const std::set<std::string> without(options.without.begin(), options.without.end());
  for (const std::string& name : without) {
    const auto at = classes.find(name);
    row("without " + name, total - (at == classes.end() ? 0 : at->second));
  }
  if (without.size() > 1) {
    std::uint64_t left_out = 0;
    for (const std::string& name : without) left_out += classes.contains(name) ? classes.at(name) : 0;
    row("without all of these", total - left_out);
  }
}

void add_laws(FailureReport& report, const Options& options, const std::vector<Failure>& failures, Span span) {
  const auto days = daily_counts(failures, span);
  const Dispersion dispersion = dispersion_of(days, options.confidence);
  if (!days.empty() && !std::isnan(dispersion.index))
    report.add_interval("dispersion", "daily index", dispersion.index, "", dispersion.interval,
                        fmt::format("{}: Poisson gives {:.3f} to {:.3f}, p = {:.3g}",
                                    dispersion.clustered ? "failures cluster" : "no clustering seen",
                                    dispersion.under_poisson.low, dispersion.under_poisson.high, dispersion.p_value));
  const Gaps gaps = gaps_between(failures);
  const RenewalFit fit = fit_renewal(gaps.hours, options.confidence);
  if (std::isnan(fit.weibull.shape)) return;
  std::string remark = gaps.spread ? "failures of a day were spread evenly over it" : "";
  if (gaps.at_once > 0) remark += fmt::format("{}{} at the same instant", remark.empty() ? "" : "; ", gaps.at_once);
  report.add_interval("fit", "exponential mean", fit.mean, "h", fit.mean_interval, remark);
  report.add_interval("fit", "weibull shape", fit.weibull.shape, "", fit.shape_interval,
                      fmt::format("{}, p of shape 1 = {:.3g}",
                                  fit.p_value > 1 - options.confidence ? "1 is not excluded"
                                  : fit.weibull.shape < 1              ? "failures come in bursts"
                                                                       : "failures keep a distance",
                                  fit.p_value));
  report.add_interval("fit", "weibull scale", fit.weibull.scale, "h", fit.scale_interval);
}

Result<> add_differences(FailureReport& report, const Options& options, const std::vector<Failure>& failures) {
  if (options.against.empty()) return {};
  std::vector<Failure> other;
  FF_TRY(read_failures(options.against, other));
  for (const MonthDifference& month : month_differences(failures, other))
    report.add("differs", month.month, count_cell(month.here), "",
               fmt::format("{} has {}", options.against, month.there));
  return {};
}

Result<> print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) return fail(errno_error("standard output"));
  return {};
}

Result<int> summarise(const Options& options, report::Format format) {
  std::vector<Failure> failures;
  for (const std::string& file : options.files) FF_TRY(read_failures(file, failures));
  FF_TRY_ASSIGN(const Span span, observed_span(options.from, options.to, failures));
  const std::uint64_t total = total_of(failures);
  FailureReport report;
  report.table().set_header("from", instant_text(span.begin_ns));
  report.table().set_header("to", instant_text(span.end_ns));
  report.table().set_header("confidence", options.confidence);
  report.add("total", "failures", count_cell(total));
  report.add("total", "rows", count_cell(failures.size()));
  report.add("total", "observed", span.hours(), "h", day_text(span.begin_ns) + " to " + day_text(span.end_ns - 1));
  for (const auto& [month, count] : monthly_sums(failures)) report.add_share("month", month, count, total);
  for (const auto& [day, count] : days_with(failures, static_cast<std::uint64_t>(options.threshold)))
    report.add_share("day", day, count, total);
  const auto classes = class_sums(failures);
  if (classes.size() > 1 || (classes.size() == 1 && !classes.begin()->first.empty()))
    for (const auto& [name, count] : classes) report.add_share("class", name.empty() ? "(none)" : name, count, total);
  add_mtbf(report, options, failures, span);
  add_laws(report, options, failures, span);
  FF_TRY(add_differences(report, options, failures));
  FF_TRY(print(report.table().render(format)));
  return cli::kExitOk;
}

// One line a failure, in the form that `ffbench failures` reads.
Result<int> generate(const Options& options, report::Format format) {
  std::vector<Failure> failures;
  for (const std::string& file : options.files) FF_TRY(read_failures(file, failures));
  FailureRates rates = paper_rates();
  FF_TRY_ASSIGN(const auto from, time_option("--from", options.from));
  std::int64_t begin_ns = from ? from->ns : *civil_ns(2023, 10, 1);
  if (!options.files.empty()) {
    FF_TRY_ASSIGN(const Span span, observed_span({}, {}, failures));
    rates = rates_of(failures, span);
    if (!from) begin_ns = span.begin_ns;
  }
  FF_TRY_ASSIGN(const auto made, generate_failures(rates, {.begin_ns = begin_ns,
                                                           .days = options.generate,
                                                           .nodes = static_cast<std::uint64_t>(options.nodes),
                                                           .seed = static_cast<std::uint64_t>(options.seed)}));
  const std::vector<report::Column> columns{
      {.key = "timestamp", .title = "TIME"}, {.key = "class", .title = "CLASS"}, {.key = "node", .title = "NODE"}};
  FF_TRY(print(Table("ff.failure_events/1", columns).render_titles(format)));
  for (const Failure& failure : made) {
    Table one("ff.failure_events/1", columns);
    one.add_row({instant_text(failure.time_ns), failure.fault_class, failure.node});
    FF_TRY(print(one.render_row(0, format)));
  }
  return cli::kExitOk;
}

Result<int> run_failures(const Options& options) {
  FF_TRY_ASSIGN(const report::Format format, options.output.format());
  if (options.generate > 0) {
    if (!options.against.empty() || !options.to.empty() || !options.without.empty())
      return fail(Errc::kInvalidArgument, "--generate: takes --from, --nodes and --seed alone");
    // What is generated is there to be read again, so a table for the eye is no choice.
    if (format == report::Format::kTable) return generate(options, report::Format::kCsv);
    if (format != report::Format::kCsv && format != report::Format::kJson && format != report::Format::kJsonl)
      return fail(Errc::kInvalidArgument, "--generate: prints csv, or with -o jsonl one object a line");
    return generate(options, format);
  }
  if (options.files.empty())
    return fail(Errc::kInvalidArgument,
                "no table was given (name a CSV file, '-' for standard input, or use --generate)");
  if (!(options.confidence > 0 && options.confidence < 1))
    return fail(Errc::kInvalidArgument, "--confidence: is not between 0 and 1");
  return summarise(options, format);
}

}  // namespace

cli::Command failures_command(const Arguments&) {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "failures";
  command.summary = "Summarise tables of failures: sums, mean time between failures, clustering, laws";
  command.description =
      "Reads CSV whose first line names its columns: date or timestamp (2023-04-19, 2023/4/19, 2023-04, "
      "2023-04-19T12:00:00Z), and where there are any count, class and node; 'ffbench xid --events -o csv' writes "
      "such. "
      "Prints totals, monthly sums, days with many failures, shares of classes, the mean time between failures with "
      "its exact Poisson interval, the index of dispersion of the daily counts (above 1: failures cluster), and "
      "exponential and Weibull laws of the times between failures (maximum likelihood, bootstrap intervals). With "
      "--generate it prints failures instead, from one Poisson process a class at the tables' rates; without tables at "
      "those of the Fire-Flyer AI-HPC paper, Table VII (292 failures in 183 days).";
  auto o = options.get();
  command.options = {
      {.names = "file",
       .target = &o->files,
       .help = "CSV tables; '-' is standard input",
       .value_name = "FILE",
       .complete = "file"},
      {.names = "--threshold",
       .target = &o->threshold,
       .help = "list days with this many failures or more",
       .value_name = "N",
       .min = 1},
      {.names = "--without",
       .target = &o->without,
       .help = "state the mean time between failures with this class left out too (repeatable)",
       .value_name = "CLASS"},
      {.names = "--from",
       .target = &o->from,
       .help = "observed from here on; with --generate, the first day (default 2023-10-01 or the table's)",
       .value_name = "DATE"},
      {.names = "--to", .target = &o->to, .help = "observed until the end of this day or month", .value_name = "DATE"},
      {.names = "--against",
       .target = &o->against,
       .help = "name the months in which this other table has another sum",
       .value_name = "FILE",
       .complete = "file"},
      {.names = "--confidence", .target = &o->confidence, .help = "of the intervals", .value_name = "SHARE"},
      {.names = "--generate",
       .target = &o->generate,
       .help = "print failures of this many days instead, as CSV (or -o jsonl); 0: no",
       .value_name = "DAYS",
       .min = 0,
       .max = 36500},
      {.names = "--nodes",
       .target = &o->nodes,
       .help = "nodes that generated failures fall on",
       .value_name = "N",
       .min = 1,
       .max = 1000000},
      {.names = "--seed",
       .target = &o->seed,
       .help = "of the generator; equal seeds give equal failures",
       .value_name = "N",
       .min = 0}};
  options->output.add_to(command);
  command.examples = {
      {"ffbench failures flashcuts.csv", "monthly sums, bad days, clustering"},
      {"ffbench failures --without network failures.csv", "how long the cluster runs without link cuts"},
      {"ffbench xid --events -o csv kern.log | ffbench failures -", "from a kernel log"},
      {"ffbench failures --generate 183 --seed 7", "a synthetic half year, as CSV"}};
  command.run = [options] { return run_failures(*options); };
  return command;
}

}  // namespace ff::bench
