// What the roles of a node know of themselves, as metrics. man 5 ffs-cluster, METRICS, lists them; `ffs top` reads some
// by name.
#pragma once

#include "ffs/daemon/sampled_metrics.hpp"
#include "ffs/format/types.hpp"
#include "ffs/mgmt/mgmt.pb.h"
#include "ffs/storage/storage.pb.h"
#include "libcommon/runtime/time.hpp"

namespace ff::ffs {

// Of any node. `lease_left` is below zero when it is over.
void sample_node(SampledMetrics& into, const std::string& version, runtime::Duration uptime,
                 runtime::Duration lease_left);
void sample_target(SampledMetrics& into, const TargetStatus& status);
// One whose store did not open.
void sample_closed_target(SampledMetrics& into, TargetId target);
// `bad_records`: that this service's housekeeping has found.
void sample_namespace(SampledMetrics& into, std::size_t bad_records);
// `routing`: the manager's own; only a primary's is looked at.
void sample_manager(SampledMetrics& into, bool primary, const Routing& routing);

}  // namespace ff::ffs
