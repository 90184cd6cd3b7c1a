#include "libcommon/testing/fault_plan.hpp"

#include <algorithm>
#include <cmath>

#include "libcommon/base/assert.hpp"
#include "libcommon/testing/sim_disk.hpp"
#include "libcommon/testing/sim_network.hpp"

namespace ff::testing {

using runtime::Duration;

namespace {
constexpr double kSlow = 100;
constexpr double kDiskErrors = 0.05;
}  // namespace

FaultPlan::FaultPlan(SimWorld& world, FaultPlanOptions options)
    : world_(world), options_(std::move(options)), rng_(world.rng().next()), heal_at_(world.now() + options_.heal_at) {
  if (options_.nodes.empty()) {
    for (NodeId id = 0; id < world.nodes(); ++id) options_.nodes.push_back(id);
  }
  FF_ASSERT(!options_.nodes.empty());
  if (options_.drift_ppm_max > 0) {
    const auto width = static_cast<std::uint64_t>(2 * options_.drift_ppm_max + 1);
    for (const NodeId id : options_.nodes) {
      world.set_clock_drift(id, static_cast<std::int64_t>(rng_.below(width)) - options_.drift_ppm_max);
    }
  }
  schedule(options_.kill, &FaultPlan::strike_kill);
  schedule(options_.pause, &FaultPlan::strike_pause);
  schedule(options_.partition, &FaultPlan::strike_partition);
  schedule(options_.cut_one_way, &FaultPlan::strike_one_way);
  schedule(options_.reset, &FaultPlan::strike_reset);
  schedule(options_.slow_link, &FaultPlan::strike_slow_link);
  schedule(options_.slow_disk, &FaultPlan::strike_slow_disk);
  schedule(options_.disk_errors, &FaultPlan::strike_disk_errors);
  schedule(options_.clock_step, &FaultPlan::strike_clock);
  world.at(heal_at_, [this] { heal(); });
}

Duration FaultPlan::exponential(Duration mean) {
  const double factor = -std::log(1.0 - rng_.uniform());
  return Duration(static_cast<std::int64_t>(static_cast<double>(mean.count()) * factor) + 1);
}

void FaultPlan::schedule(Duration mean, Strike strike) {
  if (mean <= Duration(0)) return;
  world_.after(exponential(mean), [this, mean, strike] {
    if (healed_) return;
    (this->*strike)();
    schedule(mean, strike);
  });
}

NodeId FaultPlan::pick() { return options_.nodes[rng_.below(options_.nodes.size())]; }

std::pair<NodeId, NodeId> FaultPlan::pick_pair() {
  const NodeId a = pick();
  const auto other = static_cast<NodeId>(rng_.below(world_.nodes()));
  return {a, other};
}

void FaultPlan::repair_later(std::function<void()> repair) {
  ++faults_;
  world_.after(exponential(options_.lasting), [this, repair = std::move(repair)] {
    if (!healed_) repair();
  });
}

void FaultPlan::strike_kill() {
  const NodeId id = pick();
  if (down_.size() >= options_.down_max || !world_.up(id) || std::ranges::find(down_, id) != down_.end()) return;
  down_.push_back(id);
  world_.kill(id, rng_.below(2) == 0 ? Kill::kPowerCut : Kill::kProcess);
  repair_later([this, id] {
    std::erase(down_, id);
    world_.restart(id, Kill::kProcess);  // the disk is as the kill left it
  });
}

void FaultPlan::strike_pause() {
  const NodeId id = pick();
  if (down_.size() >= options_.down_max || !world_.up(id) || std::ranges::find(down_, id) != down_.end()) return;
  down_.push_back(id);
  world_.pause(id);
  repair_later([this, id] {
    std::erase(down_, id);
    world_.resume(id);
  });
}

void FaultPlan::strike_partition() {
  std::vector<NodeId> island;
  for (const NodeId id : options_.nodes) {
    if (rng_.below(2) == 0) island.push_back(id);
  }
  world_.network().isolate(island);
  repair_later([this] { world_.network().heal_all(); });
}

void FaultPlan::strike_one_way() {
  const auto [a, b] = pick_pair();
  if (rng_.below(2) == 0) {
    world_.network().cut_one_way(a, b);
  } else {
    world_.network().cut_one_way(b, a);
  }
  repair_later([this, a, b] { world_.network().heal(a, b); });
}

void FaultPlan::strike_reset() {
  const auto [a, b] = pick_pair();
  ++faults_;
  world_.network().reset_connections(a, b);
}

void FaultPlan::strike_slow_link() {
  const auto [a, b] = pick_pair();
  const Latency normal = world_.options().link.latency;
  world_.network().model(a, b).latency = normal.times(kSlow);
  repair_later([this, a, b, normal] { world_.network().model(a, b).latency = normal; });
}

void FaultPlan::strike_slow_disk() {
  const NodeId id = pick();
  world_.storage(id).slow(kSlow);
  repair_later([this, id] { world_.storage(id).slow(1); });
}

void FaultPlan::strike_disk_errors() {
  DiskModel& model = world_.storage(pick()).model();
  model.read_error = model.write_error = model.sync_error = kDiskErrors;
  repair_later([this, &model] {
    const DiskModel& normal = world_.options().disk;
    model.read_error = normal.read_error;
    model.write_error = normal.write_error;
    model.sync_error = normal.sync_error;
  });
}

void FaultPlan::strike_clock() {
  ++faults_;
  constexpr std::int64_t kHourNs = 3'600'000'000'000;
  world_.step_wall_clock(pick(), Duration(static_cast<std::int64_t>(rng_.below(2 * kHourNs + 1)) - kHourNs));
}

void FaultPlan::heal() {
  healed_ = true;
  world_.note(kNoNode, "everything is healed");
  const WorldOptions& normal = world_.options();
  world_.network().heal_all();
  for (NodeId a = 0; a < world_.nodes(); ++a) {
    for (NodeId b = 0; b < world_.nodes(); ++b) world_.network().model(a, b).latency = normal.link.latency;
  }
  for (const NodeId id : options_.nodes) {
    DiskModel& model = world_.storage(id).model();
    model.read_error = normal.disk.read_error;
    model.write_error = normal.disk.write_error;
    model.sync_error = normal.disk.sync_error;
    world_.storage(id).slow(1);
    if (options_.drift_ppm_max > 0) world_.set_clock_drift(id, 0);
    world_.resume(id);
  }
  for (const NodeId id : down_) {
    if (!world_.up(id)) world_.restart(id, Kill::kProcess);
  }
  down_.clear();
}

}  // namespace ff::testing
