// The index of a value. With b = sub_bits and half = 2^(b-1), values below 2^b are their own index. A value of octave s
// (2^(b-1+s) <= v < 2^(b+s), s >= 1) loses its s lowest bits and is then in [half, 2 half), so that s x half + (v >> s)
// continues the numbering without a gap: octave 1 begins at half + half = 2^b. Or-ing 2^b - 1 into the value makes s
// zero for all small values, and one formula does for both without a branch.
//
// Encoded form  "FFH" and version 1; then LEB128 varints in their shortest form: sub_bits, value_max, sum, min, max,
// number
//               of buckets in use, and for each of these the distance from the one before (from -1 for the first) and
//               its count; then the CRC-32C of all before, 4 bytes, least significant first.
#include "libcommon/metrics/histogram.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "libcommon/base/assert.hpp"
#include "libcommon/base/crc32c.hpp"

namespace ff::metrics {
namespace {

constexpr std::string_view kMagic{"FFH\x01", 4};
constexpr std::size_t kCrcBytes = 4;

std::uint64_t add_saturating(std::uint64_t a, std::uint64_t b) noexcept {
  std::uint64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

std::uint64_t multiply_saturating(std::uint64_t a, std::uint64_t b) noexcept {
  std::uint64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

void put_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

// Reads varints from the front; the first one that is cut, too long or not in its shortest form makes all fail.
class VarintReader {
 public:
  explicit VarintReader(std::string_view bytes) : rest_(bytes) {}

  std::uint64_t next() noexcept {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) break;
      const auto byte = static_cast<std::uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      if (shift == 63 && byte > 1) break;
      value |= std::uint64_t{byte & 0x7fU} << shift;
      if (byte >= 0x80) continue;
      if (byte == 0 && shift > 0) break;
      return value;
    }
    ok_ = false;
    rest_ = {};
    return 0;
  }
  bool ok() const noexcept { return ok_; }
  bool done() const noexcept { return ok_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

// The least and the greatest sum that counts in these buckets can have.
struct SumBounds {
  unsigned __int128 least = 0, most = 0;

  void add(const HistogramLayout& layout, std::size_t bucket, std::uint64_t times) noexcept {
    least += static_cast<unsigned __int128>(layout.lowest(bucket)) * times;
    most += static_cast<unsigned __int128>(layout.highest(bucket)) * times;
  }
  std::uint64_t nearest(std::uint64_t sum) const noexcept {
    const unsigned __int128 fitting = sum < least ? least : sum > most ? most : sum;
    return fitting > UINT64_MAX ? UINT64_MAX : static_cast<std::uint64_t>(fitting);
  }
};

std::array<char, kCrcBytes> crc_bytes(std::string_view bytes) noexcept {
  const std::uint32_t crc = crc32c(0, bytes.data(), bytes.size());
  return {static_cast<char>(crc), static_cast<char>(crc >> 8), static_cast<char>(crc >> 16),
          static_cast<char>(crc >> 24)};
}

std::unexpected<Error> corrupt(std::string_view reason) {
  return fail(Errc::kCorrupt, fmt::format("histogram: {}", reason));
}

}  // namespace

Result<HistogramLayout> HistogramLayout::make(HistogramOptions options) {
  if (options.sub_bits < 3 || options.sub_bits > 12)
    return fail(Errc::kInvalidArgument,
                fmt::format("histogram: sub_bits {} is outside 3 to 12 (7 gives two digits)", options.sub_bits));
  if (options.value_max < std::int64_t{1} << options.sub_bits)
    return fail(Errc::kInvalidArgument, fmt::format("histogram: value_max {} is below 2^sub_bits (give at least {})",
                                                    options.value_max, std::int64_t{1} << options.sub_bits));
  return HistogramLayout(options);
}

std::int64_t HistogramLayout::lowest(std::size_t index) const noexcept {
  const std::size_t half_bits = options_.sub_bits - 1;
  if (index <= small_mask_) return static_cast<std::int64_t>(index);
  const std::size_t shift = (index >> half_bits) - 1;
  return static_cast<std::int64_t>(std::uint64_t{index - (shift << half_bits)} << shift);
}

std::int64_t HistogramLayout::highest(std::size_t index) const noexcept {
  if (index <= small_mask_) return static_cast<std::int64_t>(index);
  const std::size_t shift = (index >> (options_.sub_bits - 1)) - 1;
  return std::min(options_.value_max, static_cast<std::int64_t>(static_cast<std::uint64_t>(lowest(index)) +
                                                                (std::uint64_t{1} << shift) - 1));
}

Histogram::Histogram(HistogramLayout layout) : layout_(layout), counts_(layout.buckets()) {}

void Histogram::record(std::int64_t value, std::uint64_t times) noexcept {
  if (times == 0) return;
  value = layout_.clamp(value);
  auto& bucket = counts_[layout_.index_of(value)];
  bucket = add_saturating(bucket, times);
  count_ = add_saturating(count_, times);
  sum_ = add_saturating(sum_, multiply_saturating(static_cast<std::uint64_t>(value), times));
  min_ = std::min(min_, value);
  max_ = std::max(max_, value);
}

void Histogram::record_corrected(std::int64_t value, std::int64_t expected_interval) noexcept {
  record(value);
  value = layout_.clamp(value);
  if (expected_interval <= 0) return;
  // An arithmetic progression, taken a bucket at a time: all its terms in one bucket count there at once.
  std::int64_t missing = value - expected_interval;
  while (missing >= expected_interval) {
    const std::int64_t floor = std::max(layout_.lowest(layout_.index_of(missing)), expected_interval);
    const auto steps = static_cast<std::uint64_t>((missing - floor) / expected_interval);
    const std::int64_t last = missing - static_cast<std::int64_t>(steps) * expected_interval;
    const std::uint64_t before = sum_;
    record(missing, steps + 1);
    // The sum stays exact: (first + last) / 2 for each term.
    const auto total =
        (static_cast<unsigned __int128>(missing) + static_cast<unsigned __int128>(last)) * (steps + 1) / 2;
    sum_ = total > UINT64_MAX ? UINT64_MAX : add_saturating(before, static_cast<std::uint64_t>(total));
    min_ = std::min(min_, last);
    missing = last - expected_interval;
  }
}

Result<> Histogram::merge(const Histogram& other) {
  if (layout_ != other.layout_)
    return fail(Errc::kInvalidArgument,
                "histogram: cannot merge another layout (record both with the same sub_bits and value_max)");
  for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] = add_saturating(counts_[i], other.counts_[i]);
  count_ = add_saturating(count_, other.count_);
  sum_ = add_saturating(sum_, other.sum_);
  min_ = std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
  return {};
}

Result<Histogram> Histogram::since(const Histogram& earlier) const {
  if (layout_ != earlier.layout_)
    return fail(Errc::kInvalidArgument,
                "histogram: the earlier state has another layout (is it of another histogram?)");
  Histogram interval(layout_);
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    if (counts_[i] < earlier.counts_[i])
      return fail(Errc::kInvalidArgument,
                  fmt::format("histogram: the earlier state counts {} values near {}, this one {} (was it cleared?)",
                              earlier.counts_[i], layout_.lowest(i), counts_[i]));
    interval.counts_[i] = counts_[i] - earlier.counts_[i];
    interval.count_ += interval.counts_[i];
  }
  interval.sum_ = sum_ - std::min(sum_, earlier.sum_);
  interval.min_ = min_;
  interval.max_ = max_;
  interval.fit_to_counts();
  return interval;
}

void Histogram::fit_to_counts() noexcept {
  std::size_t first = counts_.size(), last = 0;
  SumBounds bounds;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    if (counts_[i] == 0) continue;
    first = std::min(first, i);
    last = i;
    bounds.add(layout_, i, counts_[i]);
  }
  if (first == counts_.size()) return clear();
  min_ = std::clamp(min_, layout_.lowest(first), layout_.highest(first));
  max_ = std::clamp(max_, layout_.lowest(last), layout_.highest(last));
  sum_ = bounds.nearest(sum_);
}

