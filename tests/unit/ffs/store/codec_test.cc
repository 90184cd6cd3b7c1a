// The records by themselves: hostile bytes are refused, the examples of store.md are true.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "ffs/store/journal.hpp"
#include "ffs/store/superblock.hpp"
#include "ffs/store/table_record.hpp"
#include "libcommon/base/file.hpp"

namespace ff::ffs {
namespace {

constexpr std::uint32_t kUnit = 4096;
constexpr ChunkId kChunk{InodeId{17}, 3};

ContentRef content(std::uint32_t length, std::vector<std::uint32_t> crcs) {
  auto space = std::make_shared<BlockSpace>();
  const unsigned size_class = class_for(length);
  space->grow(size_class, 8);
  auto out = std::make_shared<StoredContent>();
  out->block = space->take_at({static_cast<std::uint8_t>(size_class), 2});
  out->length = length;
  out->crcs = std::move(crcs);
  return out;
}
CommittedState committed() {
  CommittedState state{.version = 5,
                       .chain_version = 2,
                       .truncate_epoch = 1,
                       .chunk_bytes = 1u << 20,
                       .recent = {},
                       .content = content(5000, {0x11111111, 0x22222222})};
  state.recent[0] = {{.client = 9, .sequence = 40}, 5};
  return state;
}
PendingState pending() {
  PendingState state{.version = 6, .chain_version = 2, .tag = {9, 41}, .chunk_bytes = 1u << 20, .own = {}};
  state.content = content(5000, {0x11111111, 0x33333333});
  state.own.set(1, std::make_shared<const std::vector<std::byte>>(kUnit, std::byte{7}));
  return state;
}
Result<std::vector<JournalRecord>> decode_one(std::span<const std::byte> bytes) {
  return decode_records(bytes, 1, kUnit);
}

// Rows of 16 bytes as store.md has them; a row of zeros as those before it is left out.
std::vector<std::string> rows(std::span<const std::byte> bytes) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < bytes.size(); at += 16) {
    std::string row = fmt::format("{:03x} ", at);
    bool zeros = true;
    for (std::size_t i = at; i < std::min(at + 16, bytes.size()); ++i) {
      row += fmt::format(" {:02x}", static_cast<unsigned>(bytes[i]));
      zeros = zeros && bytes[i] == std::byte{0};
    }
    if (!zeros) out.push_back(row);
  }
  return out;
}

TEST(StoreCodec, TheExamplesOfThePageAreTrue) {
  const auto page = read_file(FF_STORE_PAGE, 1u << 20);
  ASSERT_TRUE(page) << page.error().message();
  for (const auto& bytes : {encode_commit(kChunk, 6, 2), encode_table_record(kChunk, committed(), kUnit)}) {
    for (const std::string& row : rows(bytes)) EXPECT_NE(page->find(row + "\n"), std::string::npos) << row;
  }
}

TEST(StoreCodec, AStateRecordComesBackWhole) {
  const CommittedState c = committed();
  const PendingState p = pending();
  const auto decoded = decode_one(encode_state(kChunk, &c, &p));
  ASSERT_TRUE(decoded) << decoded.error().message();
  const StateRecord& state = (*decoded)[0].state;
  EXPECT_EQ((*decoded)[0].chunk, kChunk);
  EXPECT_EQ(state.committed->version, 5u);
  EXPECT_EQ(state.committed->recent, c.recent);
  EXPECT_EQ(state.committed_content.crcs, c.content->crcs);
  EXPECT_EQ(state.pending->tag, p.tag);
  EXPECT_EQ(state.pending_content.crcs, p.content->crcs);  // only what differs is in the record
  EXPECT_EQ(*state.pending->own.find(1)->second, *p.own.find(1)->second);
}

TEST(StoreCodec, EveryCutOfARecordIsRefused) {
  const CommittedState c = committed();
  const PendingState p = pending();
  for (const auto& whole :
       {encode_state(kChunk, &c, &p), encode_state(kChunk, &c, nullptr), encode_commit(kChunk, 6, 2),
        encode_bad(kChunk, 5), encode_mark(RecordKind::kPurge, kChunk)}) {
    ASSERT_TRUE(decode_one(whole));
    for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
      EXPECT_FALSE(decode_one(std::span(whole).first(bytes))) << bytes;
      // And where the record's size says so.
      auto cut = std::vector(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(bytes / 8 * 8));
      if (cut.size() < 24) continue;
      const auto size = static_cast<std::uint32_t>(cut.size());
      std::memcpy(cut.data(), &size, sizeof size);
      EXPECT_FALSE(decode_one(cut)) << bytes;
    }
    auto longer = whole;
    longer.resize(longer.size() + 8);
    EXPECT_FALSE(decode_one(longer));
  }
}

