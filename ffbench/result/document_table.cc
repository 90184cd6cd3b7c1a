#include "ffbench/result/document_table.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "ffbench/result/document_json.hpp"
#include "ffbench/result/quantity.hpp"
#include "ffbench/stats/interval.hpp"
#include "ffbench/stats/summary.hpp"
#include "libcommon/base/assert.hpp"
#include "libcommon/report/utf8.hpp"

namespace ff::bench {
namespace {

struct Percentile {
  const char* name;
  double quantile;
  bool wide_only;
};
constexpr Percentile kPercentiles[] = {
    {"p50", 0.5, false}, {"p90", 0.9, true}, {"p99", 0.99, false}, {"p99_9", 0.999, true}, {"max", 1, true}};

constexpr std::size_t kMetricWidth = 16;  // "123.45MB/s ±9.9%"
constexpr std::size_t kLatencyWidth = 8;
constexpr std::size_t kNameWidthMin = 4, kNameWidthMax = 60;

std::string padded(std::string_view text, std::size_t width, bool right) {
  const std::size_t taken = report::display_width(text);
  const std::string padding(width > taken ? width - taken : 0, ' ');
  return right ? padding + std::string(text) : std::string(text) + padding;
}

template <class Columns>
void add_once(Columns& columns, std::string name, std::size_t width_min) {
  if (std::ranges::any_of(columns, [&](const auto& column) { return column.name == name; })) return;
  const std::size_t width = std::max(width_min, report::display_width(name));
  columns.push_back({std::move(name), width});
}

std::string metric_text(const Metric& metric, double confidence) {
  if (metric.samples.empty()) return "-";
  const double value = median(metric.samples);
  return format_quantity(value, metric.unit) + format_spread(value, median_interval(metric.samples, confidence));
}

report::Cell cell_of(double value) { return std::isfinite(value) ? report::Cell(value) : report::Cell(); }

std::string_view name_of(Better better) {
  return better == Better::kHigher ? "higher" : better == Better::kLower ? "lower" : "neither";
}

}  // namespace

RowPrinter::RowPrinter(std::span<const Row> rows, double confidence, bool wide)
    : confidence_(confidence), wide_(wide), name_width_(kNameWidthMin) {
  for (const Row& row : rows) {
    name_width_ = std::max(name_width_, report::display_width(report::printable(row.name)));
    for (const Metric& metric : row.metrics) add_once(metrics_, report::printable(metric.name), kMetricWidth);
    for (const Latency& latency : row.latencies)
      for (const auto& [name, quantile, wide_only] : kPercentiles)
        if (wide || !wide_only) add_once(latencies_, report::printable(latency.name) + " " + name, kLatencyWidth);
  }
  name_width_ = std::min(name_width_, kNameWidthMax);
}

std::string RowPrinter::join(const std::vector<std::string>& texts) const {
  std::string line = padded(texts[0], name_width_, false);
  for (std::size_t i = 1; i < texts.size(); ++i) {
    const std::size_t metric = i - 1;
    const std::size_t width = metric < metrics_.size() ? metrics_[metric].width
                              : metric - metrics_.size() < latencies_.size()
                                  ? latencies_[metric - metrics_.size()].width
                                  : 0;
    line += "  " + padded(texts[i], width, true);
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line + '\n';
}

std::string RowPrinter::titles() const {
  std::vector<std::string> texts = {"NAME"};
  const auto add = [&](const std::vector<Column>& columns) {
    for (const Column& column : columns) {
      std::string title = column.name;
      for (char& c : title) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
      texts.push_back(std::move(title));
    }
  };
  add(metrics_);
  add(latencies_);
  if (wide_) texts.emplace_back("SAMPLES");
  return join(texts);
}

std::string RowPrinter::line(const Row& row) const {
  std::vector<std::string> texts = {report::printable(row.name)};
  for (const Column& column : metrics_) {
    const auto at =
        std::ranges::find_if(row.metrics, [&](const Metric& m) { return report::printable(m.name) == column.name; });
    texts.push_back(at == row.metrics.end() ? "" : metric_text(*at, confidence_));
  }
  for (const Column& column : latencies_) {
    std::string text;
    for (const Latency& latency : row.latencies)
      for (const auto& [name, quantile, wide_only] : kPercentiles)
        if (report::printable(latency.name) + " " + name == column.name && latency.histogram.count() > 0)
          text = format_quantity(static_cast<double>(latency.histogram.percentile(quantile)), "ns");
    texts.push_back(std::move(text));
  }
  if (wide_) {
    std::size_t samples = 0;
    for (const Metric& metric : row.metrics) samples = std::max(samples, metric.samples.size());
    texts.push_back(std::to_string(samples));
  }
  if (!row.error.empty()) texts.push_back("error: " + report::printable(row.error));
  return join(texts);
}

std::string to_text(const Document& document, bool wide) {
  const RowPrinter printer(document.rows, document.method.confidence, wide);
  std::string text = printer.titles();
  for (const Row& row : document.rows) text += printer.line(row);
  return text;
}

std::string to_records(const Document& document, report::Format format) {
  FF_ASSERT(format != report::Format::kJson && format != report::Format::kTable && format != report::Format::kWide,
            static_cast<int>(format));
  if (format == report::Format::kName) {
    std::string names;
    for (const Row& row : document.rows) names += report::printable(row.name) + '\n';
    return names;
  }
  report::Table table("ff.bench.metrics/1", {{"row", "ROW"},
                                             {"metric", "METRIC"},
                                             {"unit", "UNIT"},
                                             {"better", "BETTER"},
                                             {"median", "MEDIAN"},
                                             {"ci_low", "CI LOW"},
                                             {"ci_high", "CI HIGH"},
                                             {"samples", "SAMPLES"},
                                             {"error", "ERROR"}});
  table.set_header("command", document.command);
  for (const Row& row : document.rows) {
    const report::Cell error = row.error.empty() ? report::Cell() : report::Cell(row.error);
    for (const Metric& metric : row.metrics) {
      const Interval interval = median_interval(metric.samples, document.method.confidence);
      table.add_row({row.name, metric.name, metric.unit, std::string(name_of(metric.better)),
                     cell_of(median(metric.samples)), cell_of(interval.low), cell_of(interval.high),
                     static_cast<std::int64_t>(metric.samples.size()), error});
    }
    for (const Latency& latency : row.latencies)
      for (const auto& [name, quantile, wide_only] : kPercentiles)
        table.add_row(
            {row.name, latency.name + "_" + name, std::string("ns"), std::string("lower"),
             latency.histogram.count() == 0 ? report::Cell() : report::Cell(latency.histogram.percentile(quantile)),
             report::Cell(), report::Cell(), static_cast<std::int64_t>(latency.histogram.count()), error});
    if (row.metrics.empty() && row.latencies.empty())
      table.add_row({row.name, report::Cell(), report::Cell(), report::Cell(), report::Cell(), report::Cell(),
                     report::Cell(), std::int64_t{0}, error});
  }
  return table.render(format);
}

std::string render_document(const Document& document, report::Format format) {
  if (format == report::Format::kJson) return to_json(document);
  if (format == report::Format::kTable || format == report::Format::kWide)
    return to_text(document, format == report::Format::kWide);
  return to_records(document, format);
}

}  // namespace ff::bench
