#include "tests/sim/quorum_register.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "libcommon/testing/linearizability.hpp"
#include "tests/sim/toy_rpc.hpp"

namespace ff::sim {

namespace {

struct Stamped {
  std::int64_t stamp = 0;  // counter * 256 + node
  std::int64_t value = 0;  // 0: never written
};

// The copy of one node, in two slots on its disk so that a torn write cannot take both.
class Replica final : public Service {
 public:
  explicit Replica(SimEnv& env) noexcept : env_(env) {}

  Task<Result<>> recover() {
    FF_CO_TRY_ASSIGN(file_, co_await env_.disk().open("register", {.write = true, .create = true}));
    FF_CO_TRY(co_await env_.disk().sync_folder(""));
    for (std::uint64_t slot = 0; slot < 2; ++slot) {
      std::array<std::int64_t, 3> raw{};
      FF_CO_TRY(co_await file_->read(slot * kSlotBytes, std::as_writable_bytes(std::span(raw))));
      if (raw[2] == (raw[0] ^ raw[1]) && raw[0] > now_.stamp) {
        now_ = {raw[0], raw[1]};
        next_slot_ = 1 - slot;
      }
    }
    co_return {};
  }

  Task<Result<std::string>> answer(std::string request) override {
    const Words words = split(request);
    if (words.verb == "store") {
      FF_CO_TRY_ASSIGN(const auto turn, co_await writing_.lock());
      if (words.a > now_.stamp) {
        const std::array raw{words.a, words.b, words.a ^ words.b};
        FF_CO_TRY(co_await file_->write(next_slot_ * kSlotBytes, std::as_bytes(std::span(raw))));
        FF_CO_TRY(co_await file_->sync());
        next_slot_ = 1 - next_slot_;
        now_ = {words.a, words.b};
      }
    }
    co_return fmt::format("is {} {}", now_.stamp, now_.value);
  }

 private:
  static constexpr std::uint64_t kSlotBytes = 4096;
  SimEnv& env_;
  std::unique_ptr<runtime::File> file_;
  Stamped now_;
  std::uint64_t next_slot_ = 0;
  runtime::Mutex writing_;
};

// The client of one node.
class Quorum {
 public:
  Quorum(SimEnv& env, NodeId nodes) {
    for (NodeId id = 0; id < nodes; ++id) replicas_.push_back(std::make_unique<Client>(env, id));
  }

  // The newest of a majority's copies; kUnavailable without one.
  Task<Result<Stamped>> newest() { co_return co_await ask("get"); }
  Task<Result<Stamped>> store(Stamped copy) {
    co_return co_await ask(fmt::format("store {} {}", copy.stamp, copy.value));
  }

 private:
  Task<Result<Stamped>> ask(std::string request) {
    std::vector<Task<Result<std::string>>> calls;
    for (auto& replica : replicas_) calls.push_back(replica->call(request, 50ms));
    const auto replies = co_await runtime::when_all(std::move(calls));
    std::size_t count = 0;
    Stamped out;
    for (const auto& reply : replies) {
      if (!reply) continue;
      ++count;
      const Words words = split(*reply);
      if (words.a > out.stamp) out = {words.a, words.b};
    }
    if (count * 2 <= replicas_.size()) co_return fail(Errc::kUnavailable, "no majority");
    co_return out;
  }
  std::vector<std::unique_ptr<Client>> replicas_;
};

struct Shared {
  testing::RegisterHistory history;
  std::vector<int> done;        // operations of each node
  std::int64_t next_value = 1;  // so that values are unique
};

std::string text(std::int64_t value) { return std::to_string(value); }

Task<Result<>> read_once(SimEnv& env, Shared& shared, Quorum& quorum, bool write_back) {
  SimWorld& world = env.world();
  const auto id = shared.history.begin({.client = env.node(), .key = "r"}, world.now());
  const auto newest = co_await quorum.newest();
  const bool stored = newest && (!write_back || (co_await quorum.store(*newest)).has_value());
  if (stored) {
    shared.history.end_read(id, newest->value == 0 ? testing::RegisterValue() : text(newest->value), world.now());
  }
  co_return {};
}

Task<Result<>> write_once(SimEnv& env, Shared& shared, Quorum& quorum) {
  SimWorld& world = env.world();
  const std::int64_t value = shared.next_value++;
  const auto id = shared.history.begin(
      {.kind = testing::RegisterOpKind::kWrite, .client = env.node(), .key = "r", .value = text(value)}, world.now());
  const auto newest = co_await quorum.newest();
  if (!newest) {
    shared.history.drop(id);  // nothing was stored anywhere
    co_return {};
  }
  const std::int64_t stamp = (newest->stamp / 256 + 1) * 256 + env.node();
  if (co_await quorum.store({stamp, value})) shared.history.end_write(id, world.now());
  co_return {};
}

Task<Result<>> operate(SimEnv& env, Shared& shared, const QuorumOptions& options) {
  Quorum quorum(env, options.nodes);
  while (shared.done[env.node()] < options.operations) {
    FF_CO_TRY(co_await runtime::sleep(Duration(static_cast<std::int64_t>(env.rng().below(100'000'000)))));
    if (env.rng().below(2) == 0) {
      FF_CO_TRY(co_await read_once(env, shared, quorum, options.write_back));
    } else {
      FF_CO_TRY(co_await write_once(env, shared, quorum));
    }
    ++shared.done[env.node()];
  }
  co_return co_await runtime::sleep(Duration::max());  // a Client outlives its connections' last events
}

}  // namespace

Result<> quorum_scenario(SimWorld& world, const QuorumOptions& options) {
  Shared shared;
  shared.done.assign(options.nodes, 0);
  world.add_nodes(options.nodes);
  for (NodeId id = 0; id < options.nodes; ++id) {
    world.start(id, [&shared, &options](SimEnv& env) -> Task<Result<>> {
      Replica replica(env);
      FF_CO_TRY(co_await replica.recover());
      Scope scope(co_await runtime::current_context());
      scope.spawn(serve(env, replica));
      scope.spawn(operate(env, shared, options));
      co_return co_await scope.join();
    });
  }
  testing::FaultPlan faults(world, options.faults);
  FF_TRY(world.run_until(faults.healed_at()));
  FF_TRY(
      world.run_until([&] { return std::ranges::all_of(shared.done, [&](int n) { return n >= options.operations; }); },
                      120s, "all operations"));
  return testing::check_linearizable(shared.history.operations());
}

}  // namespace ff::sim
