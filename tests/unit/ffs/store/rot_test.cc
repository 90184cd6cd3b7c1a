// What the disk does to a store at rest: what was acknowledged is there or reported as damaged, never silently gone.
#include <fmt/core.h>

#include "ffs/store/journal.hpp"
#include "libcommon/testing/sim_disk.hpp"
#include "tests/unit/ffs/store/store_testing.hpp"

namespace ff::ffs {
namespace {

using runtime::Task;
using testing::SimEnv;

constexpr const char* kJournal = "store/journal";
constexpr const char* kBlocks = "store/blocks.128KiB";  // where 100'000 bytes go

struct BatchPlace {
  BatchHeader header;
  std::size_t at = 0;  // in the file
};

class StoreRot : public ChunkStoreTest {
 protected:
  testing::SimStorage& storage() { return world_.storage(node_); }
  std::vector<std::byte> journal() { return *storage().contents(kJournal); }
  BatchPlace last_batch() {
    const auto bytes = journal();
    BatchPlace last;
    for (std::size_t at = kJournalRingAt; at < bytes.size(); at += kJournalUnit) {
      BatchHeader header;
      const auto sector = std::span(bytes).subspan(at, kSectorBytes);
      if (look_at_batch_start(sector, header) != BatchState::kWhole) continue;
      if (header.sequence > last.header.sequence) last = {header, at};
    }
    return last;
  }
  void flip(const char* path, std::uint64_t offset) {
    const Result<> flipped = storage().flip_bit(path, offset, 3);
    ASSERT_TRUE(flipped) << flipped.error().message();
  }
  // Opens, looks, stops.
  Result<> open() {
    return with_store(world_, node_, [](SimEnv&, ChunkStore&) -> Task<Result<>> { co_return {}; });
  }
  // The large update of version 1 is pending, and reported as damaged.
  void expect_damaged_pending() {
    run([](SimEnv&, ChunkStore& store) -> Task<Result<>> {
      const auto info = store.info(kOne);
      STORE_CHECK(info && info->pending && info->pending->version == 1 && info->pending->length == 100'000);
      std::vector<std::byte> bytes(100'000);
      const auto read = co_await store.read_pending(kOne, 0, bytes);
      STORE_CHECK(!read && read.error().code() == Errc::kCorrupt);
      co_return {};
    });
  }

  const std::vector<std::byte> large_ = pattern(100'000, 1);
};

TEST_F(StoreRot, RottenDataOfTheLastUpdateIsReportedNotForgotten) {
  run_and_cut([this](SimEnv&, ChunkStore& store) -> Task<Result<>> {
    FF_CO_TRY(co_await store.stage(write_update(kOne, 1, 0, large_)));
    co_return {};
  });
  flip(kBlocks, 50'000);
  expect_damaged_pending();
  // Committed in ignorance, it is a bad chunk of the new version, not the one before.
  run([](SimEnv&, ChunkStore& store) -> Task<Result<>> {
    FF_CO_TRY(store.commit(kOne, 1, 1));
    const auto read = co_await read_all(store, kOne);
    STORE_CHECK(!read && read.error().code() == Errc::kCorrupt);
    STORE_CHECK(store.info(kOne)->version == 1 && store.info(kOne)->bad);
    co_return {};
  });
}

// After a clean stop the journal begins with a batch that repeats what is pending.
TEST_F(StoreRot, RottenDataOfARepeatedRecordIsReportedNotForgotten) {
  run([this](SimEnv&, ChunkStore& store) -> Task<Result<>> {
    FF_CO_TRY(co_await store.stage(write_update(kOne, 1, 0, large_)));
    co_return {};
  });
  EXPECT_EQ(last_batch().header.flags & kOnlyRepeats, kOnlyRepeats);
  flip(kBlocks, 99'999);
  expect_damaged_pending();
  expect_damaged_pending();
}

// Another chunk's damage is found before: its mark is the journal's last batch.
TEST_F(StoreRot, AMarkOfDamageIsKeptAndHarmsNoPendingUpdate) {
  const auto small = pattern(100, 2);
  run([&](SimEnv&, ChunkStore& store) -> Task<Result<>> {
    FF_CO_TRY(co_await stage_and_commit(store, write_update(kOne, 1, 0, large_)));
    co_return {};
  });
  flip(kBlocks, 50'000);
  run_and_cut([&](SimEnv&, ChunkStore& store) -> Task<Result<>> {
    FF_CO_TRY(co_await store.stage(write_update(kOne, 2, 99'000, small)));
    STORE_CHECK(!(co_await store.verify(kOne)));
    FF_CO_TRY(co_await store.sync());
    co_return {};
  });
  for (int i = 0; i < 2; ++i) {
    run([](SimEnv&, ChunkStore& store) -> Task<Result<>> {
      const auto info = store.info(kOne);
      STORE_CHECK(info && info->bad && info->version == 1 && info->pending && info->pending->version == 2);
      co_return {};
    });
  }
}

// A chunk that only the tables know of.
TEST_F(StoreRot, AMarkOfDamageOutlivesAPowerCut) {
  run([&](SimEnv&, ChunkStore& store) -> Task<Result<>> {
    co_return co_await stage_and_commit(store, write_update(kOne, 1, 0, large_));
  });
  flip(kBlocks, 50'000);
  run_and_cut([](SimEnv&, ChunkStore& store) -> Task<Result<>> {
    STORE_CHECK(!(co_await store.verify(kOne)));
    co_return co_await store.sync();
  });
  flip(kBlocks, 50'000);  // as it was: only the mark says so now
  run_and_cut([](SimEnv&, ChunkStore& store) -> Task<Result<>> {
    STORE_CHECK(store.info(kOne)->bad);
    co_return {};
  });
  run([this](SimEnv&, ChunkStore& store) -> Task<Result<>> {
    STORE_CHECK(store.info(kOne)->bad);
    ChunkInfo info = *store.info(kOne);
    FF_CO_TRY(co_await store.install(info, large_));
    STORE_CHECK(!store.info(kOne)->bad);
    co_return {};
  });
  run([](SimEnv&, ChunkStore& store) -> Task<Result<>> {
    STORE_CHECK(!store.info(kOne)->bad);
    co_return {};
  });
}

// A disk tells of most of its lost sectors with an error: another replica's copy is the remedy for it as for a flipped
// bit.
TEST_F(StoreRot, ASectorThatCannotBeReadIsAMismatch) {
  const auto part = pattern(100, 2);
  run([this](SimEnv&, ChunkStore& store) -> Task<Result<>> {
    co_return co_await stage_and_commit(store, write_update(kOne, 1, 0, large_));
  });
  ASSERT_TRUE(storage().damage(kBlocks, 50'000));
  run([&](SimEnv&, ChunkStore& store) -> Task<Result<>> {
    const auto read = co_await read_all(store, kOne);
    STORE_CHECK(!read && read.error().code() == Errc::kCorrupt);
    STORE_CHECK(store.info(kOne)->bad && !store.failed());
    const auto staged = co_await store.stage(write_update(kOne, 2, 50'010, part));
    STORE_CHECK(!staged && staged.error().code() == Errc::kCorrupt);
    FF_CO_TRY(co_await store.install(*store.info(kOne), large_));
    STORE_CHECK(!store.info(kOne)->bad);
    co_return co_await store.verify(kOne);
  });
}

// Found unreadable once, and readable since: by itself, or because it was written over.
TEST_F(StoreRot, AChunkThatIsWholeAgainIsNotBadAnyMore) {
  const auto part = pattern(8192, 2);
  run([this](SimEnv&, ChunkStore& store) -> Task<Result<>> {
    co_return co_await stage_and_commit(store, write_update(kOne, 1, 0, large_));
  });
  flip(kBlocks, 50'000);
  run([&](SimEnv&, ChunkStore& store) -> Task<Result<>> {
    STORE_CHECK(!(co_await store.verify(kOne)) && store.info(kOne)->bad);
    FF_CO_TRY(co_await stage_and_commit(store, write_update(kOne, 2, 49'152, part)));
    STORE_CHECK(store.info(kOne)->bad);
    FF_CO_TRY(co_await store.verify(kOne));
    STORE_CHECK(!store.info(kOne)->bad);
    co_return co_await store.sync();
  });
  run_and_cut([](SimEnv&, ChunkStore& store) -> Task<Result<>> {
    STORE_CHECK(store.info(kOne)->version == 2 && !store.info(kOne)->bad);
    co_return co_await store.verify(kOne);
  });
}

TEST_F(StoreRot, AFlippedBitInAnySectorOfTheLastBatchIsReported) {
  const auto data = pattern(6000, 1);
  run_and_cut([&](SimEnv&, ChunkStore& store) -> Task<Result<>> {
    FF_CO_TRY(co_await store.stage(write_update(kOne, 1, 0, data)));
    co_return {};
  });
  const BatchPlace last = last_batch();
  ASSERT_GT(last.header.payload_bytes, 8192u);
  for (std::size_t at = 0; at < batch_bytes(last.header.payload_bytes); at += kSectorBytes) {
    const std::uint64_t place = last.at + at + (at * 7 + 5) % kSectorBytes;
    flip(kJournal, place);
    const Result<> opened = open();
    ASSERT_FALSE(opened) << at;
    EXPECT_EQ(opened.error().code(), Errc::kCorrupt) << opened.error().message();
    EXPECT_NE(opened.error().message().find("may have been acknowledged"), std::string::npos);
    flip(kJournal, place);
  }
  run([&](SimEnv&, ChunkStore& store) -> Task<Result<>> {
    STORE_CHECK(store.info(kOne) && store.info(kOne)->pending);
    co_return {};
  });
}

// What a power cut leaves of a batch that nobody was told of: sectors of before, or none.
TEST_F(StoreRot, ATornLastBatchIsTheEnd) {
  const auto data = pattern(6000, 1);
  run_and_cut([&](SimEnv&, ChunkStore& store) -> Task<Result<>> {
    FF_CO_TRY(co_await stage_and_commit(store, write_update(kOne, 1, 0, data)));
    FF_CO_TRY(co_await store.sync());
    FF_CO_TRY(co_await store.stage(write_update(kOne, 2, 0, data)));
    co_return {};
  });
  const BatchPlace last = last_batch();
  const auto whole = journal();
  for (std::size_t at = 0; at < batch_bytes(last.header.payload_bytes); at += kSectorBytes) {
    for (const bool older : {false, true}) {
      auto torn = whole;
      const auto sector = std::span(torn).subspan(last.at + at, kSectorBytes);
      std::ranges::fill(sector, std::byte{0});
      if (older) seal_sector(sector, 12345);
      storage().install(kJournal, testing::SparseBytes::of(torn));
      run_and_cut([](SimEnv&, ChunkStore& store) -> Task<Result<>> {
        STORE_CHECK(store.info(kOne) && store.info(kOne)->version == 1 && !store.info(kOne)->pending);
        co_return {};
      });
    }
  }
}

TEST_F(StoreRot, ALostBatchBeforeOthersIsReported) {
  const auto data = pattern(600, 1);
  std::vector<BatchPlace> batches;
  run_and_cut([&](SimEnv&, ChunkStore& store) -> Task<Result<>> {
    FF_CO_TRY(co_await stage_and_commit(store, write_update(kOne, 1, 0, data)));
    batches.push_back(last_batch());
    FF_CO_TRY(co_await stage_and_commit(store, write_update(kOne, 2, 0, data)));
    co_return {};
  });
  auto lost = journal();
  std::ranges::fill(std::span(lost).subspan(batches[0].at, kJournalUnit), std::byte{0});
  storage().install(kJournal, testing::SparseBytes::of(lost));
  const Result<> opened = open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), Errc::kCorrupt);
  EXPECT_NE(opened.error().message().find("but later ones are"), std::string::npos) << opened.error().message();
}

TEST_F(StoreRot, AnUnreadableSectorThatIsNotNeededKeepsNobodyOut) {
  const auto data = pattern(600, 1);
  ChunkVersion version = 0;
  for (const auto& [path, at] : std::vector<std::pair<const char*, std::uint64_t>>{
           {"store/superblock", 0}, {"store/superblock", 4096}, {kJournal, 0}, {kJournal, 4096}, {kJournal, 900'000}}) {
    ++version;
    run_and_cut([&](SimEnv&, ChunkStore& store) -> Task<Result<>> {
      FF_CO_TRY(co_await stage_and_commit(store, write_update(kOne, version, 0, data)));
      co_return co_await store.sync();
    });
    ASSERT_TRUE(storage().damage(path, at));
    run([&](SimEnv&, ChunkStore& store) -> Task<Result<>> {
      STORE_CHECK(store.info(kOne) && store.info(kOne)->version == version);
      co_return {};
    });
    if (std::string_view(path) == "store/superblock") {
      storage().install(path, testing::SparseBytes::of(*storage().contents(path)));
    }
  }
}

TEST_F(StoreRot, BothSuperblocksUnreadableIsAnErrorOfTheDisk) {
  ASSERT_TRUE(storage().damage("store/superblock", 0));
  ASSERT_TRUE(storage().damage("store/superblock", 4096));
  const Result<> opened = open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), Errc::kIo);
}

// A failed write of a batch leaves anything; nobody was told of the batch.
TEST_F(StoreRot, AWriteThatFailedDoesNotLookLikeRot) {
  const auto data = pattern(6000, 1);
  int failed = 0;
  for (int i = 0; i < 200; ++i) {
    storage().model().write_error = 0.004;
    (void)with_store_cut(world_, node_, [&](SimEnv&, ChunkStore& store) -> Task<Result<>> {
      for (int n = 0; n < 20; ++n) {
        const auto info = store.info(kOne);
        if (info && info->pending) FF_CO_TRY(store.commit(kOne, info->pending->version, 1));
        FF_CO_TRY(
            co_await store.stage(write_update(kOne, (store.info(kOne) ? store.info(kOne)->version : 0) + 1, 0, data)));
      }
      co_return {};
    });
    storage().model().write_error = 0;
    const Result<> opened = open();
    // Where the second write failed as well, it cannot be told.
    if (!opened) {
      ++failed;
      EXPECT_EQ(opened.error().code(), Errc::kCorrupt) << opened.error().message();
      break;
    }
  }
  EXPECT_EQ(failed, 0);
}

}  // namespace
}  // namespace ff::ffs
