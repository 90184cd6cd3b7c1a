// Which service is asked, and for how long the same request is.
#include "ffs/client/meta_calls.hpp"

#include <gtest/gtest.h>

#include <set>

#include "ffs/meta/repetition.hpp"
#include "libcommon/rpc/server.hpp"
#include "libcommon/testing/sim_env.hpp"
#include "libcommon/testing/sim_world.hpp"
#include "tests/unit/ffs/client/scripted_meta.hpp"

namespace ff::ffs {
namespace {

using namespace std::chrono_literals;
using runtime::Task;
using testing::SimEnv;
using testing::SimWorld;

constexpr std::uint16_t kPort = 9000;

// As the test says.
class SetRouting final : public RoutingSource {
 public:
  // One metadata service, number 7, which is reached there.
  void set(std::uint64_t version, const net::PeerAddress& address) {
    Routing message;
    message.set_version(version);
    message.set_cluster(std::string(16, 'c'));
    NodeInfo& node = *message.add_nodes();
    node.set_node(7);
    node.add_roles(ROLE_METAD);
    node.set_alive(true);
    for (const net::Address& plane : address.planes) node.add_addresses(plane.text());
    auto view = RoutingView::make(std::move(message));
    ASSERT_TRUE(view.has_value()) << view.error().message();
    view_ = std::move(*view);
  }
  std::shared_ptr<const RoutingView> current() const noexcept override { return view_; }
  Task<Result<std::shared_ptr<const RoutingView>>> newer_than(std::uint64_t, runtime::Duration wait) override {
    (void)co_await runtime::sleep(wait);
    co_return fail(Errc::kTimeout, "there is no newer routing");
  }

 private:
  std::shared_ptr<const RoutingView> view_;
};

Task<Result<>> serve(SimEnv& env, MetaService& service) {
  rpc::Server server(env);
  FF_CO_TRY(server.add(service));
  FF_CO_TRY(co_await server.listen(net::Address::tcp("", kPort)));
  runtime::Event never;
  co_return co_await never.wait();
}

void run(SimWorld& world, testing::NodeId client, testing::Main main, runtime::Duration most) {
  world.start(client, std::move(main));
  const auto ran = world.run_until([&] { return world.exited(client); }, most, "the client");
  ASSERT_TRUE(ran.has_value()) << ran.error().message();
  const Result<>& result = world.exit_result(client);
  ASSERT_TRUE(result.has_value()) << result.error().message();
}

TEST(MetaCalls, FollowAServiceThatComesBackAtAnotherAddress) {
  SimWorld world(1);
  const auto nodes = world.add_nodes(3);
  for (const auto node : {nodes[0], nodes[1]}) {
    world.start(node, [node](SimEnv& env) -> Task<Result<>> {
      ScriptedMeta meta;
      meta.on_stat = [node](const StatRequest&) -> ScriptedMeta::Answer<StatReply> {
        StatReply reply;
        reply.mutable_attributes()->set_inode(node + 1);
        return {reply};
      };
      co_return co_await serve(env, meta);
    });
  }
  run(
      world, nodes[2],
      [&](SimEnv& env) -> Task<Result<>> {
        SetRouting routing;
        routing.set(1, world.address(nodes[0], kPort));
        MetaCalls calls(env, routing, {}, 5, 30s);
        const auto first = co_await calls.stat(StatRequest());
        EXPECT_TRUE(first.has_value() && first->attributes().inode() == nodes[0] + 1) << "node " << nodes[0] + 1;
        world.kill(nodes[0]);
        routing.set(2, world.address(nodes[1], kPort));
        const auto second = co_await calls.stat(StatRequest());
        EXPECT_TRUE(second.has_value() && second->attributes().inode() == nodes[1] + 1) << "node " << nodes[1] + 1;
        // And back again.
        world.restart(nodes[0]);
        world.kill(nodes[1]);
        routing.set(3, world.address(nodes[0], kPort));
        const auto third = co_await calls.stat(StatRequest());
        EXPECT_TRUE(third.has_value() && third->attributes().inode() == nodes[0] + 1) << "node " << nodes[0] + 1;
        co_await calls.stop();
        co_return {};
      },
      2min);
}

// A service that carries out, and never answers.
TEST(MetaCalls, RepeatNoRequestThatMayHaveRunUntilItsAnswerIsForgotten) {
  SimWorld world(1);
  const auto nodes = world.add_nodes(2);
  runtime::Time first{}, last{};
  std::set<std::uint64_t> tags;
  world.start(nodes[0], [&](SimEnv& env) -> Task<Result<>> {
    ScriptedMeta meta;
    meta.on_remove = [&](const RemoveRequest& request) -> ScriptedMeta::Answer<EntryReply> {
      if (tags.empty()) first = env.now();
      last = env.now();
      tags.insert(request.request().sequence());
      return {EntryReply(), 24h};
    };
    co_return co_await serve(env, meta);
  });
  run(
      world, nodes[1],
      [&](SimEnv& env) -> Task<Result<>> {
        SetRouting routing;
        routing.set(1, world.address(nodes[0], kPort));
        MetaCalls calls(env, routing, {}, 5, 2h);
        const runtime::Time begun = env.now();
        const auto removed = co_await calls.remove(RemoveRequest());
        EXPECT_FALSE(removed.has_value());
        if (!removed) EXPECT_EQ(removed.error().code(), Errc::kTimeout) << removed.error().message();
        EXPECT_GE(env.now() - begun, 3min);
        EXPECT_LT(env.now() - begun, kAnswersKept);
        co_await calls.stop();
        co_return {};
      },
      3h);
  EXPECT_EQ(tags.size(), 1u) << "each attempt is the same request";
  EXPECT_GT(last - first, 3min);
  EXPECT_LT(last - first, kAnswersKept);
}

TEST(MetaCalls, ARequestThatHasReachedNobodyWaitsForAllOfItsTimeout) {
  SimWorld world(1);
  const auto nodes = world.add_nodes(2);
  int removed = 0;
  const testing::Main service = [&](SimEnv& env) -> Task<Result<>> {
    ScriptedMeta meta;
    meta.on_remove = [&](const RemoveRequest&) -> ScriptedMeta::Answer<EntryReply> {
      ++removed;
      return {EntryReply()};
    };
    co_return co_await serve(env, meta);
  };
  // Nothing listens there for a quarter of an hour.
  world.after(15min, [&] { world.start(nodes[0], service); });
  run(
      world, nodes[1],
      [&](SimEnv& env) -> Task<Result<>> {
        SetRouting routing;
        routing.set(1, world.address(nodes[0], kPort));
        MetaCalls calls(env, routing, {}, 5, 1h);
        const auto done = co_await calls.remove(RemoveRequest());
        EXPECT_TRUE(done.has_value()) << done.error().message();
        co_await calls.stop();
        co_return {};
      },
      2h);
  EXPECT_EQ(removed, 1);
}

}  // namespace
}  // namespace ff::ffs
