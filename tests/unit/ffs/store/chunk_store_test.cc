// The contract of ChunkStore, at its interface, on a simulated disk.
#include "ffs/store/chunk_store.hpp"

#include "tests/unit/ffs/store/store_testing.hpp"

namespace ff::ffs {
namespace {

using runtime::Task;
using testing::SimEnv;

TEST_F(ChunkStoreTest, StagedIsNotReadUntilCommitted) {
  run([](SimEnv&, ChunkStore& store) -> Task<Result<>> {
    const auto data = pattern(5000, 1);
    FF_CO_TRY_ASSIGN(const PendingInfo staged, co_await store.stage(write_update(kOne, 1, 0, data)));
    STORE_CHECK(staged.length == 5000 && staged.version == 1);
    STORE_CHECK(!(co_await read_all(store, kOne)));
    STORE_CHECK(store.info(kOne)->version == 0 && store.info(kOne)->pending->length == 5000);
    FF_CO_TRY(store.commit(kOne, 1, 9));
    FF_CO_TRY_ASSIGN(const auto got, co_await read_all(store, kOne));
    STORE_CHECK(got == data);
    const ChunkInfo info = *store.info(kOne);
    STORE_CHECK(info.version == 1 && info.chain_version == 9 && !info.pending && info.crc == staged.crc);
    STORE_CHECK((info.recent[0] == RememberedUpdate{{5, 1}, 1}));
    co_return {};
  });
}

TEST_F(ChunkStoreTest, EveryKindOfUpdateReadsAsInAPlainArray) {
  run([](SimEnv&, ChunkStore& store) -> Task<Result<>> {
    std::vector<std::byte> model;
    Rng rng(3);
    for (ChunkVersion version = 1; version <= 300; ++version) {
      const std::uint64_t what = rng.below(10);
      ChunkUpdate update;
      std::vector<std::byte> data;
      if (what == 0) {
        const auto length = static_cast<std::uint32_t>(rng.below(400'000));
        update = truncate_update(kOne, version, length);
        model.resize(length);
      } else {
        const std::size_t most = what < 6 ? 30'000 : 300'000;
        std::uint32_t offset = static_cast<std::uint32_t>(rng.below(600'000));
        if (what % 2 == 0) offset = static_cast<std::uint32_t>(std::min<std::size_t>(model.size(), 700'000));
        if (what == 9) offset = offset / 4096 * 4096;
        data = pattern(rng.below(most) + 1, version);
        update = write_update(kOne, version, offset, data);
        if (model.size() < offset + data.size()) model.resize(offset + data.size());
        std::ranges::copy(data, model.begin() + offset);
      }
      FF_CO_TRY(co_await store.stage(update));
      std::vector<std::byte> pending(1u << 20);
      FF_CO_TRY_ASSIGN(const ReadResult read, co_await store.read_pending(kOne, 0, pending));
      pending.resize(read.bytes);
      STORE_CHECK(pending == model);
      FF_CO_TRY(store.commit(kOne, version, 1));
      FF_CO_TRY_ASSIGN(const auto got, co_await read_all(store, kOne));
      STORE_CHECK(got == model);
    }
    co_return {};
  });
}

TEST_F(ChunkStoreTest, WhatWasStagedSurvivesAPowerCut) {
  const auto data = pattern(300'000, 1), patch = pattern(100, 2);
  run_and_cut([&](SimEnv&, ChunkStore& store) -> Task<Result<>> {
    FF_CO_TRY(co_await stage_and_commit(store, write_update(kOne, 1, 0, data)));
    FF_CO_TRY(co_await store.stage(write_update(kOne, 2, 1000, patch)));
    co_return {};
  });
  auto expected = data;
  std::ranges::copy(patch, expected.begin() + 1000);
  run([&](SimEnv&, ChunkStore& store) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const auto committed, co_await read_all(store, kOne));
    STORE_CHECK(committed == data);
    FF_CO_TRY(store.commit(kOne, 2, 1));
    FF_CO_TRY_ASSIGN(const auto got, co_await read_all(store, kOne));
    STORE_CHECK(got == expected);
    co_return {};
  });
  run([&](SimEnv&, ChunkStore& store) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const auto got, co_await read_all(store, kOne));
    STORE_CHECK(got == expected);
    co_return {};
  });
}

std::vector<std::uint64_t> indices(const std::vector<ChunkInfo>& chunks) {
  std::vector<std::uint64_t> out;
  for (const ChunkInfo& info : chunks) out.push_back(info.chunk.index);
  return out;
}

TEST_F(ChunkStoreTest, WhatIsPendingAndWhatIsRemovedCanBeListed) {
  using Indices = std::vector<std::uint64_t>;
  const auto at = [](std::uint64_t index) { return ChunkId{InodeId{17}, index}; };
  const auto data = pattern(100, 1);
  const auto expect = [](const ChunkStore& store, const Indices& pending, const Indices& removed) {
    EXPECT_EQ(indices(store.marked(ChunkMark::kPending, {}, 100)), pending);
    EXPECT_EQ(indices(store.marked(ChunkMark::kRemoved, {}, 100)), removed);
  };
  run([&](testing::SimEnv&, ChunkStore& store) -> runtime::Task<Result<>> {
    for (std::uint64_t i = 0; i < 6; ++i) FF_CO_TRY(co_await store.stage(write_update(at(i), 1, 0, data)));
    expect(store, {0, 1, 2, 3, 4, 5}, {});
    EXPECT_EQ(indices(store.marked(ChunkMark::kPending, at(2), 2)), (Indices{2, 3}));
    FF_CO_TRY(store.abort(at(0)));
    for (std::uint64_t i = 1; i < 5; ++i) FF_CO_TRY(store.commit(at(i), 1, 1));
    expect(store, {5}, {});
    for (std::uint64_t i = 1; i < 4; ++i) FF_CO_TRY(co_await stage_and_commit(store, remove_update(at(i), 2)));
    FF_CO_TRY(co_await store.stage(write_update(at(3), 3, 0, data)));
    expect(store, {3, 5}, {1, 2, 3});
    FF_CO_TRY(store.purge(at(1)));
    ChunkInfo info = *store.info(at(4));
    info.chunk = at(2);
    info.version = 7;
    FF_CO_TRY(co_await store.install(info, data));
    expect(store, {3, 5}, {3});
    co_return {};
  });
  run([&](testing::SimEnv&, ChunkStore& store) -> runtime::Task<Result<>> {
    expect(store, {3, 5}, {3});
    FF_CO_TRY(store.purge(at(3)));
    FF_CO_TRY(store.commit(at(5), 1, 1));
    expect(store, {}, {});
    co_return {};
  });
}

}  // namespace
}  // namespace ff::ffs
