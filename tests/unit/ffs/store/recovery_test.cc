// Recovery with little room: a journal full of pending updates, kills during recovery, an overfull disk.
#include "libcommon/testing/sim_disk.hpp"
#include "tests/unit/ffs/store/store_testing.hpp"

namespace ff::ffs {
namespace {

using runtime::Task;
using testing::SimEnv;

StoreOptions tight_options() {
  StoreOptions options = small_options();
  options.journal_bytes = 256u << 10;
  return options;
}

class StoreRecovery : public ChunkStoreTest {
 protected:
  StoreRecovery() : ChunkStoreTest(tight_options()) {}

  static ChunkId chunk(std::uint64_t index) { return {InodeId{30}, index}; }
  // Opens the store and stays until it is killed at some moment of the recovery.
  void open_and_kill(runtime::Duration after, testing::Kill how) {
    world_.start(node_, [](SimEnv& env) -> Task<Result<>> {
      FF_CO_TRY_ASSIGN(const auto store, co_await ChunkStore::open(env, kFolder));
      for (;;) FF_CO_TRY(co_await runtime::sleep(std::chrono::hours(1)));
    });
    ASSERT_TRUE(world_.run_for(after));
    ASSERT_FALSE(world_.exited(node_)) << world_.exit_result(node_).error().message();
    world_.kill(node_, how);
  }
};

TEST_F(StoreRecovery, KilledDuringRecoveryAgainAndAgainItStillOpens) {
  const auto data = pattern(3000, 1);
  std::uint64_t pending = 0;
  ChunkVersion written = 0;
  for (int round = 0; round < 14; ++round) {
    world_.start(node_, [&](SimEnv& env) -> Task<Result<>> {
      FF_CO_TRY_ASSIGN(const auto store, co_await ChunkStore::open(env, kFolder));
      for (;; ++pending) {
        auto staged = co_await store->stage(write_update(chunk(pending), 1, 0, data));
        if (!staged && staged.error().code() == Errc::kUnavailable) break;
        FF_CO_TRY(staged);
      }
      FF_CO_TRY(store->abort(chunk(--pending)));
      for (;;) {
        FF_CO_TRY(co_await store->sync());  // what is over gives its room back then
        FF_CO_TRY(co_await store->stage(write_update(kOne, written + 1, 0, data)));
        FF_CO_TRY(store->commit(kOne, ++written, 1));
      }
    });
    ASSERT_TRUE(world_.run_for(std::chrono::milliseconds(40 + 17 * round)));
    ASSERT_FALSE(world_.exited(node_)) << world_.exit_result(node_).error().message();
    world_.kill(node_);
    // Always at the same place of it, so that what each leaves adds up.
    for (int kill = 0; kill < 12; ++kill) {
      open_and_kill(std::chrono::microseconds(2000 + 600 * round),
                    kill % 3 == 0 ? testing::Kill::kPowerCut : testing::Kill::kProcess);
    }
    run([&](SimEnv&, ChunkStore& store) -> Task<Result<>> {
      for (std::uint64_t i = 0; i < pending; ++i) {
        STORE_CHECK(store.info(chunk(i)) && store.info(chunk(i))->pending);
        std::vector<std::byte> bytes(data.size());
        FF_CO_TRY(co_await store.read_pending(chunk(i), 0, bytes));
        STORE_CHECK(bytes == data);
        if (i % 2 == 0) FF_CO_TRY(store.abort(chunk(i)));
      }
      const auto info = store.info(kOne);
      written = info->version;
      if (info->pending) FF_CO_TRY(store.abort(kOne));
      FF_CO_TRY(co_await store.sync());
      for (std::uint64_t i = 1; i < pending; i += 2) FF_CO_TRY(store.abort(chunk(i)));
      pending = 0;
      co_return {};
    });
  }
}

// Recovery reads a commit whose sync has failed from the cache, and applies it to the block; then the power goes.
TEST_F(StoreRecovery, WhatOnlyTheCacheHadIsDurableBeforeRecoveryActsOnIt) {
  const auto whole = pattern(3000, 1), patch = pattern(3000, 2);
  for (int round = 0; round < 150; ++round) {
    run([&](SimEnv&, ChunkStore& store) -> Task<Result<>> {
      if (store.info(kOne)) FF_CO_TRY(store.purge(kOne));
      FF_CO_TRY(co_await store.sync());
      co_return co_await stage_and_commit(store, write_update(kOne, 1, 0, whole));
    });
    world_.start(node_, [&](SimEnv& env) -> Task<Result<>> {
      FF_CO_TRY_ASSIGN(const auto store, co_await ChunkStore::open(env, kFolder));
      FF_CO_TRY(co_await store->stage(write_update(kOne, 2, 0, patch)));
      env.world().storage(env.node()).model().sync_error = 1;
      FF_CO_TRY(store->commit(kOne, 2, 1));
      for (;;) FF_CO_TRY(co_await runtime::sleep(std::chrono::hours(1)));
    });
    ASSERT_TRUE(world_.run_for(std::chrono::seconds(1)));
    ASSERT_FALSE(world_.exited(node_)) << world_.exit_result(node_).error().message();
    world_.kill(node_, testing::Kill::kProcess);
    world_.storage(node_).model().sync_error = 0;
    open_and_kill(std::chrono::microseconds(world_.rng().below(6000)), testing::Kill::kPowerCut);
    run([&](SimEnv&, ChunkStore& store) -> Task<Result<>> {
      const ChunkVersion version = store.info(kOne)->version;
      FF_CO_TRY_ASSIGN(const auto bytes, co_await read_all(store, kOne));
      STORE_CHECK(bytes == (version == 1 ? whole : patch));
      co_return {};
    });
  }
}

TEST_F(StoreRecovery, PendingUpdatesBeyondTheJournalAreRefusedForNow) {
  const auto data = pattern(3000, 1);
  run([&](SimEnv&, ChunkStore& store) -> Task<Result<>> {
    Result<PendingInfo> staged;
    std::uint64_t count = 0;
    for (; count < 1000; ++count) {
      staged = co_await store.stage(write_update(chunk(count), 1, 0, data));
      if (!staged) break;
    }
    STORE_CHECK(count > 3 && count < 20);  // an eighth of 256 KiB, in records of some 4.6 KiB
    STORE_CHECK(staged.error().code() == Errc::kUnavailable);
    FF_CO_TRY(store.commit(chunk(0), 1, 1));
    FF_CO_TRY(co_await store.sync());
    FF_CO_TRY(co_await store.stage(write_update(chunk(count), 1, 0, data)));
    co_return {};
  });
}

TEST_F(StoreRecovery, AnUpdateThatTheJournalCanNeverHoldIsExhausted) {
  run([](SimEnv&, ChunkStore& store) -> Task<Result<>> {
    ChunkUpdate update = truncate_update(kOne, 1, 64u << 20);
    update.chunk_bytes = 64u << 20;
    const auto staged = co_await store.stage(update);
    STORE_CHECK(!staged && staged.error().code() == Errc::kExhausted);
    STORE_CHECK(staged.error().message().find("larger journal") != std::string::npos);
    co_return {};
  });
}

// The blocks that go free are those of a batch that is being written, or waits to be.
TEST_F(StoreRecovery, AFullDiskTakesOverwritesOfWhatItHas) {
  StoreOptions options = tight_options();
  options.capacity_bytes = 8 * (128u << 10);
  const auto data = pattern(100'000, 1);
  const testing::NodeId node = world_.add_node();
  const Result<> formatted = run_node(world_, node, [&](SimEnv& env) -> Task<Result<>> {
    co_return co_await ChunkStore::format(env, kFolder, test_identity(), options);
  });
  ASSERT_TRUE(formatted) << formatted.error().message();
  const Result<> done = with_store(world_, node, [&](SimEnv&, ChunkStore& store) -> Task<Result<>> {
    std::uint64_t chunks = 0;
    for (;; ++chunks) {
      auto staged = co_await store.stage(write_update(chunk(chunks), 1, 0, data));
      if (!staged && staged.error().code() == Errc::kExhausted) break;
      FF_CO_TRY(staged);
      FF_CO_TRY(store.commit(chunk(chunks), 1, 1));
    }
    STORE_CHECK(chunks == 8);
    FF_CO_TRY(co_await stage_and_commit(store, remove_update(chunk(7), 2)));
    for (ChunkVersion version = 2; version < 60; ++version) {
      FF_CO_TRY(co_await stage_and_commit(store, write_update(chunk(version % 2), (version + 2) / 2, 0, data)));
    }
    co_return {};
  });
  EXPECT_TRUE(done) << done.error().message();
}

TEST_F(StoreRecovery, BlocksOfLargeChunksServeSmallOnesOnAFullDisk) {
  const auto large = pattern(1u << 20, 1), small = pattern(60'000, 2);
  const auto fill_and_remove = [&](SimEnv&, ChunkStore& store) -> Task<Result<>> {
    std::uint64_t chunks = 0;
    for (;; ++chunks) {
      auto staged = co_await store.stage(write_update(chunk(chunks), 1, 0, large));
      if (!staged && staged.error().code() == Errc::kExhausted) break;
      FF_CO_TRY(staged);
      FF_CO_TRY(store.commit(chunk(chunks), 1, 1));
    }
    STORE_CHECK(chunks == 64);
    for (std::uint64_t i = 0; i < chunks; ++i) {
      FF_CO_TRY(co_await stage_and_commit(store, remove_update(chunk(i), 2)));
    }
    for (std::uint64_t i = 0; i < 10; ++i) {
      FF_CO_TRY(co_await stage_and_commit(store, write_update(chunk(i), 3, 0, small)));
    }
    co_return {};
  };
  run(fill_and_remove);
  run([&](SimEnv&, ChunkStore& store) -> Task<Result<>> {
    for (std::uint64_t i = 0; i < 10; ++i) {
      FF_CO_TRY_ASSIGN(const auto bytes, co_await read_all(store, chunk(i)));
      STORE_CHECK(bytes == small);
    }
    co_return {};
  });
}

}  // namespace
}  // namespace ff::ffs
