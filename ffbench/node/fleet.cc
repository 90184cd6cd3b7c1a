#include "ffbench/node/fleet.hpp"

#include <algorithm>
#include <cmath>
#include <map>
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

}  // namespace

FleetView compare_fleet(std::span<const NodeReport> nodes, double percent_min) {
  FleetView view;
  view.nodes = nodes.size();
  for (const NodeReport& node : nodes)
    for (const Finding& f : node.checks)
      if (f.verdict == CheckVerdict::kFail)
        view.outliers.push_back({.host = node.host,
                                 .id = f.id,
                                 .value = f.value.value_or(0),
                                 .unit = f.unit,
                                 .remark = "failed by itself: " + f.reason});
  const auto failed = static_cast<std::ptrdiff_t>(view.outliers.size());
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
  std::sort(view.outliers.begin() + failed, view.outliers.end(), [](const FleetOutlier& a, const FleetOutlier& b) {
    return std::make_tuple(-std::abs(a.score), std::tie(a.host, a.id)) <
           std::make_tuple(-std::abs(b.score), std::tie(b.host, b.id));
  });
  return view;
}

}  // namespace ff::bench
