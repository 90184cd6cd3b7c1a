#include <fmt/core.h>

#include <algorithm>

#include "libcommon/testing/fault_plan.hpp"
#include "tests/sim/toy_rpc.hpp"
#include "tests/sim/toys.hpp"

namespace ff::sim {

namespace {

constexpr Duration kLease = 50ms;
constexpr int kIncrements = 3;
constexpr NodeId kLockNode = 0, kStoreNode = 1, kFirstClient = 2;
constexpr NodeId kClients = 2;

class LockService final : public Service {
 public:
  explicit LockService(SimEnv& env) noexcept : env_(env) {}
  Task<Result<std::string>> answer(std::string request) override {
    const Words words = split(request);
    if (words.verb == "release") {
      if (words.a == token_) lease_end_ = {};
      co_return "released";
    }
    if (env_.now() < lease_end_) co_return "busy";
    lease_end_ = env_.now() + kLease;
    co_return fmt::format("granted {}", ++token_);
  }

 private:
  SimEnv& env_;
  std::int64_t token_ = 0;
  runtime::Time lease_end_{};
};

struct Tally {
  std::int64_t value = 0;
  std::int64_t certain = 0, unknown = 0;
};

class Store final : public Service {
 public:
  Store(Tally& tally, bool broken) noexcept : tally_(tally), broken_(broken) {}
  Task<Result<std::string>> answer(std::string request) override {
    const Words words = split(request);  // "read TOKEN", "write TOKEN VALUE"
    if (!broken_ && words.a < newest_token_) co_return "stale";
    newest_token_ = std::max(newest_token_, words.a);
    if (words.verb == "write") tally_.value = words.b;
    co_return fmt::format("is {}", tally_.value);
  }

 private:
  Tally& tally_;
  bool broken_;
  std::int64_t newest_token_ = 0;
};

Task<Result<>> increment(SimEnv& env, Tally& tally) {
  Client lock(env, kLockNode), store(env, kStoreNode);
  for (int done = 0; done < kIncrements;) {
    const auto granted = co_await lock.call("acquire");
    if (!granted || *granted == "busy") {
      FF_CO_TRY(co_await runtime::sleep(10ms));
      continue;
    }
    const std::int64_t token = split(*granted).a;
    const auto read = co_await store.call(fmt::format("read {}", token));
    FF_CO_TRY(co_await runtime::sleep(5ms));  // the work for which the lock was taken
    if (read && *read != "stale") {
      const auto written = co_await store.call(fmt::format("write {} {}", token, split(*read).a + 1));
      if (!written) {
        ++tally.unknown;
      } else if (*written != "stale") {
        ++tally.certain;
        ++done;
      }
    }
    (void)co_await lock.call(fmt::format("release {}", token));
  }
  co_return {};
}

}  // namespace

Result<> lock_scenario(SimWorld& world, bool broken) {
  Tally tally;
  world.add_nodes(kFirstClient + kClients);
  world.start(kLockNode, [](SimEnv& env) -> Task<Result<>> {
    LockService service(env);
    co_return co_await serve(env, service);
  });
  world.start(kStoreNode, [&tally, broken](SimEnv& env) -> Task<Result<>> {
    Store service(tally, broken);
    co_return co_await serve(env, service);
  });
  for (NodeId id = kFirstClient; id < kFirstClient + kClients; ++id) {
    world.start(id, [&tally](SimEnv& env) -> Task<Result<>> { co_return co_await increment(env, tally); });
  }
  testing::FaultPlan faults(world, {.pause = 30ms, .reset = 50ms, .lasting = 60ms, .heal_at = 300ms, .nodes = {2, 3}});
  FF_TRY(world.run_until([&] { return world.exited(2) && world.exited(3); }, 60s, "all increments"));
  if (tally.value >= tally.certain && tally.value <= tally.certain + tally.unknown) return {};
  return fail(Errc::kInternal,
              fmt::format("two held the lock: the counter is {} after {} increments and {} of unknown outcome",
                          tally.value, tally.certain, tally.unknown));
}

}  // namespace ff::sim
