#include "ffbench/net/mesh.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "ffbench/result/quantity.hpp"
#include "ffbench/stats/outlier.hpp"

namespace ff::bench {
namespace {

constexpr std::size_t kHostsMin = 3;

double median_of(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

std::vector<bool> outliers(const std::vector<double>& values, Better better, std::size_t count_min) {
  OutlierOptions options;
  options.relative_floor = better == Better::kLower ? 0.1 : 0.05;
  options.count_min = count_min;
  options.better = better;
  std::vector<bool> out;
  for (const OutlierScore& score : score_outliers(values, options)) out.push_back(score.outlier);
  return out;
}

// The best of a row (or column); nothing when nothing was measured in it.
std::optional<double> best_of(const Matrix& matrix, std::size_t host, bool row, Better better) {
  std::optional<double> best;
  for (std::size_t other = 0; other < matrix.size(); ++other) {
    const auto& value = row ? matrix[host][other] : matrix[other][host];
    if (value && (!best || (better == Better::kLower ? *value < *best : *value > *best))) best = value;
  }
  return best;
}

std::vector<std::size_t> slow_hosts(const Matrix& matrix, bool row, Better better) {
  std::vector<std::size_t> hosts, out;
  std::vector<double> bests;
  for (std::size_t host = 0; host < matrix.size(); ++host) {
    const auto best = best_of(matrix, host, row, better);
    if (!best) continue;
    hosts.push_back(host);
    bests.push_back(*best);
  }
  const std::vector<bool> slow = outliers(bests, better, kHostsMin);
  for (std::size_t i = 0; i < hosts.size(); ++i)
    if (slow[i]) out.push_back(hosts[i]);
  return out;
}

bool contains(const std::vector<std::size_t>& hosts, std::size_t host) {
  return std::ranges::find(hosts, host) != hosts.end();
}

bool named(const MeshVerdict& verdict, const Pair& pair) {
  return contains(verdict.slow_senders, pair.first) || contains(verdict.slow_receivers, pair.second) ||
         std::ranges::find(verdict.slow_pairs, pair) != verdict.slow_pairs.end();
}

// Background colours of a terminal with 256 colours, worst first.
int colour_of(double value, double median, Better better) {
  constexpr int kRamp[] = {160, 166, 172, 178, 142, 106, 70, 34};
  const double goodness = better == Better::kLower ? median / value : value / median;
  const double step = (goodness - 0.5) / 0.5 * 7;  // half of the median and less is worst
  return kRamp[static_cast<std::size_t>(std::clamp(step, 0.0, 7.0))];
}

}  // namespace

MeshVerdict judge_mesh(const Matrix& matrix, Better better) {
  MeshVerdict verdict;
  std::vector<double> all;
  for (const auto& row : matrix)
    for (const auto& value : row)
      if (value) all.push_back(*value);
  verdict.median = median_of(all);
  for (const Pair& pair : all_pairs(matrix.size()))
    if (!matrix[pair.first][pair.second]) verdict.unmeasured.push_back(pair);
  if (matrix.size() < kHostsMin) return verdict;
  verdict.slow_senders = slow_hosts(matrix, true, better);
  verdict.slow_receivers = slow_hosts(matrix, false, better);
  std::vector<Pair> pairs;
  std::vector<double> values;
  for (const Pair& pair : all_pairs(matrix.size())) {
    const auto& value = matrix[pair.first][pair.second];
    if (!value || named(verdict, pair)) continue;
    pairs.push_back(pair);
    values.push_back(*value);
  }
  const std::vector<bool> slow = outliers(values, better, 4);
  for (std::size_t i = 0; i < pairs.size(); ++i)
    if (slow[i]) verdict.slow_pairs.push_back(pairs[i]);
  return verdict;
}

std::vector<std::string> describe_mesh(const MeshVerdict& verdict, const Matrix& matrix,
                                       const std::vector<std::string>& names, const std::string& what) {
  std::vector<std::string> out;
  const auto median_in = [&](std::size_t host, bool row) {
    std::vector<double> values;
    for (std::size_t other = 0; other < matrix.size(); ++other)
      if (const auto& value = row ? matrix[host][other] : matrix[other][host]) values.push_back(*value);
    return median_of(std::move(values));
  };
  for (std::size_t host = 0; host < matrix.size(); ++host) {
    const bool sends = contains(verdict.slow_senders, host), receives = contains(verdict.slow_receivers, host);
    if (!sends && !receives) continue;
    out.push_back(fmt::format("host {} is slow: {} at {:.2f} of the median {}", names[host],
                              sends && receives ? "sends and receives"
                              : sends           ? "sends"
                                                : "receives",
                              median_in(host, sends) / verdict.median, what));
  }
  for (const auto& [from, to] : verdict.slow_pairs)
    out.push_back(fmt::format("pair {} -> {} is slow: {:.2f} of the median {}", names[from], names[to],
                              *matrix[from][to] / verdict.median, what));
  for (const auto& [from, to] : verdict.unmeasured)
    out.push_back(fmt::format("pair {} -> {} was not measured: {} unknown", names[from], names[to], what));
  return out;
}

std::string heat_map(const Matrix& matrix, const MeshVerdict& verdict, const std::vector<std::string>& names,
                     Better better, const std::string& unit, const std::string& title, bool colour) {
  std::vector<std::vector<std::string>> cells(matrix.size());
  std::size_t label = title.size(), width = 4;
  for (std::size_t from = 0; from < matrix.size(); ++from) {
    label = std::max(label, names[from].size());
    width = std::max(width, names[from].size());
    for (std::size_t to = 0; to < matrix.size(); ++to) {
      const auto& value = matrix[from][to];
      std::string text = from == to ? "." : value ? format_quantity(*value, unit) : "-";
      if (value && named(verdict, {from, to})) text += '*';
      width = std::max(width, text.size());
      cells[from].push_back(std::move(text));
    }
  }
  std::string out = fmt::format("{:<{}}", title, label);
  for (const std::string& name : names) out += fmt::format("  {:>{}}", name, width);
  out += '\n';
  for (std::size_t from = 0; from < matrix.size(); ++from) {
    out += fmt::format("{:<{}}", names[from], label);
    for (std::size_t to = 0; to < matrix.size(); ++to) {
      const std::string cell = fmt::format("{:>{}}", cells[from][to], width);
      const auto& value = matrix[from][to];
      out += "  ";
      out += colour && value && verdict.median > 0
                 ? fmt::format("\x1b[30;48;5;{}m{}\x1b[0m", colour_of(*value, verdict.median, better), cell)
                 : cell;
    }
    out += '\n';
  }
  return out;
}

}  // namespace ff::bench
