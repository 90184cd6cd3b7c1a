#include "libcommon/testing/sim_world.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "libcommon/testing/sim_env.hpp"

namespace ff::testing {

using runtime::Duration;
using runtime::kNever;
using runtime::Time;

struct SimWorld::Action final : runtime::Timer {
  Action(SimWorld& owner, std::function<void()> what) : world(owner), action(std::move(what)) {}
  void expired() override {
    auto& all = world.actions_;
    const auto self = std::find_if(all.begin(), all.end(), [this](const auto& a) { return a.get() == this; });
    const std::unique_ptr<Action> keep = std::move(*self);
    *self = std::move(all.back());
    all.pop_back();
    action();
  }
  SimWorld& world;
  std::function<void()> action;
};

SimWorld::SimWorld(std::uint64_t seed, WorldOptions options)
    : seed_(seed),
      options_(std::move(options)),
      rng_(seed),
      order_rng_(rng_.next()),
      seeds_rng_(rng_.next()),
      log_(options_.log_lines, options_.log_live),
      fabric_(std::make_unique<SimFabric>(*this, seeds_rng_.next())) {
  FF_ASSERT(options_.network.planes >= 1 && options_.network.planes <= net::kPlanesMax, options_.network.planes);
}

SimWorld::~SimWorld() {
  FF_ASSERT(inside_ == 0);
  for (NodeId id = 0; id < nodes_.size(); ++id) stop_now(id, Kill::kProcess);
}

SimNode& SimWorld::node(NodeId id) const {
  FF_ASSERT(id < nodes_.size(), id, nodes_.size());
  return *nodes_[id];
}

NodeId SimWorld::add_node(NodeOptions options) {
  const auto id = static_cast<NodeId>(nodes_.size());
  if (options.node_id == 0) options.node_id = id + 1;
  // Machines have been up for different times: what compares monotonic clocks of two nodes must not happen to work.
  const Time origin =
      Time(std::chrono::hours(1)) + Duration(static_cast<std::int64_t>(seeds_rng_.below(3'600'000'000'000'000)));
  nodes_.push_back(std::make_unique<SimNode>(*this, id, std::move(options), origin, seeds_rng_.next()));
  fabric_->add_node();
  return id;
}

std::vector<NodeId> SimWorld::add_nodes(std::size_t count, NodeOptions options) {
  std::vector<NodeId> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(add_node(options));
  return out;
}

void SimWorld::outside(std::function<void()> action) {
  if (inside_ == 0) {
    action();
  } else {
    deferred_.push_back(std::move(action));
  }
}

void SimWorld::run_deferred() {
  while (inside_ == 0 && !deferred_.empty()) {
    auto actions = std::move(deferred_);
    deferred_.clear();
    for (auto& action : actions) action();
  }
}

void SimWorld::start(NodeId id, Main main) {
  outside([this, id, main = std::move(main)]() mutable {
    FF_ASSERT(!node(id).env, id);
    node(id).main = std::move(main);
    start_now(id);
  });
}

void SimWorld::kill(NodeId id, Kill how) {
  outside([this, id, how] { stop_now(id, how); });
}

void SimWorld::restart(NodeId id, Kill how) {
  outside([this, id, how] {
    stop_now(id, how);
    start_now(id);
  });
}

void SimWorld::start_now(NodeId id) {
  SimNode& n = node(id);
  FF_ASSERT(n.main, id);
  n.powered = true;
  n.paused = false;
  n.exit.reset();
  ++n.starts;
  event(id, "start {}", n.starts);
  // No other Env of this world has this id, and the same seed gives the same one.
  const std::uint64_t env_id = std::uint64_t{1} << 63 | std::uint64_t{id} << 32 | n.starts;
  n.env = std::make_unique<SimEnv>(*this, n, env_id, seeds_rng_.next());
  fabric_->node_started(id);
  n.env->begin(n.main);
}

void SimWorld::stop_now(NodeId id, std::optional<Kill> how) {
  SimNode& n = node(id);
  if (how == Kill::kPowerCut && n.powered) {
    event(id, "power cut");
  } else if (!n.env) {
    return;
  } else if (how) {
    event(id, "killed");
  } else {
    event(id, "exits, ok {}", n.exit && n.exit->has_value());
  }
  if (n.env) {
    fabric_->node_stopped(*n.env, how == Kill::kPowerCut);
    const runtime::KillGuard guard;
    n.env.reset();
  }
  n.paused = false;
  if (how == Kill::kPowerCut && n.powered) {
    n.powered = false;
    n.storage.power_cut();
  }
}

void SimWorld::pause(NodeId id) {
  SimNode& n = node(id);
  if (!n.env || n.paused) return;
  event(id, "paused");
  n.paused = true;
}

void SimWorld::resume(NodeId id) {
  SimNode& n = node(id);
  if (!n.env || !n.paused) return;
  event(id, "resumed");
  n.paused = false;
  n.env->resumed();
  fabric_->node_resumed(id);
}

bool SimWorld::up(NodeId id) const { return node(id).env != nullptr; }
bool SimWorld::paused(NodeId id) const { return node(id).paused; }
bool SimWorld::exited(NodeId id) const { return node(id).exit.has_value(); }
const Result<>& SimWorld::exit_result(NodeId id) const {
  FF_ASSERT(exited(id), id);
  return *node(id).exit;
}

void SimWorld::set_clock_drift(NodeId id, std::int64_t ppm) {
  FF_ASSERT(ppm > -1'000'000 && ppm < 1'000'000, ppm);
  event(id, "clock runs fast by {} ppm (as unsigned)", static_cast<std::uint64_t>(ppm));
  SimNode& n = node(id);
  n.clock.set_drift(now_, ppm);
  if (n.env) n.env->arm_wake();
}

void SimWorld::step_wall_clock(NodeId id, Duration by) {
  event(id, "wall clock steps by {} ns (as unsigned)", static_cast<std::uint64_t>(by.count()));
  node(id).clock.step_wall(by);
}

SimStorage& SimWorld::storage(NodeId id) { return node(id).storage; }
SimEnv* SimWorld::env(NodeId id) { return node(id).env.get(); }

net::PeerAddress SimWorld::address(NodeId id, std::uint16_t port) const {
  net::PeerAddress out;
  for (std::uint32_t p = 0; p < options_.network.planes; ++p) {
    out.planes.push_back(net::Address::tcp(SimFabric::host(id, p), port));
  }
  return out;
}

void SimWorld::at(Time when, std::function<void()> action) {
  actions_.push_back(std::make_unique<Action>(*this, std::move(action)));
  events_.arm(*actions_.back(), std::max(when, now_));
}

void SimWorld::convict(std::string why) {
  if (verdict_) return;
  note(kNoNode, "convicted: " + why);
  verdict_ = Error(Errc::kInternal, std::move(why));
}

bool SimWorld::count_step() {
  ++steps_;
  if (++instant_steps_ <= options_.steps_per_instant_max && steps_ <= options_.steps_max) return true;
  if (!verdict_) {
    const bool livelock = instant_steps_ > options_.steps_per_instant_max;
    verdict_ = Error(Errc::kExhausted,
                     livelock ? fmt::format("livelock: {} steps and time stands still at {} ns", instant_steps_ - 1,
                                            elapsed().count())
                              : fmt::format("budget of {} steps used up (raise WorldOptions::steps_max)", steps_ - 1));
    note(kNoNode, verdict_->message());
  }
  return false;
}

void SimWorld::settle() {
  for (bool again = true; again && !verdict_;) {
    again = false;
    for (NodeId id = 0; id < nodes_.size() && !verdict_; ++id) {
      SimNode& n = *nodes_[id];
      if (!n.env || n.paused || !n.env->has_work()) continue;
      again = true;
      n.env->run();
      run_deferred();
      if (n.env && n.env->exit_) {
        n.exit = std::move(n.env->exit_);
        stop_now(id, std::nullopt);
      }
    }
  }
}

bool SimWorld::advance(Time until) {
  const Time next = events_.next();
  if (next > until || next == kNever) return false;
  if (next > now_) {
    now_ = next;
    instant_steps_ = 0;
  }
  const std::size_t fired = events_.expire(now_);
  steps_ += fired;
  instant_steps_ += fired;
  count_step();
  run_deferred();
  return true;
}

Result<> SimWorld::verdict() const {
  if (verdict_) return std::unexpected(*verdict_);
  return {};
}

Result<> SimWorld::run_until(Time when) {
  settle();
  while (!verdict_ && advance(when)) settle();
  if (!verdict_ && when > now_) {
    now_ = when;
    instant_steps_ = 0;
  }
  return verdict();
}

Result<> SimWorld::run_until_idle(Duration limit) {
  const Time end = runtime::saturating_add(now_, limit);
  settle();
  while (!verdict_ && advance(end)) settle();
  if (!verdict_ && events_.next() != kNever) {
    return fail(Errc::kTimeout, fmt::format("simulation: still busy after {} ms of virtual time", limit / 1ms));
  }
  return verdict();
}

Result<> SimWorld::run_until(const std::function<bool()>& done, Duration limit, const char* what) {
  const Time end = runtime::saturating_add(now_, limit);
  settle();
  while (!verdict_) {
    if (done()) return {};
    if (!advance(end)) {
      const char* how = events_.next() == kNever ? "nothing will happen any more" : "not reached";
      note(kNoNode, fmt::format("{}: {}", what, how));
      return fail(Errc::kTimeout, fmt::format("{}: {} within {} ms of virtual time", what, how, limit / 1ms));
    }
    settle();
  }
  return verdict();
}

}  // namespace ff::testing
