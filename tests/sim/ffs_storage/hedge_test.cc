// A replica that answers late must not make a reader wait for it.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "ffs/storage/storage.ff.hpp"
#include "ffs/storage/storage_client.hpp"
#include "libcommon/rpc/server.hpp"
#include "libcommon/testing/sim_env.hpp"
#include "libcommon/testing/sim_world.hpp"

namespace ff::ffs {
namespace {

using namespace std::chrono_literals;
using runtime::Task;
using testing::SimEnv;

constexpr std::uint16_t kPort = 9000;
constexpr std::size_t kReplicas = 3;
constexpr std::size_t kBytes = 200'000;

// Answers reads only, with its own number, as late as it is told.
class LateChunks final : public ChunksService {
 public:
  LateChunks(std::uint8_t number, const runtime::Duration& delay) : number_(number), delay_(delay) {}

  Task<Result<ReadReply>> read(rpc::ServerCall& call, const ReadRequest& request) override {
    FF_CO_TRY(co_await runtime::sleep(delay_));
    ReadReply reply;
    for (const ReadOp& op : request.ops()) {
      const std::vector<std::byte> bytes(op.bytes(), std::byte{number_});
      FF_CO_TRY(co_await call.push_bulk(bytes, op.buffer_offset()));
      ReadOpReply& one = *reply.add_ops();
      one.set_code(STORAGE_OK);
      one.set_bytes(op.bytes());
      one.set_version(1);
    }
    co_return reply;
  }
  Task<Result<UpdateReply>> update(rpc::ServerCall&, const UpdateRequest&) override { co_return refused(); }
  Task<Result<ForwardReply>> forward(rpc::ServerCall&, const ForwardRequest&) override { co_return refused(); }
  Task<Result<CommittedReply>> committed(rpc::ServerCall&, const CommittedRequest&) override { co_return refused(); }
  Task<Result<CommitReply>> commit(rpc::ServerCall&, const CommitRequest&) override { co_return refused(); }
  Task<Result<FetchChunkReply>> fetch_chunk(rpc::ServerCall&, const FetchChunkRequest&) override {
    co_return refused();
  }
  Task<Result<LastChunkReply>> last_chunk(rpc::ServerCall&, const LastChunkRequest&) override { co_return refused(); }
  Task<Result<RemoveChunksReply>> remove_chunks(rpc::ServerCall&, const RemoveChunksRequest&) override {
    co_return refused();
  }
  Task<Result<SyncRangeReply>> sync_range(rpc::ServerCall&, const SyncRangeRequest&) override { co_return refused(); }
  Task<Result<SyncInstallReply>> sync_install(rpc::ServerCall&, const SyncInstallRequest&) override {
    co_return refused();
  }
  Task<Result<SyncDoneReply>> sync_done(rpc::ServerCall&, const SyncDoneRequest&) override { co_return refused(); }
  Task<Result<TargetStatusReply>> target_status(rpc::ServerCall&, const TargetStatusRequest&) override {
    co_return refused();
  }

 private:
  static std::unexpected<Error> refused() { return fail(Errc::kUnsupported, "reads only"); }
  const std::uint8_t number_;
  const runtime::Duration& delay_;
};

class OneRouting final : public RoutingSource {
 public:
  explicit OneRouting(std::shared_ptr<const RoutingView> view) : view_(std::move(view)) {}
  std::shared_ptr<const RoutingView> current() const noexcept override { return view_; }
  Task<Result<std::shared_ptr<const RoutingView>>> newer_than(std::uint64_t, runtime::Duration wait) override {
    (void)co_await runtime::sleep(wait);
    co_return fail(Errc::kTimeout, "there is no newer routing");
  }

 private:
  std::shared_ptr<const RoutingView> view_;
};

struct Reads {
  std::array<runtime::Duration, kReplicas> delays{1ms, 1ms, 1ms};
  ReadHedgeOptions hedge;
  std::size_t warm_up = 200;
  std::size_t count = 200;
  // Before the counted ones.
  std::size_t late = 0;  // replica that becomes late by
  runtime::Duration by = 0ms;

