// Incast: many servers push at once to one client, whose downlink is the bottleneck. A bystander in the same client
// exchanges small calls with a server that pushes nothing, and shares the queue of the downlink with them.
//
// What to expect, at 1.25 GB/s: without grants a server always has either its push or the answer after it in the queue,
// so half of the kServers * 1 MiB stand there, and a small answer waits behind them for 13 ms. With grants about the
// GrantWindow stands there; its minimum (512 KiB lets one push through at a time) is 0.8 ms, and it grows up to a delay
// of `slack` = 2.5 times what a push alone takes, 2 ms. Goodput stays that of the downlink, less what asking costs
// while the queue is short. The simulated queue is not bounded; a switch's is, so that without grants reality has
// losses and retransmission timers on top.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "libcommon/rpc/client.hpp"
#include "libcommon/rpc/server.hpp"
#include "libcommon/runtime/scope.hpp"
#include "libcommon/testing/sim_env.hpp"
#include "tests/sim/incast.ff.hpp"

namespace ff::sim {
namespace {

using namespace std::chrono_literals;
using runtime::Duration;
using runtime::Task;
using testing::NodeId;
using testing::SimEnv;
using testing::SimWorld;

constexpr std::uint16_t kPort = 7000;
constexpr std::size_t kServers = 32;  // that push; one more answers the bystander
constexpr std::size_t kPieceBytes = 1u << 20;
constexpr std::size_t kFetches = 12;  // of each server, one after the other
constexpr double kDownlink = 1.25e9;  // bytes a second

class PieceSource final : public SourceService {
 public:
  Task<Result<Piece>> fetch(rpc::ServerCall& call, const Piece& request) override {
    if (request.bytes() > piece_.size()) co_return fail(Errc::kInvalidArgument, "fetch: more than there is");
    if (request.bytes() > 0) FF_CO_TRY(co_await call.push_bulk(std::span(piece_).first(request.bytes())));
    co_return request;
  }

 private:
  std::vector<std::byte> piece_ = std::vector<std::byte>(kPieceBytes, std::byte{7});
};

Task<Result<>> serve_pieces(SimEnv& env) {
  PieceSource source;
  rpc::Server server(env);
  FF_CO_TRY(server.add(source));
  FF_CO_TRY(co_await server.listen(net::Address::tcp("", kPort)));
  co_return co_await runtime::sleep(10000h);
}

struct Measured {
  double goodput = 0;                 // bytes a second
  std::vector<Duration> small_calls;  // latencies, sorted
  Duration quantile(double q) const {
    return small_calls.at(static_cast<std::size_t>(q * static_cast<double>(small_calls.size() - 1)));
  }
};

Task<void> fetch_all(rpc::Client& client, std::size_t& left) {
  std::vector<std::byte> into(kPieceBytes);
  Piece request;
  request.set_bytes(kPieceBytes);
  for (std::size_t i = 0; i < kFetches; ++i) {
    std::ranges::fill(into, std::byte{0});
    const auto reply = co_await SourceClient(client).fetch(request, {.timeout = 60s, .bulk_receive = into});
    EXPECT_TRUE(reply) << reply.error().message();
    EXPECT_EQ(std::ranges::count(into, std::byte{7}), static_cast<std::ptrdiff_t>(kPieceBytes));
  }
  --left;
}

Task<void> call_small(rpc::Client& client, const std::size_t& fetching, std::vector<Duration>& took) {
  while (fetching > 0) {
    const auto began = client.env().now();
    const auto reply = co_await SourceClient(client).fetch({}, {.timeout = 60s});
    EXPECT_TRUE(reply) << reply.error().message();
    took.push_back(client.env().now() - began);
    if (!co_await runtime::sleep(200us)) co_return;
  }
}

Task<Result<>> fetch_from_all(SimEnv& env, bool grants, Measured& out) {
  std::vector<std::unique_ptr<rpc::Client>> clients;
  for (NodeId server = 1; server <= kServers + 1; ++server) {
    clients.push_back(
        std::make_unique<rpc::Client>(env, env.world().address(server, kPort), rpc::ClientOptions{.grants = grants}));
    FF_CO_TRY(co_await SourceClient(*clients.back()).fetch({}));  // connected before the clock runs
  }
  const auto began = env.now();
  runtime::Scope scope(co_await runtime::current_context());
  std::size_t fetching = kServers;
  for (std::size_t i = 0; i < kServers; ++i) scope.spawn(fetch_all(*clients[i], fetching));
  scope.spawn(call_small(*clients.back(), fetching, out.small_calls));
  FF_CO_TRY(co_await scope.join());
  out.goodput =
      static_cast<double>(kServers * kFetches * kPieceBytes) / std::chrono::duration<double>(env.now() - began).count();
  std::ranges::sort(out.small_calls);
  for (const auto& client : clients) co_await client->stop();
  co_return {};
}

Measured incast(std::uint64_t seed, bool grants) {
  testing::WorldOptions options;
  options.link.latency = testing::Latency::uniform(10us, 30us);
  SimWorld world(seed, options);
  world.add_nodes(1 + kServers + 1);
  world.network().set_downlink(0, kDownlink);
  for (NodeId server = 1; server <= kServers + 1; ++server) world.start(server, serve_pieces);
  Measured out;
  world.start(0, [&](SimEnv& env) -> Task<Result<>> { co_return co_await fetch_from_all(env, grants, out); });
  const Result<> ended = world.run_until([&] { return world.exited(0); }, 60s, "all fetched");
  EXPECT_TRUE(ended) << ended.error().message();
  if (ended) EXPECT_TRUE(world.exit_result(0)) << world.exit_result(0).error().message();
  return out;
}

TEST(Incast, GrantsKeepTheQueueShortAndTheDownlinkBusy) {
  for (const std::uint64_t seed : {1, 2, 3}) {
    const Measured with = incast(seed, true), without = incast(seed, false);
    const auto text = [](const char* name, const Measured& m) {
      return fmt::format("{}: {:.0f} MB/s, {} small calls, median {} us, p99 {} us", name, m.goodput / 1e6,
                         m.small_calls.size(), m.quantile(0.5) / 1us, m.quantile(0.99) / 1us);
    };
    const std::string figures = text("with", with) + "\n" + text("without", without);
    ::testing::Test::RecordProperty("figures", figures);
    EXPECT_GE(without.quantile(0.5), 10ms) << figures;  // else there was no incast to speak of
    EXPECT_GE(without.quantile(0.5), 4 * with.quantile(0.5)) << figures;
    EXPECT_GE(without.quantile(0.99), 4 * with.quantile(0.99)) << figures;
    EXPECT_GE(with.goodput, 0.9 * without.goodput) << figures;
    EXPECT_LE(without.goodput, kDownlink) << figures;
  }
}

}  // namespace
}  // namespace ff::sim
