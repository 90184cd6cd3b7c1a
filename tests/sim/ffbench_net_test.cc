// ffbench's network tests against a network whose figures are known, because it is simulated: rates, latencies and what
// incast does to a bystander must come out as they were put in. The agents, the controller and the ff data plane are
// those of the tool; only clocks and wires are not real.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "ffbench/net/agent.hpp"
#include "ffbench/net/controller.hpp"
#include "ffbench/net/mesh.hpp"
#include "libcommon/rpc/server.hpp"
#include "libcommon/runtime/scope.hpp"
#include "libcommon/testing/sim_env.hpp"

namespace ff::bench {
namespace {

using namespace std::chrono_literals;
using runtime::Duration;
using runtime::Task;
using testing::Latency;
using testing::LinkModel;
using testing::NodeId;
using testing::SimEnv;
using testing::SimWorld;

constexpr std::uint16_t kPort = 7471;
// A simulated link carries 66 bytes of headers with each 1448 of ours.
constexpr double kPayload = 1448.0 / (1448 + 66);
constexpr double kFast = kPayload * 1e9, kSlow = kPayload * 2.5e8;

Task<Result<>> serve(SimEnv& env) {
  TrafficHost host;
  host.name = fmt::format("node{}", env.node());
  host.version = "test";
  host.ff_network = [&env](const NetTest&) -> Result<TrafficHost::FfNetwork> {
    return TrafficHost::FfNetwork{std::shared_ptr<net::Network>(std::shared_ptr<void>(), &env.network()), false};
  };
  Agent agent(env, host);
  rpc::Server server(env);
  FF_CO_TRY(server.add(agent));
  FF_CO_TRY(co_await server.listen(net::Address::tcp("", kPort)));
  co_return co_await runtime::sleep(10000h);
}

// Nodes 0 .. agents-1 serve; the last is the controller's.
class Bench {
 public:
  Bench(std::size_t agents, LinkModel link, std::uint64_t seed = 1) : world_(seed, options(link)), agents_(agents) {
    world_.add_nodes(agents + 1);
    for (NodeId node = 0; node < agents; ++node) world_.start(node, serve);
  }
  SimWorld& world() { return world_; }

  // Runs `use` in the controller's process until it returns.
  template <class Use>
  void control(Use use, Duration limit = 10min) {
    const auto node = static_cast<NodeId>(agents_);
    world_.start(node, [&, node](SimEnv& env) -> Task<Result<>> {
      std::vector<AgentPeer> peers;
      for (NodeId agent = 0; agent < node; ++agent) {
        peers.push_back({.name = fmt::format("n{}", agent),
                         .control = world_.address(agent, kPort),
                         .hosts = {testing::SimFabric::host(agent, 0)},
                         .port = kPort});
      }
      Controller controller(env, std::move(peers), 5s);
      Result<> result = co_await use(controller);
      co_await controller.stop();
      co_return result;
    });
    const Result<> ended = world_.run_until([&] { return world_.exited(node); }, limit, "the controller's end");
    ASSERT_TRUE(ended) << ended.error().message();
    result_ = world_.exit_result(node);
  }
  const Result<>& result() const { return result_; }

