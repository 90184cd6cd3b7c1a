// SampledMetrics: values that a node's parts know but do not count in a Registry, copied there from time to time. Parts
// may be read on their own thread only; scrapers come on another, and get what was read last.
//
//   sampled.begin();
//   sampled.gauge({.name = "ff_ffs_target_chunks", .help = "...", .labels = {{"target", "17"}}}, store.chunks());
//   sampled.end();
//
// Errors     A series that the Registry refuses (bad name, no room) is left out.
// Threads    One. Ownership: the Registry outlives it.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "libcommon/metrics/registry.hpp"

namespace ff::ffs {

class SampledMetrics {
 public:
  explicit SampledMetrics(metrics::Registry& registry) : registry_(registry) {}
  SampledMetrics(const SampledMetrics&) = delete;
  SampledMetrics& operator=(const SampledMetrics&) = delete;

  // What is set between these two is there afterwards; other series are not any more.
  void begin() noexcept { ++round_; }
  void end();
  // In the unit of the metric: seconds, not nanoseconds.
  void gauge(const metrics::MetricInfo& info, double value) { set(info, metrics::MetricType::kGauge, value); }
  void counter(const metrics::MetricInfo& info, double value) { set(info, metrics::MetricType::kCounter, value); }

 private:
  struct Cell {
    std::shared_ptr<std::atomic<double>> value;
    std::uint64_t round = 0;
    metrics::Registration registration;
  };
  void set(const metrics::MetricInfo& info, metrics::MetricType type, double value);

  metrics::Registry& registry_;
  std::uint64_t round_ = 0;
  std::map<std::pair<std::string, metrics::Labels>, Cell> cells_;
};

}  // namespace ff::ffs
