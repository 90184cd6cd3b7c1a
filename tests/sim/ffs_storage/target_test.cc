// Single interleavings of a chain's targets, each one held where it hurts.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "ffs/storage/storage.ff.hpp"
#include "ffs/storage/storage_convert.hpp"
#include "ffs/storage/storage_server.hpp"
#include "libcommon/testing/sim_env.hpp"
#include "tests/sim/ffs_storage/chain_bench.hpp"

namespace ff::ffs {
namespace {

using namespace std::chrono_literals;
using runtime::Task;

constexpr ChunkId kA{InodeId{17}, 0}, kB{InodeId{17}, 1};

void expect_runs(ChainBench& bench, Task<Result<>> (*body)(ChainBench&)) {
  const Result<> ran = bench.run(body);
  EXPECT_TRUE(ran) << (ran ? "" : ran.error().message());
}

// A write by itself, so that the test can go on.
Task<void> write_and_tell(ChainBench* bench, ChunkId chunk, char letter, std::optional<Result<ChunkVersion>>* told,
                          std::size_t bytes = 256) {
  *told = co_await bench->write(chunk, letter, bytes);
}

// What all begins with: T1 and T2 have 'a' as version 1, T2 has 'b' staged as version 2, and T1's staging of it is
// held.
struct Half {
  runtime::Scope scope;
  std::optional<Result<ChunkVersion>> written;
  explicit Half(runtime::Context& context) : scope(context) {}
};
Task<Result<>> half_written(ChainBench* b, Half* half) {
  co_await b->route({SERVING, SERVING});
  FF_CO_TRY(co_await b->write(kA, 'a'));
  FF_CO_TRY(co_await b->until([b] { return b->committed(1, kA) == 1; }, "version 1 at the second"));
  b->hold(0, ModelStep::kStage, kA);
  half->scope.spawn(write_and_tell(b, kA, 'b', &half->written));
  FF_CO_TRY(co_await b->until(
      [b] {
        const auto& chunks = b->disk(1).chunks;
        return b->waits(0, ModelStep::kStage, kA) && chunks.at(kA).info.pending.has_value();
      },
      "version 2 is staged at the second"));
  co_return co_await runtime::sleep(5ms);
}

// The second has it as the head has, and gives it to readers.
Task<Result<>> both_have(ChainBench* b, ChunkVersion version, char letter) {
  FF_CO_TRY(co_await b->until([b, version] { return b->committed(0, kA) == version && b->committed(1, kA) == version; },
                              "both have the version"));
  const auto seen = co_await b->read_at(1, kA);
  EXPECT_EQ(seen.code, STORAGE_OK);
  EXPECT_EQ(seen.letter, letter);
  co_return {};
}

TEST(TargetRepair, AnImageThatWasFetchedBeforeACommitDoesNotUndoIt) {
  ChainBench bench(2);
  expect_runs(bench, [](ChainBench& b) -> Task<Result<>> {
    Half half(co_await runtime::current_context());
    FF_CO_TRY(co_await half_written(&b, &half));
    b.disk(1).chunks[kA].rotten = true;
    b.hold(0, ModelStep::kRead, kA);
    EXPECT_EQ((co_await b.read_at(1, kA, true)).code, CORRUPT);
    FF_CO_TRY(co_await b.until([&] { return b.waits(0, ModelStep::kRead, kA); }, "the repair reads version 1"));
    b.release(0, ModelStep::kStage, kA);
    FF_CO_TRY(co_await b.until([&] { return b.committed(1, kA) == 2; }, "the mark arrives"));
    b.release(0, ModelStep::kRead, kA);
    FF_CO_TRY(co_await runtime::sleep(100ms));
    EXPECT_EQ(b.committed(1, kA), 2u);
    FF_CO_TRY(co_await both_have(&b, 2, 'b'));
    FF_CO_TRY_ASSIGN(const ChunkVersion third, co_await b.write(kA, 'c'));
    EXPECT_EQ(third, 3u);
    FF_CO_TRY(co_await half.scope.join());
    co_return {};
  });
}

TEST(TargetRepair, AMarkThatComesBeforeTheImageIsInstalledWaitsForTheRestaging) {
  ChainBench bench(2);
  expect_runs(bench, [](ChainBench& b) -> Task<Result<>> {
    Half half(co_await runtime::current_context());
    FF_CO_TRY(co_await half_written(&b, &half));
    b.disk(1).chunks[kA].rotten = true;
    b.hold(1, ModelStep::kInstall, kA);
    EXPECT_EQ((co_await b.read_at(1, kA, true)).code, CORRUPT);
    FF_CO_TRY(co_await b.until([&] { return b.waits(1, ModelStep::kInstall, kA); }, "the repair installs"));
    b.release(0, ModelStep::kStage, kA);
    FF_CO_TRY(co_await b.until([&] { return half.written.has_value(); }, "the head acknowledges"));
    FF_CO_TRY(co_await runtime::sleep(20ms));
    b.release(1, ModelStep::kInstall, kA);
    FF_CO_TRY(co_await runtime::sleep(5ms));
    const auto seen = co_await b.read_at(1, kA);
    EXPECT_TRUE(seen.code != STORAGE_OK || seen.letter == 'b') << "a stale read: " << seen.letter;
    FF_CO_TRY(co_await both_have(&b, 2, 'b'));
    co_return co_await half.scope.join();
  });
}

TEST(TargetRepair, AMarkThatComesWhileTheImageIsMadeDurableTakesNobodyOutOfService) {
  ChainBench bench(2);
  expect_runs(bench, [](ChainBench& b) -> Task<Result<>> {
    Half half(co_await runtime::current_context());
    FF_CO_TRY(co_await half_written(&b, &half));
    b.disk(1).chunks[kA].rotten = true;
    b.hold(1, ModelStep::kInstalled, kA);
    EXPECT_EQ((co_await b.read_at(1, kA, true)).code, CORRUPT);
    FF_CO_TRY(co_await b.until([&] { return b.waits(1, ModelStep::kInstalled, kA); }, "the repair installs"));
    b.release(0, ModelStep::kStage, kA);
    FF_CO_TRY(co_await runtime::sleep(50ms));
    b.release(1, ModelStep::kInstalled, kA);
    EXPECT_TRUE(b.target(1).status().serving()) << b.target(1).status().trouble();
    FF_CO_TRY(co_await both_have(&b, 2, 'b'));
    co_return co_await half.scope.join();
  });
}

TEST(TargetRepair, ABaseThatTheHeadReplacesLeavesTheUpdateOpen) {
  ChainBench bench(2);
  expect_runs(bench, [](ChainBench& b) -> Task<Result<>> {
    Half half(co_await runtime::current_context());
    FF_CO_TRY(co_await half_written(&b, &half));
    const ModelDisk::Chunk& base = b.disk(0).chunks[kA];
    SyncInstallRequest request;
    request.set_chain(number(ChainBench::kChain));
    request.set_chain_version(b.version());
    request.set_from_target(number(ChainBench::id(0)));
    request.set_target(number(ChainBench::id(1)));
    request.set_repair(true);
    set(*request.mutable_image(), base.info, false);
    const std::vector<std::byte> content = base.content;
    // The update's own way down is over here: the lock is free.
    FF_CO_TRY_ASSIGN(const auto reply,
                     co_await ChunksClient(b.peer(1)).sync_install(request, {.timeout = 1s, .bulk_send = content}));
    EXPECT_EQ(reply.code(), STORAGE_OK) << reply.detail();
    b.release(0, ModelStep::kStage, kA);
    FF_CO_TRY(co_await b.until([&] { return half.written.has_value(); }, "the head acknowledges"));
    const auto seen = co_await b.read_at(1, kA);
    EXPECT_TRUE(seen.code != STORAGE_OK || seen.letter == 'b') << "a stale read: " << seen.letter;
    FF_CO_TRY(co_await both_have(&b, 2, 'b'));
    co_return co_await half.scope.join();
  });
}

TEST(TargetRepair, AnUpdateThatCannotBeStagedAgainComesFromTheHead) {
  ChainBench bench(2);
  expect_runs(bench, [](ChainBench& b) -> Task<Result<>> {
    Half half(co_await runtime::current_context());
    FF_CO_TRY(co_await half_written(&b, &half));
    b.disk(1).chunks[kA].rotten = true;
    b.disk(1).full.insert(kA);
    EXPECT_EQ((co_await b.read_at(1, kA, true)).code, CORRUPT);
    FF_CO_TRY(co_await b.until([&] { return !b.disk(1).chunks[kA].rotten; }, "the repair installs"));
    FF_CO_TRY(co_await runtime::sleep(20ms));
    b.release(0, ModelStep::kStage, kA);
    FF_CO_TRY(co_await b.until([&] { return half.written.has_value(); }, "the head acknowledges"));
    b.disk(1).full.clear();
    FF_CO_TRY(co_await both_have(&b, 2, 'b'));
    FF_CO_TRY_ASSIGN(const ChunkVersion third, co_await b.write(kA, 'c'));
    EXPECT_EQ(third, 3u);
    FF_CO_TRY(co_await both_have(&b, 3, 'c'));
    co_return co_await half.scope.join();
  });
}

// What was acknowledged would be gone if everything lost power at that moment.
TEST(TargetRepair, ANewBaseNeverTakesTheUpdateAwayThatIsOpenOnIt) {
  ChainBench bench(2);
  expect_runs(bench, [](ChainBench& b) -> Task<Result<>> {
    Half half(co_await runtime::current_context());
    FF_CO_TRY(co_await half_written(&b, &half));
    b.disk(1).chunks[kA].rotten = true;
    b.disk(1).full.insert(kA);
    b.hold(1, ModelStep::kInstalled, kA);
    EXPECT_EQ((co_await b.read_at(1, kA, true)).code, CORRUPT);
    FF_CO_TRY(co_await b.until([&] { return b.waits(1, ModelStep::kInstalled, kA); }, "the repair installs"));
    EXPECT_FALSE(b.disk(1).chunks[kA].rotten);
    EXPECT_TRUE(b.disk(1).chunks[kA].info.pending);
    b.release(1, ModelStep::kInstalled, kA);
    FF_CO_TRY(co_await runtime::sleep(20ms));
    EXPECT_TRUE(b.disk(1).chunks[kA].info.pending) << "nor when it could not be staged again";
    b.release(0, ModelStep::kStage, kA);
    FF_CO_TRY(co_await both_have(&b, 2, 'b'));
    co_return co_await half.scope.join();
  });
}

// The settle loop would mend it too, later.
TEST(TargetRepair, TheNextUpdateMendsWhatCouldNotBeStagedAgain) {
  TargetOptions options = ChainBench::quick_options();
  options.settle_every = 1h;
  ChainBench bench(2, options);
  expect_runs(bench, [](ChainBench& b) -> Task<Result<>> {
    Half half(co_await runtime::current_context());
    FF_CO_TRY(co_await half_written(&b, &half));
    b.disk(1).chunks[kA].rotten = true;
    b.disk(1).full.insert(kA);
    EXPECT_EQ((co_await b.read_at(1, kA, true)).code, CORRUPT);
    FF_CO_TRY(co_await b.until([&] { return !b.disk(1).chunks[kA].rotten; }, "the repair installs"));
    FF_CO_TRY(co_await runtime::sleep(20ms));
    b.release(0, ModelStep::kStage, kA);
    FF_CO_TRY(co_await b.until([&] { return half.written.has_value(); }, "the head acknowledges"));
    b.disk(1).full.clear();
    FF_CO_TRY_ASSIGN(const ChunkVersion third, co_await b.write(kA, 'c'));
    EXPECT_EQ(third, 3u);
    FF_CO_TRY(co_await both_have(&b, 3, 'c'));
    co_return co_await half.scope.join();
  });
}

TEST(TargetRepair, ReplicasThatAreAllBadDoNotKeepEachOtherBusy) {
  ChainBench bench(2);
  expect_runs(bench, [](ChainBench& b) -> Task<Result<>> {
    for (std::size_t i : {0, 1}) b.put(i, kA, 3, 'x');
    b.disk(0).chunks[kA].rotten = b.disk(1).chunks[kA].rotten = true;
    co_await b.route({SERVING, SERVING});
    EXPECT_EQ((co_await b.read_at(0, kA)).code, CORRUPT);
    FF_CO_TRY(co_await runtime::sleep(10s));
    EXPECT_LT(b.disk(0).reads + b.disk(1).reads, 30u);
    for (std::size_t i : {0, 1}) {
      EXPECT_NE(b.target(i).report().trouble().find(to_text(kA)), std::string::npos) << i;
    }
    // One of them finds its copy after all.
    b.put(1, kA, 3, 'x');
    FF_CO_TRY(co_await runtime::sleep(10s));
    EXPECT_EQ((co_await b.read_at(0, kA)).letter, 'x');
    for (std::size_t i : {0, 1}) EXPECT_EQ(b.target(i).report().trouble(), "") << i;
    co_return {};
  });
}

TEST(TargetRepair, AReplicaThatDoesNotAnswerIsAskedAgain) {
  ChainBench bench(2);
  expect_runs(bench, [](ChainBench& b) -> Task<Result<>> {
    for (std::size_t i : {0, 1}) b.put(i, kA, 3, 'x');
    b.disk(0).chunks[kA].rotten = true;
    co_await b.route({SERVING, SERVING});
    b.world().pause(b.node(1));
    EXPECT_EQ((co_await b.read_at(0, kA)).code, CORRUPT);
    FF_CO_TRY(co_await runtime::sleep(5s));
    EXPECT_EQ(b.target(0).report().trouble(), "") << "nobody has said that the chunk is lost";
    b.world().resume(b.node(1));
    FF_CO_TRY(co_await b.until([&] { return !b.disk(0).chunks[kA].rotten; }, "it is repaired, unasked"));
    EXPECT_EQ((co_await b.read_at(0, kA)).letter, 'x');
    co_return {};
  });
}

// Of a chunk whose copies are all bad: what needs the old bytes is refused, and nothing of it is left; what does not
// need them is done.
TEST(TargetRepair, ALostChunkCanBeWrittenAnewOrRemoved) {
  for (const std::size_t replicas : {1u, 2u, 3u}) {
    ChainBench bench(replicas);
    expect_runs(bench, [](ChainBench& b) -> Task<Result<>> {
      std::vector<PublicState> serving;
      for (std::size_t i = 0; i < b.targets(); ++i) {
        serving.push_back(SERVING);
        for (const ChunkId chunk : {kA, kB}) {
          b.put(i, chunk, 3, 'x');
          b.disk(i).chunks[chunk].rotten = true;
        }
      }
      co_await b.route(serving);
      for (const ChunkId chunk : {kA, kB}) {
        const auto part = co_await b.write(chunk, 'p', 10);
        EXPECT_FALSE(part);
        if (!part) EXPECT_EQ(part.error().code(), Errc::kCorrupt) << part.error().message();
      }
      for (std::size_t i = 0; i < b.targets(); ++i) {
        EXPECT_EQ(b.target(i).status().open_updates(), 0u) << i;
        for (const ChunkId chunk : {kA, kB}) EXPECT_FALSE(b.disk(i).chunks[chunk].info.pending) << i;
      }
      const auto whole = co_await b.write(kA, 'w');
      EXPECT_TRUE(whole) << (whole ? "" : whole.error().message());
      FF_CO_TRY(co_await b.remove(kB));
      for (std::size_t i = 0; i < b.targets(); ++i) {
        FF_CO_TRY(
            co_await b.until([&] { return b.committed(i, kA) == 4 && b.committed(i, kB) == 4; }, "both are done"));
        EXPECT_EQ((co_await b.read_at(i, kA)).letter, 'w') << i;
        EXPECT_EQ((co_await b.read_at(i, kB)).code, CHUNK_NOT_FOUND) << i;
      }
      co_return {};
    });
  }
}

TEST(TargetTakeover, TheLastCompleteCopyCommitsAllThatItHasStaged) {
  ChainBench bench(2);
  expect_runs(bench, [](ChainBench& b) -> Task<Result<>> {
    runtime::Scope scope(co_await runtime::current_context());
    co_await b.route({SERVING, SERVING});
    // The head acknowledges kB; its mark never arrives. An update of kA, which comes before it, is on its way to the
    // disk.
    b.hold(1, ModelStep::kStaged, kA);
    b.hold(0, ModelStep::kStage, kB);
    std::optional<Result<ChunkVersion>> first, second;
    scope.spawn(write_and_tell(&b, kB, 'b', &first));
    scope.spawn(write_and_tell(&b, kA, 'a', &second));
    FF_CO_TRY(co_await b.until(
        [&] {
          const auto& chunks = b.disk(1).chunks;
          return b.waits(1, ModelStep::kStaged, kA) && chunks.contains(kB) && chunks.at(kB).info.pending;
        },
        "both are staged"));
    FF_CO_TRY(co_await runtime::sleep(2ms));
    co_await b.route({OFFLINE, LASTSRV});
    co_await b.route({OFFLINE, SERVING});
    const auto seen = co_await b.read_at(1, kB);
    EXPECT_EQ(seen.code, STORAGE_OK);
    EXPECT_EQ(seen.letter, 'b');
    EXPECT_TRUE(b.target(1).status().serving());
    b.release(1, ModelStep::kStaged, kA);
    b.release(0, ModelStep::kStage, kB);
    FF_CO_TRY(co_await b.until([&] { return first && second; }, "the clients hear of their writes"));
    EXPECT_TRUE(*first);
    EXPECT_TRUE(*second);
    co_return co_await scope.join();
  });
}

TEST(TargetTombstones, ATombstoneOfAReusedChunkIsKeptFromItsOwnBeginning) {
  TargetOptions options = ChainBench::quick_options();
  options.tombstones_kept = 600ms;
  ChainBench bench(1, options);
  expect_runs(bench, [](ChainBench& b) -> Task<Result<>> {
    co_await b.route({SERVING});
    FF_CO_TRY(co_await b.write(kA, 'a'));
    FF_CO_TRY(co_await b.remove(kA));
    FF_CO_TRY(co_await runtime::sleep(450ms));
    FF_CO_TRY(co_await b.write(kA, 'b'));
    FF_CO_TRY(co_await b.remove(kA));
    FF_CO_TRY(co_await runtime::sleep(500ms));
    EXPECT_EQ(b.committed(0, kA), 4u) << "forgotten half a second after it was made";
    co_return co_await b.until([&] { return !b.disk(0).chunks.contains(kA); }, "it is forgotten in the end");
  });
}

// Nobody reads chunks here.
TEST(TargetTombstones, TheOldestGoEarlyWhenThereAreTooMany) {
  TargetOptions options = ChainBench::quick_options();
  options.tombstones_kept = 1h;
  options.tombstones_most = 10;
  options.tombstones_kept_least = 2s;
  ChainBench bench(1, options);
  expect_runs(bench, [](ChainBench& b) -> Task<Result<>> {
    co_await b.route({SERVING});
    for (std::uint64_t i = 0; i < 15; ++i) {
      FF_CO_TRY(co_await b.write({InodeId{17}, i}, 'a'));
      FF_CO_TRY(co_await b.remove({InodeId{17}, i}));
      if (i == 6) FF_CO_TRY(co_await runtime::sleep(1500ms));
    }
    EXPECT_EQ(b.disk(0).chunks.size(), 15u);
    FF_CO_TRY(co_await runtime::sleep(400ms));
    EXPECT_EQ(b.disk(0).chunks.size(), 15u) << "none is two seconds old";
    FF_CO_TRY(co_await b.until([&] { return b.disk(0).chunks.size() < 15; }, "the oldest go"));
    FF_CO_TRY(co_await runtime::sleep(10s));
    EXPECT_GE(b.disk(0).chunks.size(), 8u);
    EXPECT_LE(b.disk(0).chunks.size(), 10u);
    for (std::uint64_t i = 7; i < 15; ++i) EXPECT_TRUE(b.disk(0).chunks.contains({InodeId{17}, i})) << i;
    co_return {};
  });
}

TEST(TargetTombstones, TombstonesStayWhileAMemberSyncsAndTheChunkCanBeWrittenAgain) {
  TargetOptions options = ChainBench::quick_options();
  options.tombstones_kept = 200ms;
  options.resync_bytes_per_second = 16384;
  options.resync_transfers = 1;
  ChainBench bench(2, options);
  expect_runs(bench, [](ChainBench& b) -> Task<Result<>> {
    for (std::uint64_t i = 1; i < 20; ++i) b.put(0, {InodeId{17}, i}, 1, 'x', 32768);
    b.disk(0).chunks[kA].info = {.chunk = kA,
                                 .version = 7,
                                 .chain_version = 1,
                                 .chunk_bytes = ChainBench::kChunkBytes,
                                 .removed = true,
                                 .recent = {},
                                 .pending = {}};
    b.disk(0).chunks[kA].info.recent.front() = {{99, 7}, 7};
    co_await b.route({SERVING, SYNCING});
    FF_CO_TRY(co_await b.until([&] { return b.committed(1, kA) == 7; }, "the tombstone travels"));
    FF_CO_TRY(co_await runtime::sleep(1s));
    const auto written = co_await b.write(kA, 'a');
    EXPECT_TRUE(written) << (written ? "" : written.error().message());
    if (written) EXPECT_EQ(*written, 8u);
    co_return {};
  });
}

TEST(TargetResync, AnUnreadableChunkKeepsNobodyFromBecomingComplete) {
  ChainBench bench(2);
  expect_runs(bench, [](ChainBench& b) -> Task<Result<>> {
    for (std::uint64_t i = 0; i < 300; ++i) b.put(0, {InodeId{17}, i}, 1, 'x');
    b.disk(0).chunks[kA].rotten = true;
    co_await b.route({SERVING, SYNCING});
    FF_CO_TRY(co_await b.until([&] { return b.target(1).report().local() == LOCAL_UPTODATE; }, "it has what there is"));
    EXPECT_EQ(b.disk(1).chunks.size(), 300u);
    EXPECT_NE(b.target(0).report().trouble().find(to_text(kA)), std::string::npos) << b.target(0).report().trouble();
    co_await b.route({SERVING, SERVING});
    EXPECT_EQ((co_await b.read_at(1, kB)).letter, 'x');
    for (std::size_t i : {0, 1}) EXPECT_EQ((co_await b.read_at(i, kA)).code, CORRUPT) << i;
    co_return {};
  });
}

// The returning member has the very version that nobody can read any more.
TEST(TargetResync, WhatIsLostAtTheSourceIsTakenFromTheOneThatSyncs) {
  ChainBench bench(2);
  expect_runs(bench, [](ChainBench& b) -> Task<Result<>> {
    for (std::size_t i : {0, 1}) b.put(i, kA, 1, 'x');
    b.put(0, kB, 1, 'y');
    b.disk(0).chunks[kA].rotten = b.disk(0).chunks[kA].info.bad = true;
    co_await b.route({SERVING, SYNCING});
    FF_CO_TRY(co_await b.until([&] { return b.target(1).report().local() == LOCAL_UPTODATE; }, "it is complete"));
    co_await b.route({SERVING, SERVING});
    for (std::size_t i : {0, 1}) EXPECT_EQ((co_await b.read_at(i, kA)).letter, 'x') << i;
    co_return {};
  });
}

TEST(TargetResync, WaitsForItsBandwidthWithoutHoldingChunks) {
  TargetOptions options = ChainBench::quick_options();
  options.resync_bytes_per_second = 8192;
  ChainBench bench(2, options);
  expect_runs(bench, [](ChainBench& b) -> Task<Result<>> {
    for (std::uint64_t i = 0; i < 4; ++i) b.put(0, {InodeId{17}, i}, 1, 'x', 32768);
    co_await b.route({SERVING, SYNCING});
    FF_CO_TRY(co_await runtime::sleep(500ms));
    for (std::uint64_t i = 0; i < 4; ++i) {
      const runtime::Time before = b.world().now();
      EXPECT_TRUE(co_await b.write({InodeId{17}, i}, 'a'));
      EXPECT_LT(b.world().now() - before, 600ms) << i;
    }
    co_return {};
  });
}

TEST(TargetResync, SurvivesThatWhatItWouldHalveIsGone) {
  ChainBench bench(2);
  expect_runs(bench, [](ChainBench& b) -> Task<Result<>> {
    for (std::uint64_t i = 0; i < 300; ++i) b.put(0, {InodeId{17}, i}, 1, 'x');
    b.put(1, kA, 9, 'y');
    b.world().pause(b.node(1));
    co_await b.route({SERVING, SYNCING});
    FF_CO_TRY(co_await runtime::sleep(100ms));
    b.disk(0).chunks.clear();
    b.world().resume(b.node(1));
    co_return co_await b.until([&] { return b.disk(1).chunks.empty(); }, "both are empty");
  });
}

TEST(TargetSettle, UpdatesThatCannotBeFinishedKeepNoOtherFromIt) {
  TargetOptions options = ChainBench::quick_options();
  options.update_timeout = 200ms;
  ChainBench bench(2, options);
  expect_runs(bench, [](ChainBench& b) -> Task<Result<>> {
    runtime::Scope scope(co_await runtime::current_context());
    co_await b.route({SERVING, SERVING});
    constexpr std::uint64_t kMany = 100;
    std::vector<std::optional<Result<ChunkVersion>>> told(kMany + 1);
    for (std::uint64_t i = 0; i <= kMany; ++i) {
      b.disk(1).full.insert({InodeId{17}, i});
      scope.spawn(write_and_tell(&b, {InodeId{17}, i}, 'a', &told[i]));
    }
    FF_CO_TRY(co_await b.until(
        [&] { return std::ranges::all_of(told, [](const auto& one) { return one.has_value(); }); }, "all have failed"));
    b.disk(1).full.erase({InodeId{17}, kMany});
    FF_CO_TRY(co_await b.until([&] { return b.committed(1, {InodeId{17}, kMany}) == 1; }, "the last one is finished"));
    co_return co_await scope.join();
  });
}

TEST(TargetUpdate, WhatClientsHaveGivenUpIsBounded) {
  TargetOptions options = ChainBench::quick_options();
  options.update_bytes_most = 1u << 20;
  ChainBench bench(2, options);
  expect_runs(bench, [](ChainBench& b) -> Task<Result<>> {
    runtime::Scope scope(co_await runtime::current_context());
    co_await b.route({SERVING, SERVING});
    b.hold(0, ModelStep::kStage, kA);
    b.hold(1, ModelStep::kStage, kA);
    std::vector<std::optional<Result<ChunkVersion>>> told(30);
    for (auto& one : told) scope.spawn(write_and_tell(&b, kA, 'a', &one, 60000));
    std::uint64_t most = 0;
    for (int i = 0; i < 500; ++i) {
      FF_CO_TRY(co_await runtime::sleep(10ms));
      most = std::max(most, b.target(0).update_bytes());
    }
    EXPECT_LE(most, 1u << 20);
    EXPECT_GT(most, 1u << 19);
    b.release(0, ModelStep::kStage, kA);
    b.release(1, ModelStep::kStage, kA);
    FF_CO_TRY(co_await scope.join());
    EXPECT_TRUE(std::ranges::any_of(told, [](const auto& one) { return one && *one; }));
    FF_CO_TRY(co_await runtime::sleep(5s));
    EXPECT_EQ(b.target(0).update_bytes(), 0u);
    co_return {};
  });
}

TEST(TargetForward, AVersionOfZeroIsRefused) {
  ChainBench bench(2);
  expect_runs(bench, [](ChainBench& b) -> Task<Result<>> {
    co_await b.route({SERVING, SERVING});
    ForwardRequest request;
    request.set_chain(number(ChainBench::kChain));
    request.set_chain_version(b.version());
    request.set_from_target(number(ChainBench::id(0)));
    request.set_target(number(ChainBench::id(1)));
    UpdateOp& op = *request.add_ops()->mutable_update();
    set(*op.mutable_chunk(), kA);
    op.set_type(REMOVE);
    op.set_chunk_bytes(ChainBench::kChunkBytes);
    set(*op.mutable_tag(), UpdateTag{7, 1});
    FF_CO_TRY_ASSIGN(const auto reply, co_await ChunksClient(b.peer(1)).forward(request, {.timeout = 1s}));
    EXPECT_EQ(reply.ops(0).code(), STORAGE_INVALID);
    EXPECT_TRUE(b.target(1).status().serving());
    co_return {};
  });
}

TEST(StorageServerAdd, AStoreOfAnotherClusterIsNotServed) {
  testing::SimWorld world(1);
  const testing::NodeId node = world.add_node({});
  world.start(node, [](testing::SimEnv& env) -> Task<Result<>> {
    const std::string cluster = "0123456789abcdef";
    MgmtClient mgmt(env, {net::PeerAddress{}}, {.cluster = cluster});
    StorageServer server(env, mgmt, {.cluster = cluster, .node = {}, .target = {}, .server = {}, .authorize = {}});
    ModelDisk ours, theirs;
    ours.identity.target = TargetId{1};
    std::memcpy(ours.identity.cluster.data(), cluster.data(), cluster.size());
    theirs.identity = ours.identity;
    theirs.identity.target = TargetId{2};
    theirs.identity.cluster.back() = std::byte{0};
    server.add(TargetId{1}, "one", std::make_unique<ModelStore>(env, ours));
    server.add(TargetId{2}, "two", std::make_unique<ModelStore>(env, theirs));
    EXPECT_NE(server.target(TargetId{1}), nullptr);
    EXPECT_EQ(server.target(TargetId{2}), nullptr);
    co_return {};
  });
  EXPECT_TRUE(world.run_for(10ms));
  EXPECT_TRUE(world.exited(node));
}

}  // namespace
}  // namespace ff::ffs