void Histogram::clear() noexcept {
  std::fill(counts_.begin(), counts_.end(), 0);
  count_ = sum_ = 0;
  min_ = INT64_MAX;
  max_ = 0;
}

double Histogram::mean() const noexcept {
  return count_ == 0 ? 0 : static_cast<double>(sum_) / static_cast<double>(count_);
}

std::int64_t Histogram::percentile(double quantile) const noexcept {
  if (count_ == 0) return 0;
  if (!(quantile > 0)) return min();
  if (quantile >= 1) return max();
  // 0.07 x 100 is 7.000000000000001 in binary; the nudge keeps its rank at 7.
  const double rank_exact = quantile * static_cast<double>(count_);
  const auto rank = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(rank_exact * (1 - 0x1p-51))));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    seen = add_saturating(seen, counts_[i]);
    if (seen >= rank) return std::clamp(layout_.highest(i), min(), max());
  }
  return max();
}

std::uint64_t Histogram::count_at_most(std::int64_t value) const noexcept {
  if (value < 0) return 0;
  const std::size_t end = layout_.index_of(layout_.clamp(value)) + 1;
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < end; ++i) seen = add_saturating(seen, counts_[i]);
  return seen;
}

Histogram Histogram::from_counts(HistogramLayout layout, std::vector<std::uint64_t> counts, std::uint64_t sum,
                                 std::int64_t min, std::int64_t max) {
  FF_ASSERT(counts.size() == layout.buckets(), counts.size(), layout.buckets());
  Histogram made(layout);
  made.counts_ = std::move(counts);
  for (const std::uint64_t n : made.counts_) made.count_ = add_saturating(made.count_, n);
  made.sum_ = sum;
  made.min_ = min;
  made.max_ = max;
  // Counters that others still write may show a value before it is in the sum, the minimum or the maximum.
  made.fit_to_counts();
  return made;
}

