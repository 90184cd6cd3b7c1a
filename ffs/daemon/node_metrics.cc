#include "ffs/daemon/node_metrics.hpp"

#include <array>

#include "ffs/mgmt/replacement.hpp"

namespace ff::ffs {

namespace {

double seconds(runtime::Duration time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

void sample_node(SampledMetrics& into, const std::string& version, runtime::Duration uptime,
                 runtime::Duration lease_left) {
  using metrics::Unit;
  into.gauge(
      {.name = "ff_ffs_node_info", .help = "Always 1; the version is in the label.", .labels = {{"version", version}}},
      1);
  into.gauge(
      {.name = "ff_ffs_node_uptime_seconds", .unit = Unit::kSeconds, .help = "Since the process began.", .labels = {}},
      seconds(uptime));
  into.gauge({.name = "ff_ffs_node_lease_left_seconds",
              .unit = Unit::kSeconds,
              .help = "For which the node may serve without hearing from the manager; below 0 it answers nothing.",
              .labels = {}},
             seconds(lease_left));
}

void sample_target(SampledMetrics& into, const TargetStatus& status) {
  using metrics::Unit;
  const metrics::Labels labels = {{"target", std::to_string(status.target())}};
  const auto gauge = [&](const char* name, Unit unit, const char* help, std::uint64_t value) {
    into.gauge({.name = name, .unit = unit, .help = help, .labels = labels}, static_cast<double>(value));
  };
  const auto counter = [&](const char* name, Unit unit, const char* help, std::uint64_t value) {
    into.counter({.name = name, .unit = unit, .help = help, .labels = labels}, static_cast<double>(value));
  };
  gauge("ff_ffs_target_serving", Unit::kNone, "1 while the target serves its chain.", status.serving() ? 1 : 0);
  gauge("ff_ffs_target_trouble", Unit::kNone, "1 while something is wrong with the target; ffs target list says what.",
        status.trouble().empty() ? 0 : 1);
  gauge("ff_ffs_target_capacity_bytes", Unit::kBytes, "Most that the target takes of its disk.",
        status.capacity_bytes());
  gauge("ff_ffs_target_used_bytes", Unit::kBytes, "Blocks that hold chunks or pending updates.", status.used_bytes());
  gauge("ff_ffs_target_chunks", Unit::kNone, "Chunks, without those that were removed.", status.chunks());
  gauge("ff_ffs_target_bad_chunks", Unit::kNone, "Chunks whose bytes on this disk fail their check.",
        status.damaged_chunks());
  gauge("ff_ffs_target_pending_updates", Unit::kNone, "Updates that are not known to be committed.",
        status.open_updates());
  gauge("ff_ffs_target_resync_left_bytes", Unit::kBytes, "Until the next target of the chain is up to date.",
        status.sync_left_bytes());
  counter("ff_ffs_target_damages_total", Unit::kNone, "Times that bytes on this disk failed their check.",
          status.bad_chunks());
  counter("ff_ffs_target_repairs_total", Unit::kNone, "Chunks that were taken from another replica.",
          status.repaired_chunks());
  counter("ff_ffs_target_scrub_bytes_total", Unit::kBytes, "Content that the scrubber has read.",
          status.scrubbed_bytes());
  counter("ff_ffs_target_scrub_rounds_total", Unit::kNone, "Times that the scrubber has read everything.",
          status.scrub_rounds());
}

void sample_closed_target(SampledMetrics& into, TargetId target) {
  const metrics::Labels labels = {{"target", std::to_string(number(target))}};
  into.gauge({.name = "ff_ffs_target_serving", .help = "1 while the target serves its chain.", .labels = labels}, 0);
  into.gauge({.name = "ff_ffs_target_trouble",
              .help = "1 while something is wrong with the target; ffs target list says what.",
              .labels = labels},
             1);
}

void sample_namespace(SampledMetrics& into, std::size_t bad_records) {
  into.gauge({.name = "ff_ffs_meta_bad_records",
              .help = "Records that housekeeping passed over because they cannot be read.",
              .labels = {}},
             static_cast<double>(bad_records));
}

void sample_manager(SampledMetrics& into, bool primary, const Routing& routing) {
  using metrics::Unit;
  into.gauge({.name = "ff_ffs_manager_primary", .help = "1 for the manager that decides.", .labels = {}},
             primary ? 1 : 0);
  if (!primary) return;
  // All states, so that a zero is told from an absent series.
  std::array<std::uint64_t, 3> chains{};
  const Replacements replacements(routing);
  for (const ChainInfo& chain : routing.chains()) {
    std::size_t serving = 0;
    for (const ChainMember& member : chain.members()) serving += member.state() == SERVING ? 1 : 0;
    ++chains.at(serving >= replacements.wanted(chain) ? 0 : serving > 0 ? 1 : 2);
  }
  for (const auto& [state, count] : {std::pair{"whole", chains[0]}, {"degraded", chains[1]}, {"down", chains[2]}}) {
    into.gauge({.name = "ff_ffs_chains",
                .help = "Chains by how many of the members wanted serve.",
                .labels = {{"state", state}}},
               static_cast<double>(count));
  }
  for (const NodeInfo& node : routing.nodes()) {
    const metrics::Labels labels = {{"node", std::to_string(node.node())}};
    into.gauge({.name = "ff_ffs_manager_node_alive",
                .help = "1 for a node that the manager counts as alive.",
                .labels = labels},
               node.alive() ? 1 : 0);
    into.gauge({.name = "ff_ffs_manager_heartbeat_age_seconds",
                .unit = Unit::kSeconds,
                .help = "Since the manager last heard of the node: how old its lease is.",
                .labels = labels},
               static_cast<double>(node.silent_ms()) / 1000);
  }
  into.gauge({.name = "ff_ffs_manager_routing_version", .help = "Grows with each change of the cluster.", .labels = {}},
             static_cast<double>(routing.version()));
}

}  // namespace ff::ffs
