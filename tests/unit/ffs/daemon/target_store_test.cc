#include "ffs/daemon/target_store.hpp"

#include <gtest/gtest.h>

#include "libcommon/testing/sim_env.hpp"
#include "libcommon/testing/sim_world.hpp"

namespace ff::ffs {
namespace {

using runtime::Task;
using testing::SimEnv;

constexpr ChunkId kChunk{InodeId{5}, 1};
const std::string kFolder = "target";

StoreIdentity identity(std::uint64_t generation) { return {.target = TargetId{7}, .generation = generation}; }
StoreOptions options() { return {.capacity_bytes = 64u << 20, .journal_bytes = 1u << 20}; }

Task<Result<std::unique_ptr<ChunkStore>>> open(SimEnv& env, std::uint64_t generation) {
  co_return co_await open_target_store(env, kFolder, identity(generation), options());
}

// Generation 1, with one chunk.
Task<Result<>> make_store(SimEnv& env) {
  FF_CO_TRY(co_await ChunkStore::format(env, kFolder, identity(1), options()));
  FF_CO_TRY_ASSIGN(const auto store, co_await ChunkStore::open(env, kFolder));
  const std::vector<std::byte> data(5000, std::byte{9});
  FF_CO_TRY(co_await store->stage({.chunk = kChunk,
                                   .kind = UpdateKind::kWrite,
                                   .data = data,
                                   .version = 1,
                                   .chain_version = 1,
                                   .tag = {.client = 5, .sequence = 1}}));
  FF_CO_TRY(store->commit(kChunk, 1, 1));
  co_return co_await store->stop();
}

// No copy of the journal's head stays good.
Task<Result<>> damage(SimEnv& env) {
  FF_CO_TRY_ASSIGN(const auto file, co_await env.disk().open(kFolder + "/journal", {.write = true}));
  const std::vector<std::byte> rot(8192, std::byte{0x5a});
  FF_CO_TRY(co_await file->write(0, rot));
  FF_CO_TRY(co_await file->sync());
  co_return co_await file->close();
}

Task<bool> is_there(SimEnv& env, std::string path) { co_return (co_await env.disk().info(path)).has_value(); }

void in_world(Task<Result<>> (*body)(SimEnv&)) {
  testing::SimWorld world(3);
  world.add_node();
  world.start(0, body);
  ASSERT_TRUE(world.run_until([&] { return world.exited(0); }, std::chrono::minutes(1)).has_value());
  const Result<>& result = world.exit_result(0);
  EXPECT_TRUE(result.has_value()) << result.error().message();
}

TEST(TargetStore, ASoundOneIsOpenedAsItIs) {
  in_world([](SimEnv& env) -> Task<Result<>> {
    FF_CO_TRY(co_await make_store(env));
    FF_CO_TRY_ASSIGN(const auto store, co_await open(env, 2));
    EXPECT_EQ(store->identity().generation, 1u);
    EXPECT_TRUE(store->info(kChunk).has_value());
    EXPECT_FALSE(co_await is_there(env, kFolder + ".damaged"));
    co_return co_await store->stop();
  });
}

TEST(TargetStore, ADamagedOneGoesAsideAndAnEmptyOneTakesItsPlace) {
  in_world([](SimEnv& env) -> Task<Result<>> {
    FF_CO_TRY(co_await make_store(env));
    FF_CO_TRY(co_await damage(env));
    FF_CO_TRY_ASSIGN(const auto store, co_await open(env, 2));
    EXPECT_EQ(store->identity().generation, 2u) << "the manager must see that it is another store";
    EXPECT_EQ(store->identity().target, TargetId{7});
    EXPECT_FALSE(store->info(kChunk).has_value());
    EXPECT_TRUE(co_await is_there(env, kFolder + ".damaged/journal")) << "nothing is deleted";
    co_return co_await store->stop();
  });
}

TEST(TargetStore, ASecondDamageKeepsTheTargetClosed) {
  in_world([](SimEnv& env) -> Task<Result<>> {
    FF_CO_TRY(co_await make_store(env));
    FF_CO_TRY(co_await damage(env));
    {
      FF_CO_TRY_ASSIGN(const auto store, co_await open(env, 2));
      FF_CO_TRY(co_await store->stop());
    }
    FF_CO_TRY(co_await damage(env));
    const auto again = co_await open(env, 3);
    EXPECT_FALSE(again.has_value());
    if (!again) {
      EXPECT_EQ(again.error().code(), Errc::kCorrupt);
      EXPECT_NE(again.error().message().find(".damaged is still there"), std::string::npos) << again.error().message();
    }
    EXPECT_TRUE(co_await is_there(env, kFolder + "/journal"));
    co_return {};
  });
}

TEST(TargetStore, AFolderThatWasNeverFormattedIsNotMade) {
  in_world([](SimEnv& env) -> Task<Result<>> {
    const auto store = co_await open(env, 2);
    EXPECT_FALSE(store.has_value());
    if (!store) EXPECT_EQ(store.error().code(), Errc::kNotFound) << store.error().message();
    EXPECT_FALSE(co_await is_there(env, kFolder));
    co_return {};
  });
}

// Killed at any moment of the exchange, the next start ends it.
TEST(TargetStore, AKillInBetweenIsMadeUpFor) {
  std::size_t interrupted = 0;
  for (int step = 0; step < 60; ++step) {
    testing::SimWorld world(static_cast<std::uint64_t>(100 + step));
    world.add_node();
    static bool begun, ended;
    static std::uint64_t generation;
    begun = ended = false;
    world.start(0, [](SimEnv& env) -> Task<Result<>> {
      FF_CO_TRY(co_await make_store(env));
      FF_CO_TRY(co_await damage(env));
      begun = true;
      FF_CO_TRY_ASSIGN(const auto store, co_await open(env, 2));
      ended = true;
      co_return co_await store->stop();
    });
    ASSERT_TRUE(world.run_until([] { return begun; }, std::chrono::minutes(1)).has_value());
    (void)world.run_for(std::chrono::microseconds(step * 100));
    interrupted += ended ? 0 : 1;
    world.kill(0, testing::Kill::kPowerCut);
    world.start(0, [](SimEnv& env) -> Task<Result<>> {
      FF_CO_TRY_ASSIGN(const auto store, co_await open(env, 3));
      generation = store->identity().generation;
      EXPECT_FALSE(store->info(kChunk).has_value());
      EXPECT_TRUE(co_await is_there(env, kFolder + ".damaged/journal"));
      co_return co_await store->stop();
    });
    ASSERT_TRUE(world.run_until([&] { return world.exited(0); }, std::chrono::minutes(1)).has_value());
    EXPECT_TRUE(world.exit_result(0).has_value()) << world.exit_result(0).error().message();
    EXPECT_GE(generation, 2u);
  }
  EXPECT_GE(interrupted, 10u);
}

}  // namespace
}  // namespace ff::ffs
