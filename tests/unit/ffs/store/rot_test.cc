// What the disk does to a store at rest: what was acknowledged is there or reported as damaged, never silently gone.
#include <fmt/core.h>

#include <algorithm>

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

  // Of `base` as version 1, rotten, with `update` pending on it.
  void check_new_base(ChunkUpdate update, std::vector<std::byte> base) {
    std::vector<std::byte> wanted = base;
    if (update.kind == UpdateKind::kRemove) wanted.clear();
    if (update.kind == UpdateKind::kTruncate) wanted.resize(update.length);
    if (update.kind == UpdateKind::kWrite) {
      wanted.resize(std::max<std::size_t>(wanted.size(), update.offset + update.data.size()));
      std::ranges::copy(update.data, wanted.begin() + update.offset);
    }
    run_and_cut([&](SimEnv&, ChunkStore& store) -> Task<Result<>> {
      FF_CO_TRY(store.purge(kOne));
      FF_CO_TRY(co_await stage_and_commit(store, write_update(kOne, 1, 0, base)));
      FF_CO_TRY(co_await store.sync());
      FF_CO_TRY(co_await store.stage(update));
      const ChunkInfo before = *store.info(kOne);
      ChunkInfo info = before;
      const auto bytes = *storage().contents(kBlocks);
      const auto rotten = std::ranges::search(bytes, std::span(base).subspan(20'000, 16));
      STORE_CHECK(!rotten.empty());
      flip(kBlocks, static_cast<std::uint64_t>(rotten.begin() - bytes.begin()));
      STORE_CHECK(!(co_await store.verify(kOne)));
      FF_CO_TRY(co_await store.install(info, base, InstallMode::kBase));
      const auto now = store.info(kOne);
      STORE_CHECK(now->version == 1 && !now->bad && now->pending && now->pending->version == 2);
      STORE_CHECK(now->pending->crc == before.pending->crc && now->pending->length == wanted.size());
      info.version = 0;
      STORE_CHECK(!(co_await store.install(info, base, InstallMode::kBase)));
      co_return {};
    });
    run([&](SimEnv&, ChunkStore& store) -> Task<Result<>> {
      STORE_CHECK(store.info(kOne) && store.info(kOne)->pending && store.info(kOne)->pending->version == 2);
      FF_CO_TRY(store.commit(kOne, 2, 1));
      if (update.kind == UpdateKind::kRemove) co_return {};
      FF_CO_TRY_ASSIGN(const auto read, co_await read_all(store, kOne));
      STORE_CHECK(read == wanted);
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
    STORE_CHECK(store.info(kOne)->bad && store.space().bad_chunks == 1);
    co_return {};
  });
  run([this](SimEnv&, ChunkStore& store) -> Task<Result<>> {
    STORE_CHECK(store.info(kOne)->bad && store.space().bad_chunks == 1);
    ChunkInfo info = *store.info(kOne);
    FF_CO_TRY(co_await store.install(info, large_));
    STORE_CHECK(!store.info(kOne)->bad && store.space().bad_chunks == 0);
    co_return {};
  });
  run([](SimEnv&, ChunkStore& store) -> Task<Result<>> {
    STORE_CHECK(!store.info(kOne)->bad && store.space().bad_chunks == 0);
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
    STORE_CHECK(store.info(kOne)->bad && store.space().bad_chunks == 1);
    FF_CO_TRY(co_await store.verify(kOne));
    STORE_CHECK(!store.info(kOne)->bad && store.space().bad_chunks == 0);
    co_return co_await store.sync();
  });
  run_and_cut([](SimEnv&, ChunkStore& store) -> Task<Result<>> {
    STORE_CHECK(store.info(kOne)->version == 2 && !store.info(kOne)->bad);
    FF_CO_TRY(co_await store.verify(kOne));
    STORE_CHECK(store.space().bad_chunks == 0 && store.space().chunks == 1);
    co_return {};
  });
}

// A bad base is replaced while an update is pending on it, which may have been acknowledged: at no instant is the
// update absent, wherever it has put its bytes.
TEST_F(StoreRot, ANewBaseLeavesThePendingUpdateWhereItIs) {
  const auto small = pattern(5000, 2), more = pattern(90'000, 3);
  const std::vector<ChunkUpdate> updates = {
      write_update(kOne, 2, 60'000, small),   // in the journal
      write_update(kOne, 2, 100'000, small),  // in the journal, behind the end
      write_update(kOne, 2, 10'000, more),    // in a block of its own
      truncate_update(kOne, 2, 70'000),       // in the block of its base
      remove_update(kOne, 2),
  };
  for (const ChunkUpdate& update : updates) check_new_base(update, large_);
  const auto behind = pattern(60'000, 5);
  check_new_base(write_update(kOne, 2, 66'000, behind), pattern(66'000, 4));  // behind the end, in the same block
}

// Of a chunk that is nowhere whole each replica has what is left; two that are bad in different places have all.
TEST_F(StoreRot, DamagedCopiesMendEachOther) {
  DamagedContent told;
  std::vector<std::byte> rest(100'000);
  ChunkInfo info;
  run([this](SimEnv&, ChunkStore& store) -> Task<Result<>> {
    co_return co_await stage_and_commit(store, write_update(kOne, 1, 0, large_));
  });
  flip(kBlocks, 50'000);
  run([&](SimEnv&, ChunkStore& store) -> Task<Result<>> {
    STORE_CHECK(!(co_await store.verify(kOne)));
    info = *store.info(kOne);
    FF_CO_TRY_ASSIGN(told, co_await store.read_damaged(kOne, false, rest));
    STORE_CHECK(std::ranges::equal(std::span(rest).first(49'152), std::span(large_).first(49'152)));
    STORE_CHECK(
        std::ranges::all_of(std::span(rest).subspan(49'152, 4096), [](std::byte b) { return b == std::byte{}; }));
    STORE_CHECK(std::ranges::equal(std::span(rest).subspan(53'248), std::span(large_).subspan(53'248)));
    // Who has nothing of it has then the same.
    FF_CO_TRY(store.purge(kOne));
    const auto without = co_await store.install(info, rest);
    STORE_CHECK(!without && without.error().code() == Errc::kCorrupt);
    FF_CO_TRY(co_await store.install(info, rest, InstallMode::kReplace, told.crcs));
    STORE_CHECK(store.info(kOne)->bad && store.info(kOne)->crc == info.crc && store.info(kOne)->length == 100'000);
    std::vector<std::byte> part(4096);
    const auto bad = co_await store.read(kOne, 49'152, part);
    STORE_CHECK(!bad && bad.error().code() == Errc::kCorrupt);
    FF_CO_TRY(co_await store.read(kOne, 53'248, part));
    STORE_CHECK(std::ranges::equal(part, std::span(large_).subspan(53'248, 4096)));
    // Who has other blocks of it than those has all.
    FF_CO_TRY(co_await store.install(info, large_));
    FF_CO_TRY(co_await store.install(info, rest, InstallMode::kBase, told.crcs));
    STORE_CHECK(!store.info(kOne)->bad);
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
