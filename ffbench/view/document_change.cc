#include "ffbench/view/document_change.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "ffbench/result/quantity.hpp"
#include "libcommon/report/table.hpp"
#include "libcommon/report/utf8.hpp"

namespace ff::bench {
namespace {

using report::Cell;

template <class T>
const T* named(const std::vector<T>& all, const std::string& name) {
  const auto at = std::ranges::find(all, name, &T::name);
  return at == all.end() ? nullptr : &*at;
}

std::map<std::string_view, const Row*> by_name(const std::vector<Row>& rows) {
  std::map<std::string_view, const Row*> names;
  for (const Row& row : rows) names.emplace(row.name, &row);
  return names;
}

std::string fact_of(const Document& document, const std::string& group, const std::string& field) {
  const FieldGroup* found = named(document.machine, group);
  if (found == nullptr) return {};
  for (const auto& [name, cell] : found->fields) {
    if (name != field) continue;
    if (const auto* text = std::get_if<std::string>(&cell)) return report::printable(*text);
    if (const auto* whole = std::get_if<std::int64_t>(&cell)) return std::to_string(*whole);
    if (const auto* flag = std::get_if<bool>(&cell)) return *flag ? "yes" : "no";
  }
  return {};
}

void warn_of_machines(const Document& base, const Document& current, std::vector<std::string>& warnings) {
  constexpr struct {
    const char *group, *field;
  } kFacts[] = {{"host", "name"},          {"host", "kernel"},     {"host", "virtualisation"},
                {"host", "clock_source"},  {"cpu", "model"},       {"cpu", "cores_online"},
                {"cpu", "cores_allowed"},  {"cpu", "smt"},         {"cpu", "governor"},
                {"cpu", "turbo"},          {"cpu", "mitigations"}, {"memory", "bytes"},
                {"folder", "file_system"}, {"folder", "device"},   {"network", "tcp_congestion_control"}};
  for (const auto& [group, field] : kFacts) {
    const std::string before = fact_of(base, group, field), after = fact_of(current, group, field);
    if (before != after)
      warnings.push_back(fmt::format("machines differ: {} {}: '{}' and '{}'", group, field, before, after));
  }
}

void warn_of_method(const Document& base, const Document& current, std::vector<std::string>& warnings) {
  const auto differ = [&](const char* what, const std::string& before, const std::string& after) {
    if (before != after) warnings.push_back(fmt::format("{} differ: '{}' and '{}'", what, before, after));
  };
  differ("commands", report::printable(base.command), report::printable(current.command));
  differ("versions of ffbench", report::printable(base.version), report::printable(current.version));
  differ("durations", format_quantity(static_cast<double>(base.method.duration_ns), "ns"),
         format_quantity(static_cast<double>(current.method.duration_ns), "ns"));
  differ("processors", report::printable(base.method.cpus), report::printable(current.method.cpus));
  if (!base.complete) warnings.emplace_back("the base is incomplete: it was stopped before its end");
  if (!current.complete) warnings.emplace_back("the new document is incomplete: it was stopped before its end");
  for (const auto& [which, document] : {std::pair("the base", &base), std::pair("the new document", &current)})
    for (const Row& row : document->rows)
      if (!row.error.empty())
        warnings.push_back(fmt::format("{}: {}: {}", which, report::printable(row.name), report::printable(row.error)));
}

void compare_rows(const Row& base, const Row& current, DocumentChange& change, double confidence) {
  for (const Metric& metric : base.metrics) {
    const Metric* other = named(current.metrics, metric.name);
    if (other == nullptr) {
      change.only_base.push_back(base.name + ": " + metric.name);
      continue;
    }
    if (other->unit != metric.unit) {
      change.warnings.push_back(fmt::format("{}: {}: units differ: '{}' and '{}' (not compared)",
                                            report::printable(base.name), report::printable(metric.name),
                                            report::printable(metric.unit), report::printable(other->unit)));
      continue;
    }
    change.changes.push_back({base.name, metric.name, metric.unit,
                              compare_samples(metric.samples, other->samples,
                                              {.better = metric.better,
                                               .threshold = change.threshold,
                                               .tolerance = change.tolerance,
                                               .confidence = confidence})});
  }
  for (const Metric& metric : current.metrics)
    if (named(base.metrics, metric.name) == nullptr) change.only_current.push_back(current.name + ": " + metric.name);
}

Cell number(double value) { return std::isfinite(value) ? Cell(value) : Cell(); }

std::string verdict_text(const Comparison& c) {
  const std::string verdict(verdict_name(c.verdict));
  return c.doubt == Doubt::kNone ? verdict : fmt::format("{}: {}", verdict, doubt_name(c.doubt));
}

std::string advice(const DocumentChange& change) {
  const std::size_t noisy = change.count(Doubt::kNoisy);
  if (noisy == 0) return {};
  return fmt::format(
      "{} too noisy: the interval holds 1 and reaches beyond 1 +- {:g}% (measure with more --repeat or a longer "
      "--duration, on a quieter machine)\n",
      noisy, change.tolerance * 100);
}

std::string render_text(const DocumentChange& change) {
  report::Table table("ff.bench.compare/1", {{"row", "ROW"},
                                             {"metric", "METRIC"},
                                             {"base", "BASE"},
                                             {"new", "NEW"},
                                             {"ratio", "RATIO", report::Unit::kNone, 3},
                                             {"interval", "INTERVAL"},
                                             {"verdict", "VERDICT"}});
  for (const MetricChange& one : change.changes) {
    const Comparison& c = one.comparison;
    const bool known = std::isfinite(c.ratio_interval.low) && std::isfinite(c.ratio_interval.high);
    table.add_row({one.row, one.metric, format_quantity(c.base, one.unit), format_quantity(c.current, one.unit),
                   number(c.ratio),
                   known ? Cell(fmt::format("{:.3f}..{:.3f}", c.ratio_interval.low, c.ratio_interval.high)) : Cell(),
                   verdict_text(c)});
  }
  for (const std::string& name : change.only_base)
    table.add_row({name, Cell(), Cell(), Cell(), Cell(), Cell(), std::string("removed")});
  for (const std::string& name : change.only_current)
    table.add_row({name, Cell(), Cell(), Cell(), Cell(), Cell(), std::string("added")});
  return table.render(report::Format::kTable) +
         fmt::format("{} worse, {} better, {} changed, {} same, {} unknown; {} removed, {} added\n",
                     change.count(Verdict::kWorse), change.count(Verdict::kBetter), change.count(Verdict::kChanged),
                     change.count(Verdict::kSame), change.count(Verdict::kUnknown), change.only_base.size(),
                     change.only_current.size()) +
         advice(change);
}

}  // namespace

std::size_t DocumentChange::count(Verdict verdict) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(changes, [&](const MetricChange& one) { return one.comparison.verdict == verdict; }));
}

