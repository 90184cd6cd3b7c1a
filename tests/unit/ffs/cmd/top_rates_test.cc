#include "ffs/cmd/top_rates.hpp"

#include <gtest/gtest.h>

namespace ff::ffs {
namespace {

using namespace std::chrono_literals;

void add(StatsReply& reply, const std::string& name, double value, const std::string& target = "1") {
  StatsSeries& series = *reply.add_series();
  series.set_name(name);
  StatsLabel& label = *series.add_labels();
  label.set_name("target");
  label.set_value(target);
  series.set_value(value);
}

void add(StatsReply& reply, const std::string& name, const metrics::Histogram& times, const std::string& label_name,
         const std::string& label_value) {
  StatsSeries& series = *reply.add_series();
  series.set_name(name);
  StatsLabel& label = *series.add_labels();
  label.set_name(label_name);
  label.set_value(label_value);
  series.set_histogram(times.encode());
}

NodeSample sample_of(const StatsReply& reply, runtime::Duration at) {
  auto sample = read_sample(reply, runtime::Time(at));
  EXPECT_TRUE(sample) << sample.error().message();
  return sample ? *sample : NodeSample{};
}

StatsReply counters(std::uint64_t incarnation, double read_bytes, double reads, double update_bytes, double updates) {
  StatsReply reply;
  reply.set_incarnation(incarnation);
  add(reply, "ff_ffs_target_read_bytes_total", read_bytes);
  add(reply, "ff_ffs_target_reads_total", reads);
  add(reply, "ff_ffs_target_update_bytes_total", update_bytes);
  add(reply, "ff_ffs_target_updates_total", updates);
  return reply;
}

TEST(TopRates, AreDifferencesOverTheTimeBetween) {
  const NodeSample before = sample_of(counters(7, 1000, 10, 5000, 4), 10s);
  const NodeSample now = sample_of(counters(7, 9000, 14, 6000, 5), 14s);
  const NodeRates rates = rates_between(before, now);
  EXPECT_DOUBLE_EQ(rates.read_bytes, 2000);  // 8000 in 4 s
  EXPECT_DOUBLE_EQ(rates.write_bytes, 250);  // 1000 in 4 s
  EXPECT_DOUBLE_EQ(rates.operations, 1.25);  // 4 reads and 1 update in 4 s
}

TEST(TopRates, AddUpTheTargetsOfANode) {
  StatsReply reply;
  add(reply, "ff_ffs_target_used_bytes", 100, "1");
  add(reply, "ff_ffs_target_used_bytes", 23, "2");
  add(reply, "ff_ffs_target_capacity_bytes", 1000, "1");
  add(reply, "ff_ffs_target_capacity_bytes", 1000, "2");
  add(reply, "ff_ffs_target_pending_updates", 3, "2");
  add(reply, "ff_ffs_target_resync_left_bytes", 40, "1");
  const NodeSample sample = sample_of(reply, 1s);
  const NodeRates rates = rates_between(sample, sample);
  EXPECT_EQ(rates.used_bytes, 123u);
  EXPECT_EQ(rates.capacity_bytes, 2000u);
  EXPECT_EQ(rates.pending, 3u);
  EXPECT_EQ(rates.resync_left_bytes, 40u);
}

TEST(TopRates, OfANewProcessCountFromZeroAndAreNeverNegative) {
  const NodeSample before = sample_of(counters(7, 1'000'000, 1000, 1'000'000, 1000), 10s);
  const NodeSample now = sample_of(counters(8, 600, 6, 2'000'000, 2), 12s);
  const NodeRates rates = rates_between(before, now);
  EXPECT_DOUBLE_EQ(rates.read_bytes, 300);
  EXPECT_DOUBLE_EQ(rates.operations, 4);
  EXPECT_DOUBLE_EQ(rates.write_bytes, 1'000'000) << "all of it is new, although the counter is above the old one's";
}

TEST(TopRates, OfACounterThatWentBackCountFromZero) {
  const NodeSample before = sample_of(counters(7, 500, 1, 0, 0), 10s);
  const NodeSample now = sample_of(counters(7, 200, 1, 0, 0), 11s);
  EXPECT_DOUBLE_EQ(rates_between(before, now).read_bytes, 200);
}

TEST(TopRates, TimesAreThoseBetweenTheSamples) {
  metrics::Histogram early, late;
  for (int i = 0; i < 1000; ++i) early.record(1'000'000'000);  // long ago, and slow
  late = early;
  for (int i = 0; i < 98; ++i) late.record(50);
  late.record(60);
  late.record(100);
  StatsReply before, now;
  add(before, "ff_ffs_target_read_seconds", early, "target", "1");
  add(now, "ff_ffs_target_read_seconds", late, "target", "1");
  const NodeRates rates = rates_between(sample_of(before, 1s), sample_of(now, 2s));
  EXPECT_EQ(rates.read_times.count(), 100u);
  EXPECT_EQ(rates.read_times.percentile(0.5), 50);
  EXPECT_EQ(rates.read_times.percentile(0.99), 60);
}

TEST(TopRates, MetadataOperationsAreThoseOfOneService) {
  metrics::Histogram twice, often;
  twice.record(1000, 2);
  often.record(1000, 500);
  StatsReply before, now;
  add(now, "rpc_server_latency_seconds", twice, "service", "ff.ffs.Meta");
  add(now, "rpc_server_latency_seconds", often, "service", "ff.ffs.Chunks");
  const NodeRates rates = rates_between(sample_of(before, 1s), sample_of(now, 2s));
  EXPECT_DOUBLE_EQ(rates.meta_operations, 2);
}

TEST(TopRates, TotalsAddRatesAndPutTimesTogether) {
  NodeRates a, b, total;
  a.read_bytes = 10;
  b.read_bytes = 5;
  a.used_bytes = 1;
  b.used_bytes = 2;
  for (int i = 0; i < 99; ++i) a.read_times.record(20);
  b.read_times.record(100);
  add_to(total, a);
  add_to(total, b);
  EXPECT_DOUBLE_EQ(total.read_bytes, 15);
  EXPECT_EQ(total.used_bytes, 3u);
  EXPECT_EQ(total.read_times.count(), 100u);
  EXPECT_EQ(total.read_times.percentile(0.99), 20);
  EXPECT_EQ(total.read_times.percentile(1), 100);
}

TEST(TopRates, RefuseBytesThatAreNoHistogram) {
  StatsReply reply;
  StatsSeries& series = *reply.add_series();
  series.set_name("ff_ffs_target_read_seconds");
  series.set_histogram("rubbish");
  const auto sample = read_sample(reply, runtime::Time(1s));
  ASSERT_FALSE(sample);
  EXPECT_EQ(sample.error().code(), Errc::kCorrupt);
}

}  // namespace
}  // namespace ff::ffs