TEST(StoreCodec, ImpossibleNumbersInARecordAreRefused) {
  const CommittedState c = committed();
  const auto whole = encode_state(kChunk, &c, nullptr);
  const auto content_at = whole.size() - 24 - 8;  // class, block, length, first, count; two CRCs; no padding
  ASSERT_EQ(whole[content_at], std::byte{1});
  const auto with = [&](std::size_t at, std::uint32_t value) {
    auto bytes = whole;
    std::memcpy(bytes.data() + at, &value, sizeof value);
    return decode_one(bytes);
  };
  EXPECT_FALSE(with(content_at, 12));                // no such class
  EXPECT_FALSE(with(content_at + 8, 65'537));        // longer than the block
  EXPECT_FALSE(with(content_at + 8, 12'289));        // more checksum blocks than CRCs
  EXPECT_FALSE(with(content_at + 12, 3));            // CRCs from beyond the end
  EXPECT_FALSE(with(content_at + 16, 0xffffffffu));  // CRCs beyond the end
  EXPECT_FALSE(with(4, 99));                         // unknown kind
  EXPECT_FALSE(with(4, 1));                          // a state of nothing
}

TEST(StoreCodec, EveryFlippedBitOfABatchIsFound) {
  const std::vector<std::vector<std::byte>> records = {encode_commit(kChunk, 6, 2), std::vector<std::byte>(600)};
  std::vector<std::byte> bytes(batch_bytes(40 + 600));
  ASSERT_EQ(bytes.size(), 4096u);
  encode_batch({.generation = 1, .sequence = 2, .position = 3, .flags = kOnlyRepeats}, records, bytes);
  BatchHeader header;
  ASSERT_EQ(look_at_batch_start(std::span(bytes).first(kSectorBytes), header), BatchState::kWhole);
  EXPECT_EQ(header.sequence, 2u);
  EXPECT_EQ(header.payload_bytes, 640u);
  EXPECT_EQ(header.flags, kOnlyRepeats);
  ASSERT_EQ(look_at_batch(header, bytes).state, BatchState::kWhole);
  for (std::size_t bit = 0; bit < bytes.size() * 8; bit += 3) {
    bytes[bit / 8] ^= std::byte{1} << bit % 8;
    EXPECT_EQ(look_at_batch(header, bytes).state, BatchState::kDamaged) << bit;
    bytes[bit / 8] ^= std::byte{1} << bit % 8;
  }
}

// As many bytes as fit: the stream is 504 bytes of each sector.
TEST(StoreCodec, BatchesTakeWholeUnits) {
  EXPECT_EQ(batch_bytes(0), 4096u);
  EXPECT_EQ(batch_bytes(8 * 504 - 64), 4096u);
  EXPECT_EQ(batch_bytes(8 * 504 - 64 + 1), 8192u);
  EXPECT_EQ(batch_bytes(8 * 65'536), 532'480u + 4096u);
}

TEST(StoreCodec, TheHeadOfTheJournalIsRefusedWhenChanged) {
  const auto good = encode_journal_head({.generation = 1, .writes = 2, .position = 3, .sequence = 4});
  ASSERT_TRUE(decode_journal_head(good));
  EXPECT_EQ(decode_journal_head(good)->sequence, 4u);
  for (std::size_t i = 0; i < good.size(); ++i) {
    auto bad = good;
    bad[i] ^= std::byte{0x10};
    EXPECT_FALSE(decode_journal_head(bad)) << i;
    EXPECT_FALSE(decode_journal_head(std::span(good).first(i))) << i;
  }
}

TEST(StoreCodec, ATableRecordIsRefusedOrMarkedWhenChanged) {
  const auto good = encode_table_record(kChunk, committed(), kUnit);
  ASSERT_EQ(good.size(), 512u);
  for (std::size_t i = 0; i < kTableHeaderBytes + 8; ++i) {
    auto bad = good;
    bad[i] ^= std::byte{0x10};
    const auto decoded = decode_table_record(bad, 1, kUnit);
    if (i < kTableHeaderBytes) {
      EXPECT_FALSE(decoded) << i;
    } else {
      ASSERT_TRUE(decoded && *decoded) << i;
      EXPECT_FALSE((*decoded)->crcs_ok) << i;
    }
  }
  EXPECT_FALSE(decode_table_record(std::span(good).first(511), 1, kUnit));
  const auto free = decode_table_record(std::vector<std::byte>(512), 1, kUnit);
  EXPECT_TRUE(free && !*free);
  EXPECT_FALSE(decode_table_record(good, 0, kUnit));  // a length in a place without bytes
}

TEST(StoreCodec, OneGoodSuperblockIsEnough) {
  StoreSuperblock superblock;
  superblock.identity.target = TargetId{7};
  const auto good = encode_superblock(superblock);
  for (const std::size_t at : {std::size_t{20}, kSuperblockCopyBytes + 20}) {
    auto half = good;
    half[at] ^= std::byte{1};
    const auto decoded = decode_superblock(half);
    ASSERT_TRUE(decoded);
    EXPECT_EQ(decoded->identity.target, TargetId{7});
  }
  auto none = good;
  none[20] ^= std::byte{1};
  none[kSuperblockCopyBytes + 20] ^= std::byte{1};
  EXPECT_EQ(decode_superblock(none).error().code(), Errc::kCorrupt);
  EXPECT_EQ(decode_superblock(std::span(good).first(100)).error().code(), Errc::kCorrupt);
}

TEST(BlockSpace, GivesTheLowestFreeBlockAndEachOnce) {
  const auto space = std::make_shared<BlockSpace>();
  EXPECT_FALSE(space->take(1));
  space->grow(1, 130);
  std::vector<BlockRef> all;
  for (std::uint32_t i = 0; i < 130; ++i) {
    all.push_back(space->take(1));
    ASSERT_TRUE(all.back());
    EXPECT_EQ(all.back()->place().index, i);
  }
  EXPECT_FALSE(space->take(1));
  EXPECT_FALSE(space->take_at({1, 70}));
  all[129] = all[70] = nullptr;
  EXPECT_EQ(space->free(1), 2u);
  EXPECT_EQ(space->take_at({1, 130}), nullptr);  // beyond the end
  const BlockRef again = space->take(1);
  EXPECT_EQ(again->place().index, 70u);
  const BlockRef last = space->take_at({1, 129});
  EXPECT_TRUE(last);
  EXPECT_EQ(space->used_bytes(), 130u * 65'536);
  EXPECT_FALSE(space->take_at({12, 0}));
}

}  // namespace
}  // namespace ff::ffs