std::string Histogram::encode() const {
  std::string out(kMagic);
  put_varint(out, layout_.options().sub_bits);
  put_varint(out, static_cast<std::uint64_t>(layout_.options().value_max));
  put_varint(out, sum_);
  put_varint(out, static_cast<std::uint64_t>(min()));
  put_varint(out, static_cast<std::uint64_t>(max_));
  put_varint(out, static_cast<std::uint64_t>(std::count_if(counts_.begin(), counts_.end(), [](auto n) { return n; })));
  std::size_t next = 0;  // one past the last bucket written
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    if (counts_[i] == 0) continue;
    put_varint(out, i + 1 - next);
    put_varint(out, counts_[i]);
    next = i + 1;
  }
  const auto crc = crc_bytes(out);
  out.append(crc.data(), crc.size());
  return out;
}

Result<Histogram> Histogram::decode(std::string_view bytes) {
  if (bytes.size() < kMagic.size() + kCrcBytes || !bytes.starts_with(kMagic))
    return corrupt("does not begin with 'FFH' and version 1");
  const std::string_view body = bytes.substr(0, bytes.size() - kCrcBytes);
  const auto crc = crc_bytes(body);
  if (bytes.substr(body.size()) != std::string_view(crc.data(), crc.size()))
    return corrupt("the checksum does not match");

  VarintReader in(body.substr(kMagic.size()));
  const std::uint64_t sub_bits = in.next(), value_max = in.next(), sum = in.next(), min = in.next(), max = in.next();
  const std::uint64_t used = in.next();
  if (!in.ok() || sub_bits > 12 || value_max > INT64_MAX) return corrupt("the head is cut or out of range");
  auto layout = HistogramLayout::make(
      {.sub_bits = static_cast<unsigned>(sub_bits), .value_max = static_cast<std::int64_t>(value_max)});
  if (!layout) return fail(Error(Errc::kCorrupt, layout.error().message()));

  Histogram made(*layout);
  std::size_t next = 0;
  SumBounds bounds;
  std::size_t first = 0;
  for (std::uint64_t i = 0; i < used; ++i) {
    const std::uint64_t distance = in.next(), n = in.next();
    if (!in.ok()) return corrupt("the list of buckets is cut");
    if (distance == 0 || n == 0 || distance > made.counts_.size() - next) return corrupt("a bucket is out of range");
    next += distance;
    if (i == 0) first = next - 1;
    made.counts_[next - 1] = n;
    // A count of 2^64-1 may have been held there, as sums are.
    made.count_ = add_saturating(made.count_, n);
    bounds.add(made.layout_, next - 1, n);
  }
  if (!in.done()) return corrupt("bytes follow the last bucket");
  if (used == 0) {
    if (sum != 0 || min != 0 || max != 0) return corrupt("an empty one has a sum");
    return made;
  }
  const bool min_fits = min <= value_max && made.layout_.index_of(static_cast<std::int64_t>(min)) == first;
  const bool max_fits = max <= value_max && made.layout_.index_of(static_cast<std::int64_t>(max)) == next - 1;
  if (!min_fits || !max_fits || min > max) return corrupt("the least or the greatest value is not in its bucket");
  if (sum != bounds.nearest(sum)) return corrupt("the sum does not fit the counts");
  made.sum_ = sum;
  made.min_ = static_cast<std::int64_t>(min);
  made.max_ = static_cast<std::int64_t>(max);
  return made;
}

}  // namespace ff::metrics