std::size_t DocumentChange::count(Doubt doubt) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(changes, [&](const MetricChange& one) { return one.comparison.doubt == doubt; }));
}

DocumentChange compare_documents(const Document& base, const Document& current, double threshold, double tolerance) {
  DocumentChange change{.threshold = threshold, .tolerance = tolerance};
  warn_of_machines(base, current, change.warnings);
  warn_of_method(base, current, change.warnings);
  const auto before = by_name(base.rows), after = by_name(current.rows);
  for (const Row& row : base.rows) {
    if (const auto other = after.find(row.name); other != after.end())
      compare_rows(row, *other->second, change, base.method.confidence);
    else
      change.only_base.push_back(row.name);
  }
  for (const Row& row : current.rows)
    if (!before.contains(row.name)) change.only_current.push_back(row.name);
  return change;
}

std::string render_change(const DocumentChange& change, report::Format format) {
  if (format == report::Format::kTable || format == report::Format::kWide) return render_text(change);
  report::Table table("ff.bench.compare/1", {{"row", "ROW"},
                                             {"metric", "METRIC"},
                                             {"unit", "UNIT"},
                                             {"base", "BASE"},
                                             {"new", "NEW"},
                                             {"ratio", "RATIO"},
                                             {"ratio_low", "LOW"},
                                             {"ratio_high", "HIGH"},
                                             {"verdict", "VERDICT"},
                                             {"reason", "REASON"}});
  table.set_header("threshold", change.threshold);
  table.set_header("tolerance", change.tolerance);
  for (const Verdict verdict :
       {Verdict::kWorse, Verdict::kBetter, Verdict::kChanged, Verdict::kSame, Verdict::kUnknown})
    table.set_header(std::string(verdict_name(verdict)), static_cast<std::int64_t>(change.count(verdict)));
  table.set_header("removed", static_cast<std::int64_t>(change.only_base.size()));
  table.set_header("added", static_cast<std::int64_t>(change.only_current.size()));
  for (const MetricChange& one : change.changes) {
    const Comparison& c = one.comparison;
    table.add_row({one.row, one.metric, one.unit, number(c.base), number(c.current), number(c.ratio),
                   number(c.ratio_interval.low), number(c.ratio_interval.high), std::string(verdict_name(c.verdict)),
                   c.doubt == Doubt::kNone ? Cell() : Cell(std::string(doubt_name(c.doubt)))});
  }
  const auto lone = [&](const std::vector<std::string>& names, const char* verdict) {
    for (const std::string& name : names)
      table.add_row({name, Cell(), Cell(), Cell(), Cell(), Cell(), Cell(), Cell(), std::string(verdict), Cell()});
  };
  lone(change.only_base, "removed");
  lone(change.only_current, "added");
  return table.render(format);
}

}  // namespace ff::bench
