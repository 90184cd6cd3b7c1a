// SimWorld: a deterministic simulation of a cluster. Virtual time, one thread, one queue of events; everything that is
// random comes from one seed, so a seed that fails fails again, event by event.
//
//   SimWorld world(seed);
//   NodeId server = world.add_node(), client = world.add_node();
//   world.start(server, serve);                        // Task<Result<>> serve(SimEnv& env);
//   world.start(client, [=](SimEnv& env) -> Task<Result<>> { co_return co_await use(env, server); });
//   world.after(1s, [&] { world.kill(server); });
//   Result<> result = world.run_until([&] { return world.exited(client); }, 60s);
//
// Nodes      A node is a machine: its clock and its disk outlive what runs on it. start() runs `main` as the root task
//            of a new SimEnv; when main returns the process exits (its connections close, its disk keeps its cache).
//            `main` is kept until the node starts another one: a lambda may capture, and restart() runs it again.
// Kill       Destroys every frame of the node as it stands. kPowerCut also decides what of the unsynced disk writes
//            survives; kProcess is kill -9: the disk keeps its cache.
// Calls      Everything may be called from outside run_*(), from at()/after(), and from node code. A kill, restart or
//            start that node code asks for happens when its current step has ended.
// Verdicts   convict() ends the run: run_*() returns it. The world convicts by itself: kExhausted when a budget of
//            steps is used up (a livelock), kTimeout when run_until() does not see its condition in time.
// Determinism  Code under test must not order by addresses, iterate unordered containers, or ask real clocks or
//            randomness. log().hash() of two runs of one seed tells (run_seeds() compares).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "libcommon/net/address.hpp"
#include "libcommon/runtime/task.hpp"
#include "libcommon/runtime/timer.hpp"
#include "libcommon/testing/event_log.hpp"
#include "libcommon/testing/sim_options.hpp"

namespace ff::testing {

class SimEnv;
class SimFabric;
class SimNode;
class SimStorage;

// What runs on a node: anything that, called with its SimEnv&, is a coroutine giving Task<Result<>>: a function, or a
// lambda that is a coroutine itself. Its captures live as long as the node may run it.
class Main {
 public:
  Main() = default;
  template <class F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, Main>)
  Main(F body) : body_(std::make_shared<Body<F>>(std::move(body))) {}  // NOLINT(google-explicit-constructor)
  explicit operator bool() const noexcept { return body_ != nullptr; }
  [[clang::coro_wrapper]] runtime::Task<Result<>> operator()(SimEnv& env) const { return body_->call(env); }

 private:
  struct Callable {
    virtual ~Callable() = default;
    [[clang::coro_wrapper]] virtual runtime::Task<Result<>> call(SimEnv& env) = 0;
  };
  template <class F>
  struct Body final : Callable {
    explicit Body(F f) : body(std::move(f)) {}
    [[clang::coro_wrapper]] runtime::Task<Result<>> call(SimEnv& env) override { return body(env); }
    F body;
  };
  std::shared_ptr<Callable> body_;
};

enum class Kill : std::uint8_t { kPowerCut, kProcess };

class SimWorld {
 public:
  explicit SimWorld(std::uint64_t seed, WorldOptions options = {});
  ~SimWorld();
  SimWorld(const SimWorld&) = delete;
  SimWorld& operator=(const SimWorld&) = delete;

  // Nodes are numbered from 0.
  NodeId add_node(NodeOptions options = {});
  std::vector<NodeId> add_nodes(std::size_t count, NodeOptions options = {});
  std::size_t nodes() const noexcept { return nodes_.size(); }

  // REQUIRES: nothing runs on the node.
  void start(NodeId node, Main main);
  void kill(NodeId node, Kill how = Kill::kPowerCut);  // nothing when nothing runs
  // Runs the node's last main again; kills first what runs.
  void restart(NodeId node, Kill how = Kill::kPowerCut);
  // SIGSTOP and SIGCONT: tasks stand still, the kernel's side of connections lives on.
  void pause(NodeId node);
  void resume(NodeId node);
  bool up(NodeId node) const;
  bool paused(NodeId node) const;
  // Main has returned (since its last start). exit_result(): what it returned; REQUIRES exited().
  bool exited(NodeId node) const;
  const Result<>& exit_result(NodeId node) const;

