#include "libcommon/metrics/histogram.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "libcommon/base/crc32c.hpp"
#include "libcommon/base/rng.hpp"

namespace ff::metrics {
namespace {

HistogramLayout layout(unsigned sub_bits, std::int64_t value_max = INT64_MAX) {
  return HistogramLayout::make({.sub_bits = sub_bits, .value_max = value_max}).value();
}

// Spread over all magnitudes, as latencies are.
std::int64_t random_value(Rng& rng) { return static_cast<std::int64_t>(rng.next() >> (1 + rng.below(63))); }

TEST(HistogramLayout, RefusesWhatItCannotHold) {
  EXPECT_FALSE(HistogramLayout::make({.sub_bits = 2}));
  EXPECT_FALSE(HistogramLayout::make({.sub_bits = 13}));
  EXPECT_FALSE(HistogramLayout::make({.sub_bits = 7, .value_max = 127}));
  EXPECT_TRUE(HistogramLayout::make({.sub_bits = 7, .value_max = 128}));
  EXPECT_FALSE(HistogramLayout::make({.sub_bits = 7, .value_max = -1}));
}

TEST(HistogramLayout, HasTheBucketsThatItsHeaderNames) {
  // 128 below 2^7, then 64 for each of the octaves 2^7 to 2^62.
  EXPECT_EQ(layout(7).buckets(), 128U + 56 * 64);
  // One hour is in [2^41, 2^42): 34 whole octaves, and of the last one the buckets to 3.6e12 >> 35 = 104 out
  // of 64..127.
  EXPECT_EQ(layout(7, 3'600'000'000'000).buckets(), 128U + 34 * 64 + (104 - 64 + 1));
}

TEST(HistogramLayout, BucketsTileTheRangeWithoutGapOrOverlap) {
  for (const unsigned bits : {3U, 7U, 12U}) {
    const HistogramLayout l = layout(bits);
    EXPECT_EQ(l.lowest(0), 0);
    for (std::size_t i = 1; i < l.buckets(); ++i) ASSERT_EQ(l.lowest(i), l.highest(i - 1) + 1) << bits << ' ' << i;
    EXPECT_EQ(l.highest(l.buckets() - 1), INT64_MAX);
  }
}

TEST(HistogramLayout, PutsEachValueIntoABucketNoWiderThanTheErrorAllows) {
  Rng rng(1);
  for (const unsigned bits : {3U, 5U, 7U, 11U}) {
    const HistogramLayout l = layout(bits);
    for (int i = 0; i < 100'000; ++i) {
      const std::int64_t v = random_value(rng);
      const std::size_t index = l.index_of(v);
      ASSERT_LE(l.lowest(index), v);
      ASSERT_GE(l.highest(index), v);
      const auto width = static_cast<double>(l.highest(index) - l.lowest(index));
      ASSERT_LE(width, static_cast<double>(v) * std::ldexp(1.0, 1 - static_cast<int>(bits))) << v;
    }
  }
}

TEST(Histogram, KnowsNothingWhenEmpty) {
  const Histogram h;
  EXPECT_EQ(h.count(), 0U);
  EXPECT_EQ(h.min(), 0);
  EXPECT_EQ(h.max(), 0);
  EXPECT_EQ(h.mean(), 0);
  EXPECT_EQ(h.percentile(0.5), 0);
  EXPECT_EQ(h.count_at_most(INT64_MAX), 0U);
}

TEST(Histogram, CountsSmallValuesExactly) {
  Histogram h;
  for (int v = 1; v <= 100; ++v) h.record(v);
  EXPECT_EQ(h.count(), 100U);
  EXPECT_EQ(h.sum(), 5050U);
  EXPECT_EQ(h.mean(), 50.5);
  EXPECT_EQ(h.percentile(0), 1);
  EXPECT_EQ(h.percentile(0.07), 7);  // 0.07 x 100 is above 7 in binary
  EXPECT_EQ(h.percentile(0.5), 50);
  EXPECT_EQ(h.percentile(0.99), 99);
  EXPECT_EQ(h.percentile(0.991), 100);
  EXPECT_EQ(h.percentile(1), 100);
  EXPECT_EQ(h.percentile(-1), 1);
  EXPECT_EQ(h.percentile(2), 100);
  EXPECT_EQ(h.percentile(std::nan("")), 1);
  EXPECT_EQ(h.count_at_most(-1), 0U);
  EXPECT_EQ(h.count_at_most(0), 0U);
  EXPECT_EQ(h.count_at_most(10), 10U);
}

// The property that the header promises, against a sorted array.
TEST(Histogram, PercentilesStayWithinTheErrorOfTheTrueOnes) {
  Rng rng(2);
  for (const unsigned bits : {5U, 7U, 11U}) {
    const double error = std::ldexp(1.0, 1 - static_cast<int>(bits));
    for (int round = 0; round < 20; ++round) {
      Histogram h(layout(bits));
      std::vector<std::int64_t> values(1 + rng.below(3000));
      for (auto& v : values) h.record(v = random_value(rng));
      std::sort(values.begin(), values.end());
      for (int i = 0; i < 200; ++i) {
        const double q = rng.uniform();
        const auto rank = static_cast<std::size_t>(std::ceil(q * static_cast<double>(values.size())));
        const std::int64_t truth = values[std::max<std::size_t>(rank, 1) - 1];
        const std::int64_t got = h.percentile(q);
        ASSERT_GE(got, truth);
        ASSERT_LE(static_cast<double>(got), static_cast<double>(truth) * (1 + error) + 1e-9);
        const std::int64_t bound = random_value(rng);
        const auto true_count =
            static_cast<std::size_t>(std::upper_bound(values.begin(), values.end(), bound) - values.begin());
        const double loose = static_cast<double>(bound) * (1 + error);
        const auto most = static_cast<std::size_t>(std::count_if(
            values.begin(), values.end(), [&](std::int64_t v) { return static_cast<double>(v) <= loose; }));
        ASSERT_GE(h.count_at_most(bound), true_count);
        ASSERT_LE(h.count_at_most(bound), most);
      }
      EXPECT_EQ(h.min(), values.front());
      EXPECT_EQ(h.max(), values.back());
    }
  }
}

TEST(Histogram, ClampsWhatIsOutOfRange) {
  Histogram h(layout(7, 1000));
  h.record(-5);
  h.record(INT64_MIN);
  h.record(INT64_MAX);
  EXPECT_EQ(h.count(), 3U);
  EXPECT_EQ(h.min(), 0);
  EXPECT_EQ(h.max(), 1000);
  EXPECT_EQ(h.sum(), 1000U);
  EXPECT_EQ(h.percentile(1), 1000);
}

TEST(Histogram, HoldsSumsAndCountsAtTheirLimit) {
  Histogram h;
  h.record(INT64_MAX, 3);
  EXPECT_EQ(h.sum(), UINT64_MAX);
  h.record(1, UINT64_MAX);
  EXPECT_EQ(h.count(), UINT64_MAX);
  EXPECT_EQ(h.percentile(0.9), 1);
  EXPECT_EQ(Histogram::decode(h.encode()).value(), h);
}

TEST(Histogram, CorrectsForCoordinatedOmission) {
  // One answer took 100 although a request was due every 10: those due meanwhile would have waited 90, 80, ..., 10.
  Histogram h;
  h.record_corrected(100, 10);
  Histogram expected;
  for (int v = 100; v >= 10; v -= 10) expected.record(v);
  EXPECT_EQ(h, expected);
  h.clear();
  h.record_corrected(19, 10);  // none was missed
  h.record_corrected(5, 0);
  h.record_corrected(5, -1);
  EXPECT_EQ(h.count(), 3U);
}

TEST(Histogram, CorrectionEqualsRecordingEachMissedValue) {
  Rng rng(3);
  for (int round = 0; round < 300; ++round) {
    const auto value = static_cast<std::int64_t>(rng.below(1'000'000));
    const auto interval = static_cast<std::int64_t>(1 + rng.below(round % 2 == 0 ? 1000 : 100'000));
    Histogram h, expected;
    h.record_corrected(value, interval);
    expected.record(value);
    for (std::int64_t v = value - interval; v >= interval; v -= interval) expected.record(v);
    ASSERT_EQ(h, expected) << value << ' ' << interval;
  }
}

TEST(Histogram, CorrectionTakesNoTimeForATinyInterval) {
  Histogram h;
  h.record_corrected(INT64_MAX, 1);
  EXPECT_EQ(h.count(), static_cast<std::uint64_t>(INT64_MAX));
  EXPECT_EQ(h.sum(), UINT64_MAX);
  EXPECT_EQ(h.min(), 1);
}

TEST(Histogram, MergingEqualsRecordingIntoOne) {
  Rng rng(4);
  Histogram a, b, both;
  for (int i = 0; i < 1000; ++i) {
    const std::int64_t v = random_value(rng) >> 12;
    (i % 3 == 0 ? a : b).record(v);
    both.record(v);
  }
  ASSERT_TRUE(a.merge(b));
  EXPECT_EQ(a, both);
  ASSERT_TRUE(a.merge(Histogram()));
  EXPECT_EQ(a, both);
  const auto refused = a.merge(Histogram(layout(8)));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(a, both);
}

TEST(Histogram, TellsAnIntervalApart) {
  Histogram h;
  for (int v = 0; v < 50; ++v) h.record(v);
  const Histogram before = h;
  for (int v = 60; v < 70; ++v) h.record(v, 2);
  const auto interval = h.since(before);
  ASSERT_TRUE(interval);
  EXPECT_EQ(interval->count(), 20U);
  EXPECT_EQ(interval->sum(), 2U * (60 + 61 + 62 + 63 + 64 + 65 + 66 + 67 + 68 + 69));
  EXPECT_EQ(interval->min(), 60);
  EXPECT_EQ(interval->max(), 69);
  EXPECT_EQ(h.since(h).value(), Histogram());
  EXPECT_FALSE(before.since(h));
  EXPECT_FALSE(h.since(Histogram(layout(8))));
}

TEST(Histogram, ReadsBackWhatItWrote) {
  Rng rng(5);
  for (int round = 0; round < 50; ++round) {
    Histogram h(
        layout(3 + static_cast<unsigned>(rng.below(10)), INT64_MAX - static_cast<std::int64_t>(rng.below(1000))));
    for (std::uint64_t i = rng.below(500); i > 0; --i) h.record(random_value(rng), 1 + rng.below(1000));
    const auto back = Histogram::decode(h.encode());
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_EQ(*back, h);
  }
}

TEST(Histogram, WritesTheBytesThatItsGrammarSays) {
  Histogram h(layout(3, 100));
  h.record(2);
  h.record(2);
  h.record(5);
  // "FFH" 1, sub_bits 3, value_max 100, sum 9, min 2, max 5, two buckets: 3 after -1 counts 2, 3 after that counts 1.
  const std::string body("FFH\x01\x03\x64\x09\x02\x05\x02\x03\x02\x03\x01", 14);
  const std::uint32_t crc = crc32c(0, body.data(), body.size());
  const std::string bytes = h.encode();
  ASSERT_EQ(bytes.size(), 18U);
  EXPECT_EQ(bytes.substr(0, 14), body);
  for (unsigned i = 0; i < 4; ++i) EXPECT_EQ(static_cast<std::uint8_t>(bytes[14 + i]), (crc >> (8 * i)) & 0xff);
}

TEST(Histogram, RefusesEveryCutAndEveryFlippedBit) {
  Histogram h;
  for (int v = 1; v < 1'000'000; v = v * 3 + 1) h.record(v);
  const std::string bytes = h.encode();
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    const auto cut = Histogram::decode(bytes.substr(0, n));
    ASSERT_FALSE(cut);
    EXPECT_EQ(cut.error().code(), Errc::kCorrupt);
  }
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    ASSERT_FALSE(Histogram::decode(flipped)) << bit;
  }
}

TEST(Histogram, RefusesWhatNoHistogramCounts) {
  const auto decode = [](std::string body) {
    body.insert(0, std::string("FFH\x01", 4));
    const std::uint32_t crc = crc32c(0, body.data(), body.size());
    for (unsigned i = 0; i < 4; ++i) body.push_back(static_cast<char>(crc >> (8 * i)));
    return Histogram::decode(body);
  };
  const auto bytes = [](std::initializer_list<int> values) {
    std::string text;
    for (const int v : values) text.push_back(static_cast<char>(v));
    return text;
  };
  EXPECT_TRUE(decode(bytes({3, 100, 9, 2, 5, 2, 3, 2, 3, 1})));
  EXPECT_FALSE(decode(bytes({2, 100, 9, 2, 5, 2, 3, 2, 3, 1})));        // sub_bits
  EXPECT_FALSE(decode(bytes({3, 7, 9, 2, 5, 2, 3, 2, 3, 1})));          // value_max
  EXPECT_FALSE(decode(bytes({3, 100, 10, 2, 5, 2, 3, 2, 3, 1})));       // sum
  EXPECT_FALSE(decode(bytes({3, 100, 9, 3, 5, 2, 3, 2, 3, 1})));        // min
  EXPECT_FALSE(decode(bytes({3, 100, 9, 2, 6, 2, 3, 2, 3, 1})));        // max
  EXPECT_FALSE(decode(bytes({3, 100, 9, 2, 5, 3, 3, 2, 3, 1})));        // too few buckets
  EXPECT_FALSE(decode(bytes({3, 100, 4, 2, 2, 1, 3, 2, 3, 1})));        // too many
  EXPECT_FALSE(decode(bytes({3, 100, 9, 2, 5, 2, 3, 2, 0, 1})));        // distance 0
  EXPECT_FALSE(decode(bytes({3, 100, 4, 2, 5, 2, 3, 2, 3, 0})));        // count 0
  EXPECT_FALSE(decode(bytes({3, 100, 9, 2, 5, 2, 3, 2, 127, 1})));      // beyond the last bucket
  EXPECT_FALSE(decode(bytes({3, 100, 0x89, 0, 2, 5, 2, 3, 2, 3, 1})));  // a longer form of 9
  EXPECT_FALSE(decode(bytes({3, 100, 1, 0, 0, 0})));                    // an empty one with a sum
  EXPECT_TRUE(decode(bytes({3, 100, 0, 0, 0, 0})));
}

}  // namespace
}  // namespace ff::metrics