  std::vector<runtime::Duration> took;
  std::vector<std::uint8_t> from;  // whose bytes
  std::uint64_t hedged = 0;        // of the counted ones
};

Result<std::shared_ptr<const RoutingView>> routing(const testing::SimWorld& world) {
  Routing message;
  message.set_version(1);
  message.set_cluster(std::string(16, 'c'));
  ChainInfo& chain = *message.add_chains();
  chain.set_chain(1);
  chain.set_version(1);
  for (std::size_t i = 0; i < kReplicas; ++i) {
    NodeInfo& node = *message.add_nodes();
    node.set_node(i + 1);
    node.add_roles(ROLE_STORED);
    node.set_alive(true);
    for (const net::Address& plane : world.address(static_cast<testing::NodeId>(i), kPort).planes)
      node.add_addresses(plane.text());
    TargetInfo& target = *message.add_targets();
    target.set_target(i + 1);
    target.set_node(i + 1);
    target.set_chain(1);
    target.set_state(SERVING);
    ChainMember& member = *chain.add_members();
    member.set_target(i + 1);
    member.set_state(SERVING);
  }
  return RoutingView::make(std::move(message));
}

void run(Reads& reads) {
  testing::SimWorld world(7);
  world.add_nodes(kReplicas + 1);
  for (std::size_t i = 0; i < kReplicas; ++i) {
    world.start(static_cast<testing::NodeId>(i), [&reads, i](SimEnv& env) -> Task<Result<>> {
      LateChunks chunks(static_cast<std::uint8_t>(i + 1), reads.delays[i]);
      rpc::Server server(env);
      FF_CO_TRY(server.add(chunks));
      FF_CO_TRY(co_await server.listen(net::Address::tcp("", kPort)));
      runtime::Event never;
      co_return co_await never.wait();
    });
  }
  const auto view = routing(world);
  ASSERT_TRUE(view.has_value()) << view.error().message();
  bool done = false;
  world.start(kReplicas, [&](SimEnv& env) -> Task<Result<>> {
    OneRouting source(*view);
    StorageClient storage(env, source, {.hedge = reads.hedge});
    std::vector<std::byte> into(kBytes);
    for (std::size_t n = 0; n < reads.warm_up + reads.count; ++n) {
      if (n == reads.warm_up) {
        reads.delays[reads.late] += reads.by;
        reads.hedged = storage.hedged_reads();
      }
      std::ranges::fill(into, std::byte{0});
      const runtime::Time begun = env.now();
      const auto got =
          co_await storage.read({{.chain = ChainId{1}, .chunk = {InodeId{5}, n}, .offset = 0, .into = into}});
      EXPECT_TRUE(got[0].has_value()) << got[0].error().message();
      if (n < reads.warm_up) continue;
      reads.took.push_back(env.now() - begun);
      reads.from.push_back(static_cast<std::uint8_t>(into[0]));
      EXPECT_TRUE(std::ranges::all_of(into, [&](std::byte b) { return b == into[0]; })) << "of two replicas' bytes";
      EXPECT_TRUE(into[0] >= std::byte{1} && into[0] <= std::byte{kReplicas});
    }
    reads.hedged = storage.hedged_reads() - reads.hedged;
    co_await storage.stop();
    done = true;
    co_return {};
  });
  const auto ran = world.run_until([&] { return done; }, 10min, "the reads");
  ASSERT_TRUE(ran.has_value()) << ran.error().message();
}

std::size_t slower_than(const Reads& reads, runtime::Duration bound) {
  return static_cast<std::size_t>(std::ranges::count_if(reads.took, [&](auto took) { return took > bound; }));
}

TEST(SimHedgedReads, ALateReplicaCostsMillisecondsNotItsDelay) {
  Reads reads{.count = 24, .by = 2s};
  run(reads);
  // It is asked about one time in three; the hedge is then sent after a few milliseconds.
  EXPECT_EQ(slower_than(reads, 100ms), 0u);
  EXPECT_GE(reads.hedged, 2u);
  EXPECT_EQ(std::ranges::count(reads.from, 1), 0);
}

TEST(SimHedgedReads, WithoutHedgesItCostsAllOfIt) {
  Reads reads{.hedge = {.enabled = false}, .count = 24, .by = 2s};
  run(reads);
  EXPECT_GE(slower_than(reads, 2s), 2u);
  EXPECT_EQ(reads.hedged, 0u);
}

TEST(SimHedgedReads, ReplicasThatAreAllSlowerAreNotAskedTwiceForLong) {
  Reads reads{.delays = {1ms, 1ms, 1ms}, .count = 600};
  reads.by = 0ms;
  run(reads);
  EXPECT_EQ(reads.hedged, 0u);  // all as fast as ever
  // A whole cluster that becomes slow: a bounded share of the reads is asked twice.
  Reads slow{.delays = {60ms, 60ms, 60ms}, .warm_up = 0, .count = 600};
  slow.hedge.first = 10ms;
  run(slow);
  EXPECT_LE(slow.hedged, 8 + 600 / 20 + 1);
  EXPECT_GE(slow.hedged, 1u);
}

}  // namespace
}  // namespace ff::ffs
