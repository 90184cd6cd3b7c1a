// What a target counts as it works, in the Registry of its process. man 5 ffs-cluster, METRICS, lists all that a daemon
// has.
#pragma once

#include "ffs/format/types.hpp"
#include "libcommon/metrics/sharded.hpp"
#include "libcommon/runtime/env.hpp"

namespace ff::metrics {
class Registry;
}

namespace ff::ffs {

struct TargetMetrics {
  metrics::Counter reads, read_bytes;      // answered with data
  metrics::Counter hedged_reads;           // asked here because another replica was slow
  metrics::Counter updates, update_bytes;  // on this disk, by whatever member of the chain; bytes of writes
  metrics::Counter resync_sent_bytes, resync_received_bytes;
  metrics::Recorder read_latency;    // from asking the store's owner to having the bytes in memory
  metrics::Recorder update_latency;  // as the head: from the request to the answer of the whole chain
  metrics::Recorder sync_latency;    // of the disk
};

// Without a registry, and where it has no room, they count nowhere.
TargetMetrics target_metrics(metrics::Registry* registry, TargetId target);

// Records how long it lived.
class Stopwatch {
 public:
  Stopwatch(const runtime::Env& env, metrics::Recorder into) noexcept : env_(env), into_(into), begun_(env.now()) {}
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;
  ~Stopwatch() { into_.record(env_.now() - begun_); }

 private:
  const runtime::Env& env_;
  const metrics::Recorder into_;
  const runtime::Time begun_;
};

}  // namespace ff::ffs