 private:
  static testing::WorldOptions options(LinkModel link) {
    testing::WorldOptions out;
    out.link = link;
    return out;
  }
  SimWorld world_;
  std::size_t agents_;
  Result<> result_;
};

NetTest bandwidth_test(std::uint64_t bytes, std::uint32_t depth) {
  NetTest test;
  test.set_pattern(NET_BANDWIDTH);
  test.set_transport(NET_FF);
  test.set_message_bytes(bytes);
  test.set_depth(depth);
  test.set_lanes(1);
  return test;
}

NetTest latency_test(std::uint64_t bytes, double rate) {
  NetTest test = bandwidth_test(bytes, 1);
  test.set_pattern(NET_LATENCY);
  test.set_rate(rate);
  return test;
}

LinkModel link_of(Latency latency, double bytes_per_second) {
  LinkModel link;
  link.latency = latency;
  link.bytes_per_second = bytes_per_second;
  return link;
}

TEST(FfbenchNet, MeasuresTheBandwidthThatTheLinkHas) {
  Bench bench(2, link_of(Latency::constant(50us), 1e9));
  bench.control([](Controller& controller) -> Task<Result<>> {
    FF_CO_TRY(co_await controller.describe());
    FF_CO_TRY_ASSIGN(const TestFigures figures,
                     co_await controller.run_test(bandwidth_test(1u << 20, 8), {{0, 1}}, 1, RunTiming::of(1s)));
    EXPECT_NEAR(figures.flows.at(0).bandwidth, kFast, 0.02 * kFast);
    EXPECT_NEAR(figures.flows.at(0).seconds, 1, 1e-9);
    co_return {};
  });
  EXPECT_TRUE(bench.result()) << bench.result().error().message();
}

TEST(FfbenchNet, CountsPushesOverTheEdgesOfTheWindowByTheirShare) {
  // Two pushes of 32 MiB share the link and end together, every 70 ms. Of 100 ms whole ones would make either 0.7
  // or 1.4 times what the link has.
  Bench bench(2, link_of(Latency::constant(50us), 1e9));
  bench.control([](Controller& controller) -> Task<Result<>> {
    for (const Duration window : {90ms, 100ms, 130ms}) {
      FF_CO_TRY_ASSIGN(const TestFigures figures,
                       co_await controller.run_test(bandwidth_test(32u << 20, 2), {{0, 1}}, 1, RunTiming::of(window)));
      EXPECT_NEAR(figures.flows.at(0).bandwidth, kFast, 0.05 * kFast) << window.count();
      EXPECT_GE(figures.flows.at(0).messages, 2u);
    }
    co_return {};
  });
  EXPECT_TRUE(bench.result()) << bench.result().error().message();
}

TEST(FfbenchNet, CountsMessagesInsteadOfTimeWhenAsked) {
  // 200 MiB take 0.22 s, and the last push's way there and back 0.1 ms.
  Bench bench(2, link_of(Latency::constant(50us), 1e9));
  bench.control([](Controller& controller) -> Task<Result<>> {
    NetTest test = bandwidth_test(1u << 20, 4);
    test.set_iterations(200);
    FF_CO_TRY_ASSIGN(const TestFigures figures, co_await controller.run_test(test, {{0, 1}}, 1, RunTiming::of(1s)));
    EXPECT_EQ(figures.flows.at(0).bytes, 200u << 20);
    EXPECT_NEAR(figures.flows.at(0).bandwidth, kFast, 0.02 * kFast);
    co_return {};
  });
  EXPECT_TRUE(bench.result()) << bench.result().error().message();
}

TEST(FfbenchNet, BothDirectionsHaveABandwidthEach) {
  Bench bench(2, link_of(Latency::constant(50us), 1e9));
  bench.control([](Controller& controller) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(
        const TestFigures figures,
        co_await controller.run_test(bandwidth_test(256u << 10, 8), {{0, 1}, {1, 0, false}}, 2, RunTiming::of(1s)));
    EXPECT_NEAR(figures.flows.at(0).bandwidth, kFast, 0.02 * kFast);
    EXPECT_NEAR(figures.flows.at(1).bandwidth, kFast, 0.02 * kFast);
    co_return {};
  });
  EXPECT_TRUE(bench.result()) << bench.result().error().message();
}

// The histogram knows a value to 1 part in 64.
void expect_quantile(const metrics::Histogram& histogram, double q, double ns, double tolerance) {
  EXPECT_NEAR(static_cast<double>(histogram.percentile(q)), ns, ns * (tolerance + 1.0 / 64)) << "quantile " << q;
}

TEST(FfbenchNet, RoundTripsAreTwiceAConstantLatency) {
  Bench bench(2, link_of(Latency::constant(50us), 0));
  bench.control([](Controller& controller) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const TestFigures figures,
                     co_await controller.run_test(latency_test(64, 0), {{0, 1}}, 1, RunTiming::of(1s)));
    const FlowFigures& flow = figures.flows.at(0);
    expect_quantile(flow.round_trip, 0.5, 100e3, 0);
    expect_quantile(flow.round_trip, 1, 100e3, 0);
    EXPECT_NEAR(static_cast<double>(flow.messages), 10000, 10);
    co_return {};
  });
  EXPECT_TRUE(bench.result()) << bench.result().error().message();
}

