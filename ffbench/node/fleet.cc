#include "ffbench/node/fleet.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include "ffbench/stats/outlier.hpp"
#include "ffbench/stats/summary.hpp"

namespace ff::bench {
namespace {

struct Column {
  std::vector<double> values;
  std::vector<const NodeReport*> nodes;
  std::string unit;
  Better better = Better::kNeither;
};

std::map<std::string, Column> columns_of(std::span<const NodeReport> nodes) {
  std::map<std::string, Column> columns;
  for (const NodeReport& node : nodes)
    for (const Finding& f : node.checks) {
      if (!f.value || !std::isfinite(*f.value) || f.better == Better::kNeither) continue;
      Column& column = columns[f.id];
      column.values.push_back(*f.value);
      column.nodes.push_back(&node);
      column.unit = f.unit;
      column.better = f.better;
    }
  return columns;
}

// Values that most nodes of this level have and some do not. Those of a check or part that failed as a whole on a node
// are not missed there: that is named already.
void add_missing(std::span<const NodeReport* const> nodes, FleetView& view) {
  struct Seen {
    std::size_t nodes = 0;
    std::string unit;
  };
  using Ids = std::set<std::string, std::less<>>;
  std::map<std::string, Seen> seen;
  std::vector<Ids> present(nodes.size()), failed(nodes.size());
  for (std::size_t i = 0; i < nodes.size(); ++i)
    for (const Finding& f : nodes[i]->checks) {
      if (!f.value && f.verdict == CheckVerdict::kFail) failed[i].insert(f.id);
      if (!f.value || f.better == Better::kNeither || !present[i].insert(f.id).second) continue;
      ++seen[f.id].nodes;
      seen[f.id].unit = f.unit;
    }
  for (const auto& [id, by] : seen) {
    if (by.nodes < OutlierOptions{}.count_min || 2 * by.nodes <= nodes.size()) continue;
    for (std::size_t i = 0; i < nodes.size(); ++i)
      if (!present[i].contains(id) && !names_part_of(failed[i], id))
        view.outliers.push_back({.host = nodes[i]->host,
                                 .id = id,
                                 .value = {},
                                 .unit = by.unit,
                                 .remark = fmt::format("is missing: {} of {} nodes have it", by.nodes, nodes.size())});
  }
}

}  // namespace

FleetView compare_fleet(std::span<const NodeReport> nodes, double percent_min) {
  FleetView view;
  view.nodes = nodes.size();
  for (const NodeReport& node : nodes)
    for (const Finding& f : node.checks)
      if (f.verdict == CheckVerdict::kFail)
        view.outliers.push_back({.host = node.host,
                                 .id = f.id,
                                 .value = f.value,
                                 .unit = f.unit,
                                 .remark = "failed by itself: " + f.reason});
  std::map<std::string, std::vector<const NodeReport*>> levels;
  for (const NodeReport& node : nodes) levels[node.level].push_back(&node);
  for (const auto& [level, of_level] : levels) add_missing(of_level, view);
  const auto named = static_cast<std::ptrdiff_t>(view.outliers.size());
  for (const auto& [id, column] : columns_of(nodes)) {
    const OutlierOptions options{.better = column.better};
    if (column.values.size() < options.count_min) continue;
    ++view.compared;
    const double middle = median(column.values);
    const auto scores = score_outliers(column.values, options);
    for (std::size_t i = 0; i < scores.size(); ++i) {
      const double worse = middle == 0 ? 100 : 100 * std::abs(column.values[i] - middle) / std::abs(middle);
      if (!scores[i].outlier || worse < percent_min) continue;
      view.outliers.push_back({.host = column.nodes[i]->host,
                               .id = id,
                               .value = column.values[i],
                               .unit = column.unit,
                               .median = middle,
                               .score = scores[i].score,
                               .worse_percent = worse,
                               .remark = {}});
    }
  }
  std::sort(view.outliers.begin() + named, view.outliers.end(), [](const FleetOutlier& a, const FleetOutlier& b) {
    return std::make_tuple(-std::abs(a.score), std::tie(a.host, a.id)) <
           std::make_tuple(-std::abs(b.score), std::tie(b.host, b.id));
  });
  return view;
}

}  // namespace ff::bench
