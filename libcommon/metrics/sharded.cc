#include "libcommon/metrics/sharded.hpp"

#include <algorithm>
#include <new>
#include <vector>

namespace ff::metrics {

std::uint64_t CounterCells::total() const noexcept {
  std::uint64_t sum = 0;
  for (std::uint32_t i = 0; i <= mask_; ++i) sum += cells_[i].value.load(std::memory_order_relaxed);
  return sum;
}

HistogramCells::HistogramCells(HistogramLayout layout, std::uint32_t shards)
    : layout_(layout), mask_(shards - 1), shards_(std::make_unique<std::atomic<Shard*>[]>(shards)) {
  auto first = std::make_unique<Shard>();
  first->counts = std::make_unique<std::atomic<std::uint64_t>[]>(layout_.buckets());
  shards_[0].store(first.release(), std::memory_order_release);
}

HistogramCells::~HistogramCells() {
  for (std::uint32_t i = 0; i <= mask_; ++i) delete shards_[i].load(std::memory_order_acquire);
}

// Without memory the thread shares the first shard: slower, and nothing is lost.
HistogramCells::Shard* HistogramCells::make_shard(std::uint32_t slot) noexcept {
  std::unique_ptr<Shard> made(new (std::nothrow) Shard);
  if (made) made->counts.reset(new (std::nothrow) std::atomic<std::uint64_t>[layout_.buckets()]());
  if (!made || !made->counts) return shards_[0].load(std::memory_order_acquire);
  Shard* current = nullptr;
  // Another thread of this slot may have been first.
  if (!shards_[slot].compare_exchange_strong(current, made.get(), std::memory_order_acq_rel)) return current;
  return made.release();
}

void HistogramCells::lower(std::atomic<std::int64_t>& least, std::int64_t value) noexcept {
  std::int64_t seen = least.load(std::memory_order_relaxed);
  while (value < seen && !least.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
  }
}

void HistogramCells::raise(std::atomic<std::int64_t>& greatest, std::int64_t value) noexcept {
  std::int64_t seen = greatest.load(std::memory_order_relaxed);
  while (value > seen && !greatest.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
  }
}

Histogram HistogramCells::snapshot() const {
  std::vector<std::uint64_t> counts(layout_.buckets());
  std::uint64_t sum = 0;
  std::int64_t min = INT64_MAX, max = 0;
  for (std::uint32_t i = 0; i <= mask_; ++i) {
    const Shard* shard = shards_[i].load(std::memory_order_acquire);
    if (shard == nullptr) continue;
    for (std::size_t b = 0; b < counts.size(); ++b) counts[b] += shard->counts[b].load(std::memory_order_relaxed);
    sum += shard->sum.load(std::memory_order_relaxed);
    min = std::min(min, shard->min.load(std::memory_order_relaxed));
    max = std::max(max, shard->max.load(std::memory_order_relaxed));
  }
  return Histogram::from_counts(layout_, std::move(counts), sum, min, max);
}

}  // namespace ff::metrics
