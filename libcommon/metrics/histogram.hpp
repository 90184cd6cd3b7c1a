// Histogram: how often which value was seen, for non-negative 64-bit values (nanoseconds, bytes), in a fixed and small
// amount of memory and with a bounded relative error.
//
// Shape    Log-linear buckets, as HdrHistogram's: values below 2^sub_bits have a bucket each; every octave above is cut
//          into 2^(sub_bits-1) buckets of equal width. A value is known to 1 part in 2^(sub_bits-1):
//            sub_bits 7 (default) 1.57 %, two digits   sub_bits 11  0.1 %, three digits
// Memory   8 bytes a bucket: 2345 buckets (19 KB) for 7 bits up to one hour in ns, 3712 (30 KB) up to 2^63-1.
// Range    A negative value counts as 0 and one above value_max as value_max: a clock step or a hung request must not
//          stop the program that measures it. max() == value_max says that it happened.
// Threads  As std::vector. For many writers see registry.hpp, whose shards share this layout.
// Source   Gil Tene's HdrHistogram (layout, coordinated omission); the index arithmetic is derived in histogram.cc.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "libcommon/base/result.hpp"

namespace ff::metrics {

struct HistogramOptions {
  unsigned sub_bits = 7;               // 3 to 12
  std::int64_t value_max = INT64_MAX;  // at least 2^sub_bits
  bool operator==(const HistogramOptions&) const = default;
};

// Where a value is counted. A value type of two words, pure arithmetic.
class HistogramLayout {
 public:
  // kInvalidArgument outside the ranges above.
  static Result<HistogramLayout> make(HistogramOptions options);
  HistogramLayout() noexcept : HistogramLayout(HistogramOptions{}) {}

  const HistogramOptions& options() const noexcept { return options_; }
  std::size_t buckets() const noexcept { return index_of(options_.value_max) + 1; }
  std::int64_t clamp(std::int64_t value) const noexcept {
    value = value < 0 ? 0 : value;
    return value > options_.value_max ? options_.value_max : value;
  }
  // REQUIRES: clamp(value) == value.
  std::size_t index_of(std::int64_t value) const noexcept {
    const auto v = static_cast<std::uint64_t>(value);
    const int shift = std::bit_width(v | small_mask_) - static_cast<int>(options_.sub_bits);
    return (static_cast<std::size_t>(shift) << (options_.sub_bits - 1)) + static_cast<std::size_t>(v >> shift);
  }
  // The smallest and the largest value of a bucket. REQUIRES: index < buckets().
  std::int64_t lowest(std::size_t index) const noexcept;
  std::int64_t highest(std::size_t index) const noexcept;
  bool operator==(const HistogramLayout&) const = default;

 private:
  explicit HistogramLayout(HistogramOptions options) noexcept
      : options_(options), small_mask_((std::uint64_t{1} << options.sub_bits) - 1) {}

  HistogramOptions options_;
  std::uint64_t small_mask_;
};

class Histogram {
 public:
  explicit Histogram(HistogramLayout layout = {});

  const HistogramLayout& layout() const noexcept { return layout_; }

  // O(1), no allocation. Counts that pass 2^64-1 in sum stay at 2^64-1; `times` as often as the value was seen.
  void record(std::int64_t value, std::uint64_t times = 1) noexcept;
  // For a load generator that sends every `expected_interval` and waits for each answer: while it waited for `value`,
  // the requests it did not send would have waited value - interval, value - 2 interval, ... down to one interval.
  // Records these beside the value, so that percentiles show what a steady client would have seen (no coordinated
  // omission). An interval of 0 or less corrects nothing. O(buckets), however small the interval.
  void record_corrected(std::int64_t value, std::int64_t expected_interval) noexcept;

  // Adds all that `other` counted. kInvalidArgument when the layouts differ; then nothing is changed.
  Result<> merge(const Histogram& other);
  // What came since `earlier`, a copy of this histogram taken before. min() and max() of the result are known to one
  // bucket only (min rounds down, max up, never outside this histogram's). kInvalidArgument when the layouts differ or
  // `earlier` counts what this one does not: it is no earlier state of it.
  Result<Histogram> since(const Histogram& earlier) const;
  void clear() noexcept;

  std::uint64_t count() const noexcept { return count_; }
  // Exact, of the clamped values; stays at 2^64-1 once it is there (584 years in ns).
  std::uint64_t sum() const noexcept { return sum_; }
  // 0 when nothing was recorded, as the four below.
  std::int64_t min() const noexcept { return count_ == 0 ? 0 : min_; }
  std::int64_t max() const noexcept { return max_; }
  double mean() const noexcept;
  // The value v for which at least ceil(quantile x count) of the recorded values are at or below (nearest rank), as the
  // upper end of its bucket: true v <= result <= true v x (1 + 2^(1-sub_bits)), and min() <= result <= max().
  // `quantile` in [0, 1], clamped to it; 0 gives min(), 1 gives max().
  std::int64_t percentile(double quantile) const noexcept;
  // How many values are at or below `value`, counting the whole bucket it falls in: never too few, and nothing above
  // value x (1 + 2^(1-sub_bits)) is counted.
  std::uint64_t count_at_most(std::int64_t value) const noexcept;
  // One count a bucket, layout().buckets() of them.
  std::span<const std::uint64_t> counts() const noexcept { return counts_; }

  // Bytes that decode() reads back to an equal histogram: some 20 and 2 or 3 for each bucket in use. See histogram.cc.
  std::string encode() const;
  // kCorrupt: bytes that encode() did not write; never more than 1 MiB is allocated for them.
  static Result<Histogram> decode(std::string_view bytes);

  // From counters that were read elsewhere (the shards of a Registry). min and max as recorded, ignored when all counts
  // are 0. REQUIRES: counts.size() == layout.buckets().
  static Histogram from_counts(HistogramLayout layout, std::vector<std::uint64_t> counts, std::uint64_t sum,
                               std::int64_t min, std::int64_t max);

  bool operator==(const Histogram&) const = default;

 private:
  // Brings sum_, min_ and max_ to what the counts allow.
  void fit_to_counts() noexcept;

  HistogramLayout layout_;
  std::vector<std::uint64_t> counts_;
  std::uint64_t count_ = 0;
  std::uint64_t sum_ = 0;
  std::int64_t min_ = INT64_MAX;
  std::int64_t max_ = 0;
};

}  // namespace ff::metrics