TEST(FfbenchNet, RoundTripsHaveThePercentilesOfTheSumOfTwoUniformLatencies) {
  // Two ways, each uniform on [50, 250] us: the sum is triangular on [100, 500] us with its peak at 300. Below it,
  // P(x) = (x - 100)^2 / 80000, above, 1 - (500 - x)^2 / 80000.
  Bench bench(2, link_of(Latency::uniform(50us, 250us), 0));
  bench.control([](Controller& controller) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const TestFigures figures,
                     co_await controller.run_test(latency_test(64, 0), {{0, 1}}, 4, RunTiming::of(5s)));
    const metrics::Histogram& round_trip = figures.flows.at(0).round_trip;
    EXPECT_GT(round_trip.count(), 60000u);
    const auto upper = [](double q) { return (500 - std::sqrt((1 - q) * 80000)) * 1e3; };
    expect_quantile(round_trip, 0.1, (100 + std::sqrt(0.1 * 80000)) * 1e3, 0.01);
    expect_quantile(round_trip, 0.5, 300e3, 0.01);
    expect_quantile(round_trip, 0.9, upper(0.9), 0.01);
    expect_quantile(round_trip, 0.99, upper(0.99), 0.01);
    expect_quantile(round_trip, 0.999, upper(0.999), 0.01);
    EXPECT_LE(round_trip.max(), 500'000);
    co_return {};
  });
  EXPECT_TRUE(bench.result()) << bench.result().error().message();
}

TEST(FfbenchNet, AnOpenLoopCountsAStallAgainstEveryRequestThatWasDueInIt) {
  // 1000 requests a second for 2 s, 0.1 ms round trip; the answerer stands still for 500 ms in the middle. The requests
  // of that half second wait 250 ms on average: a quarter of all is slow. One request at a time would have met one.
  Bench bench(2, link_of(Latency::constant(50us), 0));
  bench.control([&bench](Controller& controller) -> Task<Result<>> {
    bench.world().after(1s, [&bench] { bench.world().pause(1); });
    bench.world().after(1500ms, [&bench] { bench.world().resume(1); });
    FF_CO_TRY_ASSIGN(const TestFigures figures,
                     co_await controller.run_test(latency_test(64, 1000), {{0, 1}}, 1, RunTiming::of(2s)));
    const FlowFigures& flow = figures.flows.at(0);
    EXPECT_NEAR(static_cast<double>(flow.round_trip.count()), 2000, 2);
    EXPECT_EQ(flow.unanswered, 0u);
    const std::uint64_t quick = flow.round_trip.count_at_most(1'000'000);
    EXPECT_NEAR(static_cast<double>(flow.round_trip.count() - quick), 500, 10);
    expect_quantile(flow.round_trip, 0.875, 250e6, 0.02);
    co_return {};
  });
  EXPECT_TRUE(bench.result()) << bench.result().error().message();
}

TEST(FfbenchNet, AnOpenLoopCountsRequestsThatItsSenderNeverCameTo) {
  // 2000 requests a second of 1 MB, of which the link takes 956: the queue fills, and the sender falls behind. All 2000
  // of the window are due.
  Bench bench(2, link_of(Latency::constant(50us), 1e9));
  bench.control([](Controller& controller) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const TestFigures figures,
                     co_await controller.run_test(latency_test(1'000'000, 2000), {{0, 1}}, 1, RunTiming::of(1s)));
    EXPECT_NEAR(static_cast<double>(figures.flows.at(0).round_trip.count()), 2000, 2);
    co_return {};
  });
  EXPECT_TRUE(bench.result()) << bench.result().error().message();
}

