#include "ffs/storage/target_metrics.hpp"

#include <string>

#include "libcommon/metrics/registry.hpp"

namespace ff::ffs {

TargetMetrics target_metrics(metrics::Registry* registry, TargetId target) {
  TargetMetrics out;
  if (registry == nullptr) return out;
  const metrics::Labels labels = {{"target", std::to_string(number(target))}};
  const auto count = [&](metrics::Counter& into, const char* name, metrics::Unit unit, const char* help) {
    if (auto made = registry->counter({.name = name, .unit = unit, .help = help, .labels = labels})) into = *made;
  };
  const auto time = [&](metrics::Recorder& into, const char* name, const char* help) {
    // No quantiles: those of several targets cannot be put together, and buckets can.
    if (auto made = registry->histogram({.name = name, .unit = metrics::Unit::kSeconds, .help = help, .labels = labels},
                                        {.quantiles = false}))
      into = *made;
  };
  using enum metrics::Unit;
  count(out.reads, "ff_ffs_target_reads_total", kNone, "Reads that were answered with data.");
  count(out.read_bytes, "ff_ffs_target_read_bytes_total", kBytes, "Bytes that reads were answered with.");
  count(out.hedged_reads, "ff_ffs_target_hedged_reads_total", kNone,
        "Reads that clients asked of this target because another replica was slow.");
  count(out.updates, "ff_ffs_target_updates_total", kNone,
        "Updates that are on this target's disk: writes, truncates and removals.");
  count(out.update_bytes, "ff_ffs_target_update_bytes_total", kBytes,
        "Bytes of the writes that are on this target's disk, at each replica.");
  count(out.resync_sent_bytes, "ff_ffs_target_resync_sent_bytes_total", kBytes,
        "Content that was sent to the next target to bring it up to date.");
  count(out.resync_received_bytes, "ff_ffs_target_resync_received_bytes_total", kBytes,
        "Content that brought this target up to date.");
  time(out.read_latency, "ff_ffs_target_read_seconds", "One read, without sending what it found.");
  time(out.update_latency, "ff_ffs_target_update_seconds",
       "One request with updates at the chain's head, until every replica has them on disk.");
  time(out.sync_latency, "ff_ffs_target_sync_seconds", "One sync of the disk.");
  return out;
}

}  // namespace ff::ffs
