#include <fmt/core.h>

#include "libcommon/testing/fault_plan.hpp"
#include "tests/sim/toy_rpc.hpp"
#include "tests/sim/toys.hpp"

namespace ff::sim {

namespace {

constexpr int kClients = 3;
constexpr int kIncrements = 4;

class Register final : public Service {
 public:
  explicit Register(std::int64_t& value) noexcept : value_(value) {}
  Task<Result<std::string>> answer(std::string request) override {
    const Words words = split(request);
    if (words.verb == "put") value_ = words.a;
    if (words.verb == "cas") {
      if (value_ != words.a) co_return "no";
      value_ = words.b;
    }
    co_return words.verb == "get" ? fmt::format("is {}", value_) : "yes";
  }

 private:
  std::int64_t& value_;
};

struct Tally {
  std::int64_t value = 0;  // the server's; its node does not die here
  std::int64_t certain = 0, unknown = 0;
};

Task<Result<>> increment(SimEnv& env, Tally& tally, bool broken) {
  Client server(env, 0);
  for (int done = 0; done < kIncrements;) {
    const auto got = co_await server.call("get");
    if (!got) continue;
    const std::int64_t value = split(*got).a;
    const auto set =
        co_await server.call(broken ? fmt::format("put {}", value + 1) : fmt::format("cas {} {}", value, value + 1));
    if (!set) {
      ++tally.unknown;
    } else if (*set == "yes") {
      ++tally.certain;
      ++done;
    }
  }
  co_return {};
}

}  // namespace

Result<> register_scenario(SimWorld& world, bool broken) {
  Tally tally;
  world.add_nodes(1 + kClients);
  world.start(0, [&tally](SimEnv& env) -> Task<Result<>> {
    Register service(tally.value);
    co_return co_await serve(env, service);
  });
  for (NodeId id = 1; id <= kClients; ++id) {
    world.start(id,
                [&tally, broken](SimEnv& env) -> Task<Result<>> { co_return co_await increment(env, tally, broken); });
  }
  testing::FaultPlan faults(world, {.reset = 1ms, .slow_link = 2ms, .lasting = 1ms, .heal_at = 20ms});
  FF_TRY(world.run_until([&] { return world.exited(1) && world.exited(2) && world.exited(3); }, 60s, "all increments"));
  if (tally.value >= tally.certain && tally.value <= tally.certain + tally.unknown) return {};
  return fail(Errc::kInternal,
              fmt::format("lost update: the counter is {} after {} increments and {} of unknown outcome", tally.value,
                          tally.certain, tally.unknown));
}

}  // namespace ff::sim
