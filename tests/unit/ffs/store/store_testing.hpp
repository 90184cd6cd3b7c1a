// What the tests of the chunk store share: a store on a simulated disk, and short ways to make updates.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ffs/store/chunk_store.hpp"
#include "libcommon/testing/sim_env.hpp"
#include "libcommon/testing/sim_world.hpp"

namespace ff::ffs {

inline constexpr ChunkId kOne{InodeId{17}, 3};
inline constexpr const char* kFolder = "store";

inline StoreIdentity test_identity() {
  StoreIdentity identity{.cluster = {}, .target = TargetId{7}, .generation = 0x1122334455667788};
  for (std::size_t i = 0; i < identity.cluster.size(); ++i) identity.cluster[i] = std::byte(i + 1);
  return identity;
}
inline StoreOptions small_options() {
  return {.capacity_bytes = 64u << 20, .checksum_bytes = 4096, .journal_bytes = 1u << 20, .direct = true};
}

// `bytes` that depend on `seed` and the place.
inline std::vector<std::byte> pattern(std::size_t bytes, std::uint64_t seed) {
  std::vector<std::byte> out(bytes);
  Rng rng(seed);
  for (std::size_t i = 0; i < bytes; i += 8) {
    const std::uint64_t word = rng.next();
    std::memcpy(out.data() + i, &word, std::min<std::size_t>(8, bytes - i));
  }
  return out;
}

inline ChunkUpdate write_update(ChunkId chunk, ChunkVersion version, std::uint32_t offset,
                                std::span<const std::byte> data) {
  return {.chunk = chunk,
          .kind = UpdateKind::kWrite,
          .offset = offset,
          .data = data,
          .version = version,
          .chain_version = 1,
          .tag = {.client = 5, .sequence = version}};
}
inline ChunkUpdate truncate_update(ChunkId chunk, ChunkVersion version, std::uint32_t length) {
  return {.chunk = chunk,
          .kind = UpdateKind::kTruncate,
          .data = {},
          .length = length,
          .version = version,
          .chain_version = 1,
          .tag = {.client = 5, .sequence = version}};
}
inline ChunkUpdate remove_update(ChunkId chunk, ChunkVersion version) {
  return {.chunk = chunk,
          .kind = UpdateKind::kRemove,
          .data = {},
          .version = version,
          .chain_version = 1,
          .tag = {.client = 5, .sequence = version}};
}

inline runtime::Task<Result<>> stage_and_commit(ChunkStore& store, ChunkUpdate update) {
  FF_CO_TRY(co_await store.stage(update));
  co_return store.commit(update.chunk, update.version, update.chain_version);
}

inline runtime::Task<Result<std::vector<std::byte>>> read_all(ChunkStore& store, ChunkId chunk) {
  std::vector<std::byte> out(1u << 20);
  FF_CO_TRY_ASSIGN(const ReadResult read, co_await store.read(chunk, 0, out));
  out.resize(read.bytes);
  co_return out;
}

// Runs `body` on a node of a new world with a formatted store; what it returns.
// StoreBody: Task<Result<>>(testing::SimEnv&, ChunkStore&).

inline Result<> run_node(testing::SimWorld& world, testing::NodeId node, testing::Main main) {
  world.start(node, std::move(main));
  FF_TRY(world.run_until([&world, node] { return world.exited(node); }, std::chrono::hours(1), "the test's body"));
  return world.exit_result(node);
}

// Opens, runs `body`, stops.
template <class StoreBody>
Result<> with_store(testing::SimWorld& world, testing::NodeId node, const StoreBody& body) {
  return run_node(world, node, [&body](testing::SimEnv& env) -> runtime::Task<Result<>> {
    FF_CO_TRY_ASSIGN(auto store, co_await ChunkStore::open(env, kFolder));
    Result<> done = co_await body(env, *store);
    Result<> stopped = co_await store->stop();
    if (!done) co_return done;
    co_return stopped;
  });
}

// Opens, runs `body`, then the power goes.
template <class StoreBody>
Result<> with_store_cut(testing::SimWorld& world, testing::NodeId node, const StoreBody& body) {
  auto ended = std::make_shared<std::optional<Result<>>>();
  world.start(node, [&body, ended](testing::SimEnv& env) -> runtime::Task<Result<>> {
    auto store = co_await ChunkStore::open(env, kFolder);
    if (!store) {
      *ended = std::unexpected(store.error());
      co_return {};
    }
    *ended = co_await body(env, **store);
    for (;;) FF_CO_TRY(co_await runtime::sleep(std::chrono::hours(1)));
  });
  FF_TRY(world.run_until([ended] { return ended->has_value(); }, std::chrono::minutes(10), "the test's body"));
  world.kill(node);
  return **ended;
}

// What a body checks becomes its result, so that the world ends in order.
#define STORE_CHECK(condition)                                               \
  do {                                                                       \
    if (!(condition)) {                                                      \
      ADD_FAILURE() << #condition;                                           \
      co_return fail(Errc::kInternal, std::string("not so: ") + #condition); \
    }                                                                        \
  } while (false)

// A formatted store on a simulated machine.
class ChunkStoreTest : public ::testing::Test {
 protected:
  ChunkStoreTest() : ChunkStoreTest(small_options()) {}
  explicit ChunkStoreTest(StoreOptions options) {
    const Result<> formatted = run_node(world_, node_, [options](testing::SimEnv& env) -> runtime::Task<Result<>> {
      co_return co_await ChunkStore::format(env, kFolder, test_identity(), options);
    });
    EXPECT_TRUE(formatted) << formatted.error().message();
  }
  template <class StoreBody>
  void run(const StoreBody& body) {
    const Result<> result = with_store(world_, node_, body);
    EXPECT_TRUE(result) << result.error().message();
  }
  template <class StoreBody>
  void run_and_cut(const StoreBody& body) {
    const Result<> result = with_store_cut(world_, node_, body);
    EXPECT_TRUE(result) << result.error().message();
  }

  testing::SimWorld world_{1};
  testing::NodeId node_ = world_.add_node();
};

}  // namespace ff::ffs
