// What a metric is called, and what a scrape found: plain values, between the Registry that counts and the text that is
// served. Threads: values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "libcommon/base/result.hpp"
#include "libcommon/metrics/histogram.hpp"

namespace ff::metrics {

enum class MetricType : std::uint8_t { kCounter, kGauge, kHistogram };
// "counter", "gauge", "histogram".
std::string_view metric_type_name(MetricType type) noexcept;

// kSeconds  Histograms record nanoseconds and are served in seconds. kRatio is 0 to 1.
enum class Unit : std::uint8_t { kNone, kBytes, kSeconds, kRatio };
// "", "bytes", "seconds", "ratio".
std::string_view unit_name(Unit unit) noexcept;

// Names and values. Names [a-zA-Z_][a-zA-Z0-9_]*, not "le" or "quantile", not beginning with "__"; values UTF-8, up to
// 256 bytes. Values come from small fixed sets (a service, a disk), never from a client.
using Labels = std::vector<std::pair<std::string, std::string>>;

struct MetricInfo {
  // [a-zA-Z_][a-zA-Z0-9_]*, up to 200 bytes. Ends in the unit, and in _total for counters (only there):
  // "rpc_requests_total", "disk_read_bytes_total", "rpc_latency_seconds". A colon is refused: recording rules own it.
  std::string name;
  Unit unit = Unit::kNone;
  std::string help;  // one sentence, UTF-8, up to 1 KiB
  Labels labels;
};

// kInvalidArgument, with the rule that is broken. Source: Prometheus, "Metric and label naming" and promtool's linter.
Result<> check_metric(const MetricInfo& info, MetricType type);

// The name under which a histogram's quantiles are served, since one name has one type:
// "rpc_latency_seconds" gives "rpc_latency_quantiles_seconds".
std::string quantiles_name(std::string_view name, Unit unit);

struct Series {
  Labels labels;  // sorted by name
  std::variant<std::uint64_t, std::int64_t, double, Histogram> value;
};

struct Family {
  std::string name;
  MetricType type = MetricType::kGauge;
  Unit unit = Unit::kNone;
  std::string help;
  bool quantiles = false;  // of a histogram: serve p50, p90, p99, p999 as well
  std::vector<Series> series;
};

}  // namespace ff::metrics
