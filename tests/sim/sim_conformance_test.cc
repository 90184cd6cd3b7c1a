// The contract of net::Connection (tests/support/connection_conformance.hpp) on the simulated network: what a service
// may rely on over TCP it finds in the simulation as well. Links of several qualities, several seeds of each.
#include <fmt/core.h>

#include "libcommon/runtime/sync.hpp"
#include "libcommon/testing/sim_env.hpp"
#include "tests/support/connection_conformance.hpp"

namespace ff::testing {
namespace {

using runtime::Task;

class SimNetworkWorld final : public ConnectionWorld {
 public:
  SimNetworkWorld(std::uint64_t seed, const WorldOptions& options) : world_(seed, options) {
    server_ = world_.add_node({.role = "server", .node_id = 7});
    client_ = world_.add_node({.role = "client", .node_id = 9});
  }

  net::Network& server() override { return world_.env(server_)->network(); }
  net::Network& client() override { return world_.env(client_)->network(); }
  net::Address listen_at() override { return net::Address::tcp("", 0); }
  net::Address nobody() override { return net::Address::tcp(SimFabric::host(server_, 0), 1); }

  // The body is a task of the client's; the server's process only lives until the body has ended.
  void run(Task<void> body) override {
    runtime::Event over;
    world_.start(server_, [&over](SimEnv&) -> Task<Result<>> { co_return co_await over.wait(); });
    world_.start(client_, [this, &over, body = std::move(body)](SimEnv&) mutable -> Task<Result<>> {
      co_await std::move(body);
      co_await client().stop();
      co_await server().stop();
      over.set();
      co_return {};
    });
    const Result<> ended = world_.run_until([&] { return world_.exited(client_) && world_.exited(server_); }, 1h);
    EXPECT_TRUE(ended) << ended.error().message();
  }

 private:
  SimWorld world_;
  NodeId server_ = 0, client_ = 0;
};

std::vector<NamedWorld> worlds() {
  WorldOptions slow, lossy, planes;
  slow.link.bytes_per_second = 200e6;
  lossy.link.loss = 0.001;
  lossy.link.latency = Latency::uniform(10us, 2ms);
  planes.network.planes = 2;
  planes.random_order = false;
  std::vector<NamedWorld> all;
  for (const auto& [name, options] : {std::pair("plain", WorldOptions()), std::pair("slow", slow),
                                      std::pair("lossy", lossy), std::pair("planes", planes)}) {
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
      all.push_back({fmt::format("{}{}", name, seed),
                     [seed, options] { return std::make_unique<SimNetworkWorld>(seed, options); }});
    }
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Sim, ConnectionConformance, ::testing::ValuesIn(worlds()), world_name);

}  // namespace
}  // namespace ff::testing
