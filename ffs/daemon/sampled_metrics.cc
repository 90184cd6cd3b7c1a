#include "ffs/daemon/sampled_metrics.hpp"

namespace ff::ffs {

void SampledMetrics::set(const metrics::MetricInfo& info, metrics::MetricType type, double value) {
  const auto [found, fresh] = cells_.try_emplace({info.name, info.labels});
  Cell& cell = found->second;
  cell.round = round_;
  if (!fresh) {
    cell.value->store(value, std::memory_order_relaxed);
    return;
  }
  cell.value = std::make_shared<std::atomic<double>>(value);
  const auto read = [kept = cell.value] { return kept->load(std::memory_order_relaxed); };
  auto made = type == metrics::MetricType::kCounter ? registry_.callback_counter(info, read)
                                                    : registry_.callback_gauge(info, read);
  if (made) cell.registration = std::move(*made);
}

void SampledMetrics::end() {
  std::erase_if(cells_, [&](const auto& entry) { return entry.second.round != round_; });
}

}  // namespace ff::ffs