  void set_clock_drift(NodeId node, std::int64_t ppm);
  void step_wall_clock(NodeId node, runtime::Duration by);

  SimFabric& network() noexcept { return *fabric_; }
  SimStorage& storage(NodeId node);
  // Null when nothing runs there.
  SimEnv* env(NodeId node);
  // All planes of the node, as peers connect to it.
  net::PeerAddress address(NodeId node, std::uint16_t port) const;

  runtime::Time now() const noexcept { return now_; }  // since the world began
  runtime::Duration elapsed() const noexcept { return now_.time_since_epoch(); }
  std::uint64_t seed() const noexcept { return seed_; }
  // For scenarios; the world's own draws come from other streams.
  Rng& rng() noexcept { return rng_; }
  const WorldOptions& options() const noexcept { return options_; }

  // Calls `action` then, from the event queue.
  void at(runtime::Time when, std::function<void()> action);
  void after(runtime::Duration wait, std::function<void()> action) { at(now_ + wait, std::move(action)); }

  Result<> run_until(runtime::Time when);
  Result<> run_for(runtime::Duration time) { return run_until(runtime::saturating_add(now_, time)); }
  // Until nothing will ever happen again; kTimeout when that is not so within `limit`.
  Result<> run_until_idle(runtime::Duration limit = 1h);
  // Until `done` holds (asked after each instant); kTimeout "<what>: ..." after `limit` of virtual time.
  Result<> run_until(const std::function<bool()>& done, runtime::Duration limit, const char* what = "condition");

  // The first call counts.
  void convict(std::string why);
  bool convicted() const noexcept { return verdict_.has_value(); }

  EventLog& log() noexcept { return log_; }
  // Free text from node code or the scenario.
  void note(NodeId node, std::string text) { log_.record(now_, node, std::move(text)); }
  std::uint64_t steps() const noexcept { return steps_; }

 private:
  friend class SimEnv;
  friend class SimFabric;
  friend class SimConnection;
  friend class SimBulk;
  friend class SimNetwork;
  friend class SimListener;
  struct Action;
  // Marks that node code runs, so that its own end waits until it has returned.
  struct Inside {
    explicit Inside(SimWorld& owner) noexcept : world(owner) { ++world.inside_; }
    Inside(const Inside&) = delete;
    ~Inside() { --world.inside_; }
    SimWorld& world;
  };

  SimNode& node(NodeId id) const;
  void event(NodeId id, EventKind kind, std::uint64_t a = 0, std::uint64_t b = 0) { log_.record(now_, id, kind, a, b); }
  // Now, or after the current step of node code.
  void outside(std::function<void()> action);
  void run_deferred();
  void start_now(NodeId node);
  void stop_now(NodeId node, std::optional<Kill> how);  // nullopt: main has returned
  // Everything that can run now has run.
  void settle();
  bool count_step();
  // One instant further, but not beyond `until`. False when there is no event up to then.
  bool advance(runtime::Time until);
  Result<> verdict() const;

  std::uint64_t seed_;
  WorldOptions options_;
  Rng rng_, order_rng_, seeds_rng_;
  runtime::Time now_{};
  std::uint64_t steps_ = 0;
  std::uint64_t instant_steps_ = 0;
  std::optional<Error> verdict_;
  EventLog log_;
  runtime::TimerQueue events_;
  std::vector<std::unique_ptr<Action>> actions_;  // those that have not run yet, unordered
  int inside_ = 0;
  std::vector<std::function<void()>> deferred_;
  std::unique_ptr<SimFabric> fabric_;
  std::vector<std::unique_ptr<SimNode>> nodes_;
};

}  // namespace ff::testing
