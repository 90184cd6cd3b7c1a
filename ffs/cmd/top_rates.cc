#include "ffs/cmd/top_rates.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "libcommon/base/result.hpp"

namespace ff::ffs {

namespace {

constexpr const char* kReadBytes = "ff_ffs_target_read_bytes_total";
constexpr const char* kUpdateBytes = "ff_ffs_target_update_bytes_total";
constexpr const char* kReads = "ff_ffs_target_reads_total";
constexpr const char* kUpdates = "ff_ffs_target_updates_total";
constexpr const char* kHedged = "ff_ffs_target_hedged_reads_total";
constexpr const char* kResyncSent = "ff_ffs_target_resync_sent_bytes_total";
constexpr const char* kResyncReceived = "ff_ffs_target_resync_received_bytes_total";
constexpr const char* kResyncLeft = "ff_ffs_target_resync_left_bytes";
constexpr const char* kUsed = "ff_ffs_target_used_bytes";
constexpr const char* kCapacity = "ff_ffs_target_capacity_bytes";
constexpr const char* kPending = "ff_ffs_target_pending_updates";
constexpr const char* kReadTime = "ff_ffs_target_read_seconds";
constexpr const char* kUpdateTime = "ff_ffs_target_update_seconds";
constexpr const char* kServerTime = "rpc_server_latency_seconds";
constexpr const char* kMetaService = "ff.ffs.Meta";

constexpr std::array kFamilies = {kReadBytes,
                                  kUpdateBytes,
                                  kReads,
                                  kUpdates,
                                  kHedged,
                                  kResyncSent,
                                  kResyncReceived,
                                  kResyncLeft,
                                  kUsed,
                                  kCapacity,
                                  kPending,
                                  kReadTime,
                                  kUpdateTime,
                                  kServerTime,
                                  "ff_ffs_target_trouble",
                                  "ff_ffs_node_lease_left_seconds"};

// Every service of a node has the family of server times; metadata operations are those of one.
bool counts(const StatsSeries& series) {
  if (series.name() != kServerTime) return true;
  return std::ranges::any_of(series.labels(), [](const StatsLabel& label) {
    return label.name() == "service" && label.value() == kMetaService;
  });
}

std::uint64_t whole(double value) { return value <= 0 ? 0 : static_cast<std::uint64_t>(value); }

}  // namespace

StatsRequest top_request() {
  StatsRequest request;
  for (const char* const family : kFamilies) request.add_families(family);
  return request;
}

double NodeSample::value(std::string_view family) const {
  const auto found = values.find(family);
  return found == values.end() ? 0 : found->second;
}

Result<NodeSample> read_sample(const StatsReply& reply, runtime::Time at) {
  NodeSample sample{.at = at, .incarnation = reply.incarnation(), .values = {}, .histograms = {}};
  for (const StatsSeries& series : reply.series()) {
    if (!counts(series)) continue;
    if (series.histogram().empty()) {
      sample.values[series.name()] += series.value();
      continue;
    }
    FF_TRY_ASSIGN(metrics::Histogram one, metrics::Histogram::decode(series.histogram()));
    const auto [found, fresh] = sample.histograms.try_emplace(series.name(), one);
    if (fresh) continue;
    if (const Result<> merged = found->second.merge(one); !merged)
      return fail(Errc::kCorrupt, fmt::format("{}: {}", series.name(), merged.error().message()));
  }
  return sample;
}

NodeRates rates_between(const NodeSample& before, const NodeSample& now) {
  const bool same = before.incarnation == now.incarnation;
  const double seconds = std::max(std::chrono::duration<double>(now.at - before.at).count(), 1e-6);
  const auto rate = [&](const char* family) {
    const double is = now.value(family), was = same ? before.value(family) : 0;
    return (is >= was ? is - was : is) / seconds;
  };
  const auto times = [&](const char* family) {
    const auto is = now.histograms.find(family);
    if (is == now.histograms.end()) return metrics::Histogram();
    const auto was = before.histograms.find(family);
    if (!same || was == before.histograms.end()) return is->second;
    const auto since = is->second.since(was->second);
    return since ? *since : is->second;
  };
  NodeRates out;
  out.read_bytes = rate(kReadBytes);
  out.write_bytes = rate(kUpdateBytes);
  out.resync_bytes = rate(kResyncSent) + rate(kResyncReceived);
  out.operations = rate(kReads) + rate(kUpdates);
  out.hedged_reads = rate(kHedged);
  out.read_times = times(kReadTime);
  out.update_times = times(kUpdateTime);
  out.meta_times = times(kServerTime);
  out.meta_operations = static_cast<double>(out.meta_times.count()) / seconds;
  out.used_bytes = whole(now.value(kUsed));
  out.capacity_bytes = whole(now.value(kCapacity));
  out.pending = whole(now.value(kPending));
  out.resync_left_bytes = whole(now.value(kResyncLeft));
  return out;
}

void add_to(NodeRates& total, const NodeRates& node) {
  total.read_bytes += node.read_bytes;
  total.write_bytes += node.write_bytes;
  total.resync_bytes += node.resync_bytes;
  total.operations += node.operations;
  total.hedged_reads += node.hedged_reads;
  total.meta_operations += node.meta_operations;
  for (const auto& [into, from] : {std::pair{&total.read_times, &node.read_times},
                                   {&total.update_times, &node.update_times},
                                   {&total.meta_times, &node.meta_times}}) {
    // Those of a node of another version may be cut otherwise: they cannot be added, and are left out.
    if (into->count() == 0) {
      *into = *from;
    } else if (from->count() != 0) {
      (void)into->merge(*from);
    }
  }
  total.used_bytes += node.used_bytes;
  total.capacity_bytes += node.capacity_bytes;
  total.pending += node.pending;
  total.resync_left_bytes += node.resync_left_bytes;
}

}  // namespace ff::ffs
