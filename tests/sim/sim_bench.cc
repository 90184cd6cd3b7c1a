// How fast the simulator is. Prints one line of JSON; asserts nothing about time.
//
//   messages_per_s   64-byte messages delivered to a handler by two nodes that keep 64 under way, per second of real
//                    time of one core
//   seeds_per_s      worlds of five nodes with the quorum register of this folder under faults (3 s of virtual time of
//                    faults, then until all is done), per second
#include <fmt/core.h>

#include <chrono>
#include <cstdlib>
#include <cstring>

#include "libcommon/testing/seeds.hpp"
#include "tests/sim/quorum_register.hpp"
#include "tests/sim/toy_rpc.hpp"

namespace ff::sim {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Sends each message back.
class Echo final : public net::ConnectionHandler {
 public:
  void on_message(net::Connection& connection, std::span<const std::byte> message) override {
    net::Message back(message.size());
    std::memcpy(back.payload().data(), message.data(), message.size());
    (void)connection.send(std::move(back));
  }
  void on_closed(net::Connection&, const Error&) override {}
};

Task<Result<>> accept_one(SimEnv& env) {
  FF_CO_TRY_ASSIGN(const auto listener, co_await env.network().listen(net::Address::tcp("", kPort)));
  FF_CO_TRY_ASSIGN(const auto connection, co_await listener->accept());
  Echo echo;
  connection->start(echo);
  co_return co_await runtime::sleep(1000h);
}

Task<Result<>> connect_one(SimEnv& env, NodeId server) {
  FF_CO_TRY_ASSIGN(const auto connection, co_await env.network().connect(env.world().address(server, kPort), {}));
  Echo echo;
  connection->start(echo);
  for (int i = 0; i < 64; ++i) FF_CO_TRY(send_text(*connection, std::string(64, 'x')));
  co_return co_await runtime::sleep(1000h);
}

double messages_per_s(std::uint64_t messages) {
  SimWorld world(1);
  world.add_nodes(2);
  world.start(0, accept_one);
  world.start(1, [](SimEnv& env) -> Task<Result<>> { co_return co_await connect_one(env, 0); });
  const auto start = Clock::now();
  (void)world.run_until([&] { return world.network().messages_delivered() >= messages; }, 999h);
  return static_cast<double>(world.network().messages_delivered()) / seconds_since(start);
}

}  // namespace
}  // namespace ff::sim

int main(int argc, char** argv) {
  using namespace std::chrono_literals;
  const std::uint64_t seeds = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 200;
  const std::uint64_t messages = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 2'000'000;
  if (seeds == 0 || messages == 0) {
    fmt::print(stderr, "usage: sim_bench [SEEDS [MESSAGES]]: numbers of at least 1\n");
    return 2;
  }
  const double rate = ff::sim::messages_per_s(messages);
  const ff::sim::QuorumOptions options{
      .nodes = 5,
      .operations = 20,
      .write_back = true,
      .faults = {.kill = 1s, .partition = 1s, .reset = 1s, .lasting = 300ms, .heal_at = 3s}};
  const auto start = ff::sim::Clock::now();
  const auto run = ff::testing::run_seeds(
      "sim_bench", 1, seeds, [&](ff::testing::SimWorld& world) { return ff::sim::quorum_scenario(world, options); });
  const double seconds = ff::sim::seconds_since(start);
  if (!run.ok()) {
    fmt::print(stderr, "{}", run.report);
    return 1;
  }
  fmt::print(
      "{{\"schema\":\"ff.sim_bench.1\",\"messages\":{},\"messages_per_s\":{:.0f},\"seeds\":{},\"seeds_per_s\":{:.1f},"
      "\"events_per_seed\":{:.0f}}}\n",
      messages, rate, run.seeds, static_cast<double>(run.seeds) / seconds,
      static_cast<double>(run.events) / static_cast<double>(run.seeds));
  return 0;
}
