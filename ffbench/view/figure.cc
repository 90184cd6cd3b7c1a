#include "ffbench/view/figure.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "ffbench/stats/interval.hpp"
#include "ffbench/stats/summary.hpp"
#include "libcommon/report/utf8.hpp"

namespace ff::bench {
namespace {

constexpr std::size_t kSeriesMax = 12, kBarsMax = 64, kHostsMax = 256, kFiguresMax = 64;

// A row and the label of its document.
struct Source {
  const Row* row;
  std::string label;  // empty when there is one document
  double confidence;
};

const report::Cell* parameter(const Row& row, std::string_view name) {
  const auto at = std::ranges::find(row.parameters, name, &std::pair<std::string, report::Cell>::first);
  return at == row.parameters.end() ? nullptr : &at->second;
}

std::optional<double> number_of(const report::Cell* cell) {
  if (cell == nullptr) return std::nullopt;
  if (const auto* whole = std::get_if<std::int64_t>(cell)) return static_cast<double>(*whole);
  if (const auto* real = std::get_if<double>(cell)) return *real;
  return std::nullopt;
}

std::string text_of(const report::Cell* cell) {
  if (cell == nullptr) return "-";
  if (const auto* text = std::get_if<std::string>(cell)) return report::printable(*text);
  if (const auto* flag = std::get_if<bool>(cell)) return *flag ? "yes" : "no";
  if (const auto value = number_of(cell)) return fmt::format("{:g}", *value);
  return "-";
}

bool counts_bytes(std::string_view name) {
  return name == "bs" || name == "size" || name.find("bytes") != std::string_view::npos || name.ends_with("_size") ||
         name == "block";
}

const Metric* metric_of(const Row& row, std::string_view name) {
  const auto at = std::ranges::find(row.metrics, name, &Metric::name);
  return at == row.metrics.end() || at->samples.empty() ? nullptr : &*at;
}

Point point_of(double x, const Metric& metric, double confidence) {
  const double y = median(metric.samples);
  const Interval interval = median_interval(metric.samples, confidence);
  return std::isfinite(interval.low) ? Point{x, y, interval.low, interval.high} : Point{x, y, y, y};
}

// The parameters of these rows in order, with the values that each takes.
std::vector<std::pair<std::string, std::set<std::string>>> varied(const std::vector<Source>& sources) {
  std::vector<std::pair<std::string, std::set<std::string>>> all;
  for (const Source& source : sources)
    for (const auto& [name, cell] : source.row->parameters)
      if (std::ranges::find(all, name, &std::pair<std::string, std::set<std::string>>::first) == all.end())
        all.push_back({name, {}});
  for (auto& [name, values] : all)
    for (const Source& source : sources) values.insert(text_of(parameter(*source.row, name)));
  std::erase_if(all, [](const auto& one) { return one.second.size() < 2; });
  return all;
}

// The numeric parameter with most values, which every row has; bytes before others.
std::string swept_parameter(const std::vector<Source>& sources) {
  std::string best;
  std::size_t most = 0;
  for (const auto& [name, values] : varied(sources)) {
    const bool numeric = std::ranges::all_of(
        sources, [&](const Source& source) { return number_of(parameter(*source.row, name)).has_value(); });
    const std::size_t weight = 2 * values.size() + (counts_bytes(name) ? 1 : 0);
    if (!numeric || weight <= most) continue;
    most = weight;
    best = name;
  }
  return best;
}

std::string series_name(const Source& source, const std::vector<std::string>& by) {
  std::string name = source.label;
  for (const std::string& parameter_name : by)
    name += fmt::format("{}{}={}", name.empty() ? "" : " ", report::printable(parameter_name),
                        text_of(parameter(*source.row, parameter_name)));
  return name;
}

std::string title_of(std::string_view command, std::string_view what) {
  return fmt::format("{}: {}", report::printable(command), report::printable(what));
}

void keep_first(Figure& figure) {
  if (figure.series.size() <= kSeriesMax) return;
  figure.title += fmt::format(" (first {} of {})", kSeriesMax, figure.series.size());
  figure.series.resize(kSeriesMax);
}

Scale scale_of(std::string_view name, const std::vector<Series>& series) {
  double low = std::numeric_limits<double>::infinity(), high = 0;
  for (const Series& one : series)
    for (const Point& point : one.points) {
      low = std::min(low, point.x);
      high = std::max(high, point.x);
    }
  return low > 0 && (counts_bytes(name) || high / low >= 32) ? Scale::kLog2 : Scale::kLinear;
}

Figure lines_of(const std::string& command, const Metric& metric, const std::string& swept,
                const std::vector<Source>& sources) {
  std::vector<std::string> by;
  for (const auto& [name, values] : varied(sources))
    if (name != swept) by.push_back(name);
  Figure figure{.kind = Figure::Kind::kLines, .title = title_of(command, metric.name)};
  std::map<std::string, std::size_t> places;
  for (const Source& source : sources) {
    const std::string name = series_name(source, by);
    const auto [at, is_new] = places.emplace(name, figure.series.size());
    if (is_new) figure.series.push_back({name, {}});
    figure.series[at->second].points.push_back(
        point_of(*number_of(parameter(*source.row, swept)), *metric_of(*source.row, metric.name), source.confidence));
  }
  for (Series& one : figure.series) std::ranges::sort(one.points, {}, &Point::x);
  figure.x = {report::printable(swept), counts_bytes(swept) ? "B" : "", scale_of(swept, figure.series)};
  figure.y = {report::printable(metric.name), metric.unit, Scale::kLinear};
  keep_first(figure);
  return figure;
}

Figure bars_of(const std::string& command, const Metric& metric, const std::vector<Source>& sources) {
  Figure figure{.kind = Figure::Kind::kBars, .title = title_of(command, metric.name)};
  figure.y = {report::printable(metric.name), metric.unit, Scale::kLinear};
  figure.series.push_back({report::printable(metric.name), {}});
  for (const Source& source : sources) {
    if (figure.names.size() == kBarsMax) {
      figure.title += fmt::format(" (first {} of {})", kBarsMax, sources.size());
      break;
    }
    const double x = static_cast<double>(figure.names.size());
    figure.series[0].points.push_back(point_of(x, *metric_of(*source.row, metric.name), source.confidence));
    figure.names.push_back((source.label.empty() ? "" : source.label + " ") + report::printable(source.row->name));
  }
  return figure;
}

// The parameters that name a pair of hosts in all of these rows.
std::optional<std::pair<std::string, std::string>> pair_of(const std::vector<Source>& sources) {
  for (const auto& [from, to] :
       {std::pair("from", "to"), std::pair("source", "destination"), std::pair("client", "server")})
    if (std::ranges::all_of(sources, [&](const Source& source) {
          return parameter(*source.row, from) != nullptr && parameter(*source.row, to) != nullptr;
        }))
      return std::pair<std::string, std::string>(from, to);
  return std::nullopt;
}

void add_once(std::vector<std::string>& names, const std::string& name) {
  if (std::ranges::find(names, name) == names.end() && names.size() < kHostsMax) names.push_back(name);
}

Figure heat_map_of(const std::string& command, const Metric& metric, const std::pair<std::string, std::string>& pair,
                   const std::vector<Source>& sources) {
  Figure figure{.kind = Figure::Kind::kHeatMap, .title = title_of(command, metric.name)};
  figure.x = {pair.second, "", Scale::kLinear};
  figure.y = {pair.first, metric.unit, Scale::kLinear};
  for (const Source& source : sources) {
    add_once(figure.row_names, text_of(parameter(*source.row, pair.first)));
    add_once(figure.names, text_of(parameter(*source.row, pair.second)));
  }
  figure.values.assign(figure.names.size() * figure.row_names.size(), std::numeric_limits<double>::quiet_NaN());
  for (const Source& source : sources) {
    const auto row = std::ranges::find(figure.row_names, text_of(parameter(*source.row, pair.first)));
    const auto column = std::ranges::find(figure.names, text_of(parameter(*source.row, pair.second)));
    if (row == figure.row_names.end() || column == figure.names.end()) continue;
    const auto at = static_cast<std::size_t>(row - figure.row_names.begin()) * figure.names.size() +
                    static_cast<std::size_t>(column - figure.names.begin());
    figure.values[at] = median(metric_of(*source.row, metric.name)->samples);
  }
  return figure;
}

// Percentiles up to the last one that the histogram can tell from its maximum.
Series percentile_curve(std::string name, const metrics::Histogram& histogram) {
  Series series{std::move(name), {}};
  const double end = static_cast<double>(histogram.count());
  for (double decade = 1; decade <= end; decade *= 10)
    for (const double step : {1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.5, 8.0}) {
      const double x = decade * step;
      if (x > end && x > 1) break;
      const auto y = static_cast<double>(histogram.percentile(1 - 1 / x));
      series.points.push_back({x, y, y, y});
    }
  return series;
}

void add_latencies(const std::string& command, const std::vector<Source>& sources, std::vector<Figure>& figures) {
  Figure figure{.kind = Figure::Kind::kLines, .title = title_of(command, "latency by percentile")};
  figure.x = {"percentile", "", Scale::kPercentile};
  figure.y = {"latency", "ns", Scale::kLog10};
  for (const Source& source : sources)
    for (const Latency& latency : source.row->latencies) {
      if (latency.histogram.count() == 0) continue;
      const std::string label = source.label.empty() ? "" : source.label + " ";
      figure.series.push_back(percentile_curve(
          label + report::printable(source.row->name) + " " + report::printable(latency.name), latency.histogram));
    }
  if (figure.series.empty()) return;
  keep_first(figure);
  // A value of 0 has no place on a logarithmic axis.
  for (Series& one : figure.series)
    for (Point& point : one.points) point.y = point.low = point.high = std::max(point.y, 1.0);
  figures.push_back(std::move(figure));
}

void add_figures(const std::string& command, const std::vector<Source>& sources, std::vector<Figure>& figures) {
  std::vector<std::string> metrics;
  for (const Source& source : sources)
    for (const Metric& metric : source.row->metrics)
      if (!metric.samples.empty() && metrics.size() < kFiguresMax &&
          std::ranges::find(metrics, metric.name) == metrics.end())
        metrics.push_back(metric.name);
  for (const std::string& name : metrics) {
    std::vector<Source> having;
    std::ranges::copy_if(sources, std::back_inserter(having),
                         [&](const Source& source) { return metric_of(*source.row, name) != nullptr; });
    const Metric& metric = *metric_of(*having[0].row, name);
    // Metrics of one name and another unit do not belong on this axis.
    std::erase_if(having, [&](const Source& source) { return metric_of(*source.row, name)->unit != metric.unit; });
    // A sum beside the pairs that it is of has no place in their map.
    std::vector<Source> pairs, others;
    for (const Source& source : having) (pair_of({source}) ? pairs : others).push_back(source);
    if (pairs.size() > 1 && !others.empty() && pair_of(pairs)) {
      figures.push_back(bars_of(command, metric, others));
      having = std::move(pairs);
    }
    if (const auto pair = pair_of(having)) {
      std::map<std::string, std::vector<Source>> by_label;
      for (const Source& source : having) by_label[source.label].push_back(source);
      for (const auto& [label, of_label] : by_label) {
        figures.push_back(heat_map_of(command, metric, *pair, of_label));
        if (!label.empty()) figures.back().title += ", " + label;
      }
    } else if (const std::string swept = swept_parameter(having); !swept.empty()) {
      figures.push_back(lines_of(command, metric, swept, having));
    } else {
      figures.push_back(bars_of(command, metric, having));
    }
  }
  add_latencies(command, sources, figures);
}

}  // namespace

std::vector<Figure> figures_of(std::span<const Document> documents, std::span<const std::string> labels) {
  std::vector<std::string> commands;
  for (const Document& document : documents)
    if (std::ranges::find(commands, document.command) == commands.end()) commands.push_back(document.command);
  std::vector<Figure> figures;
  for (const std::string& command : commands) {
    std::vector<Source> sources;
    for (std::size_t i = 0; i < documents.size(); ++i)
      if (documents[i].command == command)
        for (const Row& row : documents[i].rows)
          sources.push_back({&row, documents.size() > 1 ? report::printable(labels[i]) : std::string(),
                             documents[i].method.confidence});
    add_figures(command, sources, figures);
  }
  return figures;
}

}  // namespace ff::bench
