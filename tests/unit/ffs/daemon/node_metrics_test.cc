#include "ffs/daemon/node_metrics.hpp"

#include <gtest/gtest.h>

#include "ffs/storage/target_metrics.hpp"
#include "libcommon/metrics/text.hpp"

namespace ff::ffs {
namespace {

// The lines of a metrics page, without comments.
std::string page(const metrics::Registry& registry) {
  const std::string text = metrics::to_text(registry.collect());
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at) + 1;
    if (text[at] != '#') out += text.substr(at, end - at);
    at = end;
  }
  return out;
}

TEST(SampledMetrics, AreWhatWasSetLastAndGoWhenTheyAreNotSetAnyMore) {
  metrics::Registry registry;
  SampledMetrics sampled(registry);
  const metrics::MetricInfo one = {.name = "x_one", .help = "One.", .labels = {}};
  const metrics::MetricInfo two = {.name = "x_two_total", .help = "Two.", .labels = {{"of", "a"}}};
  sampled.begin();
  sampled.gauge(one, 1);
  sampled.counter(two, 5);
  sampled.end();
  EXPECT_EQ(page(registry), "x_one 1\nx_two_total{of=\"a\"} 5\n");
  sampled.begin();
  sampled.counter(two, 7);
  sampled.end();
  EXPECT_EQ(page(registry), "x_two_total{of=\"a\"} 7\n");
  sampled.begin();
  sampled.gauge(one, 2.5);
  sampled.end();
  EXPECT_EQ(page(registry), "x_one 2.5\n") << "a series may come back";
}

TEST(SampledMetrics, GoWithTheirOwner) {
  metrics::Registry registry;
  {
    SampledMetrics sampled(registry);
    sampled.begin();
    sampled.gauge({.name = "x_one", .help = "One.", .labels = {}}, 1);
    sampled.end();
  }
  EXPECT_EQ(page(registry), "");
}

ChainInfo chain(std::uint64_t id, std::initializer_list<PublicState> states) {
  ChainInfo out;
  out.set_chain(id);
  for (const PublicState state : states) out.add_members()->set_state(state);
  return out;
}

TEST(NodeMetrics, OfAPrimaryTellChainsByStateAndHowLongNodesAreSilent) {
  Routing routing;
  routing.set_version(12);
  *routing.add_chains() = chain(1, {SERVING, SERVING, SERVING});
  *routing.add_chains() = chain(2, {SERVING, SERVING, SYNCING});
  *routing.add_chains() = chain(3, {SERVING, OFFLINE, OFFLINE});
  *routing.add_chains() = chain(4, {LASTSRV, OFFLINE, OFFLINE});
  NodeInfo& node = *routing.add_nodes();
  node.set_node(3);
  node.set_alive(true);
  node.set_silent_ms(1500);
  metrics::Registry registry;
  SampledMetrics sampled(registry);
  sampled.begin();
  sample_manager(sampled, true, routing);
  sampled.end();
  EXPECT_EQ(page(registry),
            "ff_ffs_chains{state=\"degraded\"} 2\n"
            "ff_ffs_chains{state=\"down\"} 1\n"
            "ff_ffs_chains{state=\"whole\"} 1\n"
            "ff_ffs_manager_heartbeat_age_seconds{node=\"3\"} 1.5\n"
            "ff_ffs_manager_node_alive{node=\"3\"} 1\n"
            "ff_ffs_manager_primary 1\n"
            "ff_ffs_manager_routing_version 12\n");
}

TEST(NodeMetrics, OfAnotherManagerTellThatItIsNotPrimary) {
  metrics::Registry registry;
  SampledMetrics sampled(registry);
  sampled.begin();
  sample_manager(sampled, false, Routing());
  sampled.end();
  EXPECT_EQ(page(registry), "ff_ffs_manager_primary 0\n");
}

TEST(NodeMetrics, TellWhatIsDamagedNow) {
  TargetStatus status;
  status.set_target(17);
  status.set_bad_chunks(5);
  status.set_damaged_chunks(2);
  metrics::Registry registry;
  SampledMetrics sampled(registry);
  sampled.begin();
  sample_target(sampled, status);
  sample_namespace(sampled, 3);
  sampled.end();
  const std::string text = page(registry);
  for (const char* const line : {"ff_ffs_target_bad_chunks{target=\"17\"} 2\n",
                                 "ff_ffs_target_damages_total{target=\"17\"} 5\n", "ff_ffs_meta_bad_records 3\n"})
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
}

TEST(NodeMetrics, OfATargetWhoseStoreDidNotOpenTellTrouble) {
  metrics::Registry registry;
  SampledMetrics sampled(registry);
  sampled.begin();
  sample_closed_target(sampled, TargetId{17});
  sampled.end();
  EXPECT_EQ(page(registry), "ff_ffs_target_serving{target=\"17\"} 0\nff_ffs_target_trouble{target=\"17\"} 1\n");
}

// A name, unit or help that the Registry refuses would silently count nowhere.
TEST(TargetMetrics, AreAllInTheRegistry) {
  metrics::Registry registry;
  const TargetMetrics counts = target_metrics(&registry, TargetId{17});
  for (const metrics::Counter& counter :
       {counts.reads, counts.read_bytes, counts.hedged_reads, counts.updates, counts.update_bytes,
        counts.resync_sent_bytes, counts.resync_received_bytes}) {
    counter.add(3);
    EXPECT_EQ(counter.total(), 3u);
  }
  for (const metrics::Recorder& recorder : {counts.read_latency, counts.update_latency, counts.sync_latency}) {
    recorder.record(std::int64_t{1000});
    EXPECT_EQ(recorder.snapshot().count(), 1u);
  }
  EXPECT_EQ(registry.collect().size(), 10u);
}

TEST(TargetMetrics, WithoutARegistryCountNowhere) {
  const TargetMetrics counts = target_metrics(nullptr, TargetId{17});
  counts.reads.add();
  EXPECT_EQ(counts.reads.total(), 0u);
}

}  // namespace
}  // namespace ff::ffs
