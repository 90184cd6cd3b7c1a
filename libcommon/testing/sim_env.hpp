// SimEnv: the Env of one process in a simulated world, from its start to its end. See sim_world.hpp.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "libcommon/runtime/scope.hpp"
#include "libcommon/testing/sim_clock.hpp"
#include "libcommon/testing/sim_disk.hpp"
#include "libcommon/testing/sim_network.hpp"
#include "libcommon/testing/sim_world.hpp"

namespace ff::testing {

class SimEnv final : public runtime::Env {
 public:
  SimEnv(SimWorld& world, SimNode& node, std::uint64_t id, std::uint64_t seed);
  ~SimEnv() override;

  runtime::Time now() const noexcept override;
  runtime::WallTime wall_now() const noexcept override;
  SimDisk& disk() override { return disk_; }
  SimNetwork& network() override { return network_; }
  bool post(std::function<void()> work) override;
  // At once: other threads are not simulated.
  runtime::Task<Result<>> offload(std::function<void()> work) override;

  SimWorld& world() noexcept { return world_; }
  NodeId node() const noexcept;
  // A line in the world's event log.
  void note(std::string text) { world_.note(node(), std::move(text)); }

 private:
  friend class SimWorld;
  friend class SimConnection;
  friend class SimFabric;
  friend class SimNetwork;
  friend class SimListener;
  friend class SimBulk;
  // Ends the timers' sleep in the world's queue.
  struct Wake final : runtime::Timer {
    explicit Wake(SimEnv& env) : owner(env) {}
    void expired() override;
    SimEnv& owner;
  };

  bool paused() const noexcept;
  void begin(const Main& main);
  bool has_work() const noexcept { return !ready_.empty() || !posts_.empty() || timers_.next() != wake_for_; }
  // Runs what is ready, or less when the world has something to do first.
  void run();
  runtime::Waiter* pick();
  void arm_wake();
  // Timers that came due while paused.
  void resumed();

  SimWorld& world_;
  SimNode& node_;
  SimNetwork network_;
  SimDisk disk_;
  std::deque<std::function<void()>> posts_;
  runtime::Time wake_for_ = runtime::kNever;  // what wake_ is armed for, in the node's time
  bool wake_due_ = false;
  Wake wake_{*this};
  std::optional<Result<>> exit_;
  runtime::Scope root_;  // last: its frames go first
};

// A machine: what outlives its processes.
class SimNode {
 public:
  SimNode(SimWorld& world, NodeId id, NodeOptions node_options, runtime::Time clock_origin, std::uint64_t disk_seed)
      : options(std::move(node_options)), index(id), clock(clock_origin), storage(world, id, disk_seed) {}

  NodeOptions options;
  NodeId index;
  SimClock clock;
  SimStorage storage;
  Main main;
  std::uint64_t starts = 0;
  bool powered = true;  // answers on the network, if only by refusing
  bool paused = false;
  std::optional<Result<>> exit;
  std::unique_ptr<SimEnv> env;
};

}  // namespace ff::testing
