#include "libcommon/testing/sim_env.hpp"

namespace ff::testing {

using runtime::kNever;
using runtime::Task;
using runtime::Time;

namespace {

Task<void> run_main(Task<Result<>> main, std::optional<Result<>>& exit) { exit = co_await std::move(main); }

}  // namespace

SimEnv::SimEnv(SimWorld& world, SimNode& node, std::uint64_t id, std::uint64_t seed)
    : Env(id, seed), world_(world), node_(node), network_(*this, rng().next()), disk_(node.storage), root_(*this) {}

SimEnv::~SimEnv() = default;

Time SimEnv::now() const noexcept { return node_.clock.now(world_.now_); }
runtime::WallTime SimEnv::wall_now() const noexcept { return node_.clock.wall(world_.now_); }
NodeId SimEnv::node() const noexcept { return node_.index; }
bool SimEnv::paused() const noexcept { return node_.paused; }

bool SimEnv::post(std::function<void()> work) {
  posts_.push_back(std::move(work));
  return true;
}

Task<Result<>> SimEnv::offload(std::function<void()> work) {
  work();
  co_return {};
}

void SimEnv::begin(const Main& main) { root_.spawn(run_main(main(*this), exit_)); }

void SimEnv::Wake::expired() {
  owner.wake_for_ = kNever;
  if (owner.paused()) {
    owner.wake_due_ = true;
    return;
  }
  const SimWorld::Inside inside(owner.world_);
  owner.timers_.expire(owner.now());
}

void SimEnv::resumed() {
  if (!std::exchange(wake_due_, false)) return;
  const SimWorld::Inside inside(world_);
  timers_.expire(now());
}

void SimEnv::arm_wake() {
  wake_.disarm();
  wake_for_ = timers_.next();
  if (wake_for_ == kNever) return;
  world_.events_.arm(wake_, std::max(node_.clock.world_of(wake_for_), world_.now_));
}

runtime::Waiter* SimEnv::pick() {
  runtime::Waiter* first = ready_.pop_front();
  if (first == nullptr || !world_.options_.random_order) return first;
  // Any order is possible, for a constant price: whoever comes up runs with probability 3/4, else goes to the back.
  while (!ready_.empty() && world_.order_rng_.below(4) == 0) {
    ready_.push_back(*first);
    first = ready_.pop_front();
  }
  return first;
}

void SimEnv::run() {
  const SimWorld::Inside inside(world_);
  while (!posts_.empty() || !ready_.empty()) {
    if (!world_.count_step()) return;
    if (!posts_.empty()) {
      const auto work = std::move(posts_.front());
      posts_.pop_front();
      work();
    } else {
      pick()->resume();
    }
    if (!world_.deferred_.empty() || exit_ || paused()) break;
  }
  if (timers_.next() != wake_for_) arm_wake();
}

}  // namespace ff::testing