TEST(FfbenchNet, LeadAndTailCoverWhatAgentsStartApart) {
  Bench bench(2, link_of(Latency::constant(50us), 1e9));
  bench.world().network().model(2, 1).latency = Latency::constant(100ms);
  bench.world().network().model(1, 2).latency = Latency::constant(100ms);
  bench.control([](Controller& controller) -> Task<Result<>> {
    FF_CO_TRY(co_await controller.describe());
    EXPECT_GE(controller.round_trip(), 200ms);
    EXPECT_LE(controller.round_trip(), 210ms);
    co_return {};
  });
  EXPECT_TRUE(bench.result()) << bench.result().error().message();
}

TEST(FfbenchNet, ADeadBystanderIsNoQuickOne) {
  Bench bench(4, link_of(Latency::constant(50us), 1e9));
  bench.control([&bench](Controller& controller) -> Task<Result<>> {
    bench.world().after(150ms, [&bench] { bench.world().kill(3, testing::Kill::kProcess); });
    const IncastSpec spec{.receiver = 0,
                          .senders = {1, 2},
                          .bystander = 3,
                          .piece_bytes = 256u << 10,
                          .grants = false,
                          .bystander_rate = 1000};
    FF_CO_TRY_ASSIGN(const IncastFigures figures, co_await controller.run_incast(spec, RunTiming::of(500ms)));
    EXPECT_GT(figures.unanswered, 100u);
    EXPECT_NEAR(static_cast<double>(figures.bystander.count()), 500, 2);
    EXPECT_GE(figures.bystander.percentile(0.9), 5'000'000'000);  // the controller's timeout
    co_return {};
  });
  EXPECT_TRUE(bench.result()) << bench.result().error().message();
}

TEST(FfbenchNet, AllToAllSharesWhatEachPairHas) {
  Bench bench(4, link_of(Latency::constant(50us), 1e9));
  // Both ways: else the answers to the quick way's pushes would wait in the slow one's queue.
  bench.world().network().model(2, 1).bytes_per_second = 2.5e8;
  bench.world().network().model(1, 2).bytes_per_second = 2.5e8;
  bench.control([](Controller& controller) -> Task<Result<>> {
    std::vector<FlowSpec> flows;
    for (std::size_t from = 0; from < 4; ++from)
      for (std::size_t to = 0; to < 4; ++to)
        if (from != to) flows.push_back({from, to});
    FF_CO_TRY_ASSIGN(const TestFigures figures,
                     co_await controller.run_test(bandwidth_test(1u << 20, 4), flows, 1, RunTiming::of(500ms)));
    for (std::size_t i = 0; i < flows.size(); ++i) {
      const double expected = flows[i].from + flows[i].to == 3 && flows[i].from * flows[i].to == 2 ? kSlow : kFast;
      EXPECT_NEAR(figures.flows.at(i).bandwidth, expected, 0.02 * expected) << i;
    }
    co_return {};
  });
  EXPECT_TRUE(bench.result()) << bench.result().error().message();
}

TEST(FfbenchNet, MeshNamesTheLinkThatIsSlow) {
  Bench bench(4, link_of(Latency::constant(50us), 1e9));
  bench.world().network().model(1, 3).bytes_per_second = 2.5e8;
  bench.control([](Controller& controller) -> Task<Result<>> {
    Matrix matrix(4, std::vector<std::optional<double>>(4));
    for (const auto& round : mesh_rounds(4, true)) {
      std::vector<FlowSpec> flows;
      for (const auto& [from, to] : round) flows.push_back({from, to});
      FF_CO_TRY_ASSIGN(const TestFigures figures,
                       co_await controller.run_test(bandwidth_test(256u << 10, 4), flows, 1, RunTiming::of(100ms)));
      for (std::size_t i = 0; i < flows.size(); ++i) matrix[flows[i].from][flows[i].to] = figures.flows.at(i).bandwidth;
    }
    const MeshVerdict verdict = judge_mesh(matrix, Better::kHigher);
    EXPECT_EQ(verdict.slow_pairs, (std::vector<Pair>{{1, 3}}));
    EXPECT_TRUE(verdict.slow_senders.empty() && verdict.slow_receivers.empty());
    const auto text = describe_mesh(verdict, matrix, {"a", "b", "c", "d"}, "bandwidth");
    EXPECT_EQ(text, std::vector<std::string>{"pair b -> d is slow: 0.25 of the median bandwidth"});
    co_return {};
  });
  EXPECT_TRUE(bench.result()) << bench.result().error().message();
}

// Every pair in its turn over links of which 1 -> 3 loses this share of its segments.
std::vector<std::string> mesh_with_loss(double loss) {
  Bench bench(4, link_of(Latency::constant(50us), 1e9));
  bench.world().network().model(1, 3).loss = loss;
  std::vector<std::string> text;
  bench.control([&text](Controller& controller) -> Task<Result<>> {
    Matrix matrix(4, std::vector<std::optional<double>>(4));
    for (const auto& round : mesh_rounds(4, true)) {
      std::vector<FlowSpec> flows;
      for (const auto& [from, to] : round) flows.push_back({from, to});
      FF_CO_TRY_ASSIGN(const TestFigures figures,
                       co_await controller.run_test(bandwidth_test(256u << 10, 4), flows, 1, RunTiming::of(1s)));
      for (std::size_t i = 0; i < flows.size(); ++i) matrix[flows[i].from][flows[i].to] = figures.flows.at(i).bandwidth;
    }
    text = describe_mesh(judge_mesh(matrix, Better::kHigher), matrix, {"a", "b", "c", "d"}, "bandwidth");
    co_return {};
  });
  EXPECT_TRUE(bench.result()) << bench.result().error().message();
  return text;
}

TEST(FfbenchNet, MeshNamesTheLinkThatLosesSegments) {
  EXPECT_EQ(mesh_with_loss(0), std::vector<std::string>{});
  const auto named = mesh_with_loss(0.02);
  // What d sends to b is slower too: its answers come over the lossy way.
  ASSERT_FALSE(named.empty());
  for (const std::string& line : named)
    EXPECT_TRUE(line.starts_with("pair b -> d is slow: ") || line.starts_with("pair d -> b is slow: ")) << line;
  EXPECT_TRUE(std::ranges::any_of(named, [](auto& line) { return line.starts_with("pair b -> d"); }))
      << fmt::format("{}", fmt::join(named, "; "));
}

IncastFigures incast(bool grants) {
  // 16 senders of 1 MiB pieces into 1.25e9 B/s, as tests/sim/incast_test.cc.
  Bench bench(18, link_of(Latency::uniform(10us, 30us), 0));
  bench.world().network().set_downlink(0, 1.25e9);
  IncastFigures out;
  bench.control([&out, grants](Controller& controller) -> Task<Result<>> {
    IncastSpec spec{.receiver = 0,
                    .senders = {},
                    .bystander = 17,
                    .piece_bytes = 1u << 20,
                    .grants = grants,
                    .bystander_rate = 2000};
    for (std::size_t sender = 1; sender <= 16; ++sender) spec.senders.push_back(sender);
    FF_CO_TRY_ASSIGN(out, co_await controller.run_incast(spec, RunTiming::of(300ms)));
    co_return {};
  });
  EXPECT_TRUE(bench.result()) << bench.result().error().message();
  return out;
}

TEST(FfbenchNet, IncastWithoutGrantsHurtsTheBystander) {
  const IncastFigures with = incast(true), without = incast(false);
  const std::string text =
      fmt::format("with: {:.0f} MB/s, p50 {} us, fairness {:.2f}; without: {:.0f} MB/s, p50 {} us, {:.2f}",
                  with.goodput / 1e6, with.bystander.percentile(0.5) / 1000, with.fairness, without.goodput / 1e6,
                  without.bystander.percentile(0.5) / 1000, without.fairness);
  // Half of the 16 MiB stand in the downlink's queue: 6.7 ms.
  EXPECT_GE(without.bystander.percentile(0.5), 5'000'000) << text;
  EXPECT_GE(without.bystander.percentile(0.5), 2 * with.bystander.percentile(0.5)) << text;
  EXPECT_GE(with.goodput, 0.85 * without.goodput) << text;
  EXPECT_LE(without.goodput, 1.26e9) << text;
  EXPECT_GE(without.goodput, 1.1e9) << text;
  EXPECT_GT(without.fairness, 0.5) << text;
  EXPECT_GT(with.fairness, 0.5) << text;
}

TEST(FfbenchNet, NamesTheAgentThatIsLostInTheMiddleAndGoesOnWithoutIt) {
  Bench bench(3, link_of(Latency::constant(50us), 1e9));
  bench.control([&bench](Controller& controller) -> Task<Result<>> {
    bench.world().after(500ms, [&bench] { bench.world().kill(1, testing::Kill::kProcess); });
    const auto lost = co_await controller.run_test(bandwidth_test(1u << 20, 4), {{0, 1}}, 1, RunTiming::of(1s));
    EXPECT_FALSE(lost);
    if (!lost) EXPECT_TRUE(lost.error().message().starts_with("peer n1 is lost: ")) << lost.error().message();
    EXPECT_TRUE(controller.lost(1));
    EXPECT_FALSE(controller.lost(0));
    EXPECT_TRUE(controller.lost_text().starts_with("peer n1 is lost: "));
    const auto again = co_await controller.run_test(bandwidth_test(1u << 20, 4), {{1, 2}}, 1, RunTiming::of(1s));
    EXPECT_FALSE(again);
    FF_CO_TRY_ASSIGN(const TestFigures figures,
                     co_await controller.run_test(bandwidth_test(1u << 20, 4), {{0, 2}}, 1, RunTiming::of(100ms)));
    EXPECT_NEAR(figures.flows.at(0).bandwidth, kFast, 0.03 * kFast);
    co_return {};
  });
  EXPECT_TRUE(bench.result()) << bench.result().error().message();
}

TEST(FfbenchNet, AnAgentClosesTheTestsOfAControllerThatIsGone) {
  Bench bench(2, link_of(Latency::constant(50us), 1e9));
  const auto node = NodeId{2};
  bench.world().after(500ms, [&] { bench.world().kill(node, testing::Kill::kProcess); });
  bench.world().start(node, [&](SimEnv& env) -> Task<Result<>> {
    std::vector<AgentPeer> peers;
    for (NodeId agent = 0; agent < 2; ++agent)
      peers.push_back({.name = fmt::format("n{}", agent),
                       .control = bench.world().address(agent, kPort),
                       .hosts = {testing::SimFabric::host(agent, 0)},
                       .port = kPort});
    Controller controller(env, std::move(peers), 5s);
    (void)co_await controller.run_test(bandwidth_test(1u << 20, 4), {{0, 1}}, 1, RunTiming::of(100s));
    co_return {};
  });
  ASSERT_TRUE(bench.world().run_for(3min));
  // A minute later nobody pushes any more.
  const std::uint64_t delivered = bench.world().network().messages_delivered();
  EXPECT_EQ(bench.world().network().connections(), 0u);
  ASSERT_TRUE(bench.world().run_for(1min));
  EXPECT_EQ(bench.world().network().messages_delivered(), delivered);
}

}  // namespace
}  // namespace ff::bench
