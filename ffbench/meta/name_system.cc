#include "ffbench/meta/name_system.hpp"

#include "ffbench/measure/clock.hpp"

namespace ff::bench {
namespace {

metrics::HistogramLayout latency_layout() {
  return *metrics::HistogramLayout::make({.sub_bits = 9, .value_max = std::int64_t{3'600'000'000'000}});
}

}  // namespace

TaskPart::TaskPart() : latency(latency_layout()) {}

void TaskPart::note_step() {
  const std::uint64_t now = ticks_now();
  latency.record(ticks_to_ns(now - (last_ == 0 ? begin : last_)));
  last_ = now;
}

}  // namespace ff::bench
