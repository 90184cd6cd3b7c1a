#include "ffbench/storage/verify_journal.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <set>

namespace ff::bench {
namespace {

const VerifyRun kRun{.run = 0x0807060504030201,
                     .seed = 3,
                     .offset = 1 << 20,
                     .blocks = 100,
                     .window = 40,
                     .block_bytes = 8192,
                     .random = true};

std::vector<std::byte> journal(std::vector<VerifyRecord> records, const VerifyRun& run = kRun) {
  std::vector<std::byte> bytes(kJournalBytes);
  const std::span<std::byte> all(bytes);
  encode_journal_header(run, all.first(kJournalPageBytes));
  for (const VerifyRecord& record : records)
    encode_journal_record(run.run, record,
                          all.subspan(journal_page_of(record.number) * kJournalPageBytes, kJournalPageBytes));
  return bytes;
}

TEST(VerifyJournal, HasTheLayoutOfTheFormatNote) {
  const auto bytes = journal({{.number = 2, .synced = 0x1234}});
  EXPECT_EQ(std::memcmp(bytes.data(), "FFBVJNL1", 8), 0);
  const std::uint8_t header[] = {1, 0, 72, 0, 0, 0x20, 0, 0,    1, 2, 3, 4, 5, 6,   7, 8, 3, 0, 0,
                                 0, 0, 0,  0, 0, 0,    0, 0x10, 0, 0, 0, 0, 0, 100, 0, 0, 0, 0, 0,
                                 0, 0, 40, 0, 0, 0,    0, 0,    0, 0, 1, 0, 0, 0,   0, 0, 0, 0};
  EXPECT_EQ(std::memcmp(bytes.data() + 8, header, sizeof header), 0);
  const std::byte* record = bytes.data() + 4096;  // number 2 goes to page 1
  EXPECT_EQ(std::memcmp(record, "FFBVREC1", 8), 0);
  const std::uint8_t fields[] = {1, 2, 3, 4, 5, 6, 7, 8, 2, 0, 0, 0, 0, 0, 0, 0, 0x34, 0x12, 0, 0, 0, 0, 0, 0};
  EXPECT_EQ(std::memcmp(record + 8, fields, sizeof fields), 0);
}

TEST(VerifyJournal, TheNewerOfTwoRecordsCounts) {
  for (const auto& records : {std::vector<VerifyRecord>{{0, 0}}, {{0, 0}, {1, 50}}, {{2, 90}, {1, 50}}}) {
    const auto read = decode_journal(journal(records));
    ASSERT_TRUE(read) << read.error().message();
    EXPECT_EQ(read->run, kRun);
    std::uint64_t newest = 0, synced = 0;
    for (const auto& record : records)
      if (record.number >= newest) newest = record.number, synced = record.synced;
    EXPECT_EQ(read->last, (VerifyRecord{newest, synced}));
  }
}

TEST(VerifyJournal, ADamagedRecordLeavesTheOther) {
  const auto whole = journal({{6, 600}, {7, 700}});
  for (std::size_t byte = 0; byte < 36; ++byte) {
    auto bytes = whole;
    bytes[2 * kJournalPageBytes + byte] ^= std::byte{0x10};
    const auto read = decode_journal(bytes);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->last, (VerifyRecord{6, 600})) << byte;
  }
}

TEST(VerifyJournal, RefusesDamagedHeadersAndEmptyJournals) {
  for (std::size_t byte = 0; byte < 72; ++byte) {
    auto bytes = journal({{0, 0}});
    bytes[byte] ^= std::byte{1};
    const auto read = decode_journal(bytes);
    ASSERT_FALSE(read) << byte;
    EXPECT_EQ(read.error().code(), Errc::kCorrupt);
  }
  EXPECT_FALSE(decode_journal(journal({})));
  EXPECT_FALSE(decode_journal({}));
  EXPECT_FALSE(decode_journal(std::vector<std::byte>(kJournalBytes)));
}

TEST(VerifyJournal, ARecordOfAnotherRunDoesNotCount) {
  auto bytes = journal({{0, 0}});
  encode_journal_record(kRun.run + 1, {9, 900},
                        std::span<std::byte>(bytes).subspan(2 * kJournalPageBytes, kJournalPageBytes));
  EXPECT_EQ(decode_journal(bytes)->last.synced, 0u);
}

TEST(VerifyJournal, ChecksWhatARunMayBe) {
  const auto refused = [](auto change) {
    VerifyRun run = kRun;
    change(run);
    return !check(run);
  };
  EXPECT_TRUE(check(kRun));
  EXPECT_TRUE(refused([](VerifyRun& run) { run.block_bytes = 1000; }));
  EXPECT_TRUE(refused([](VerifyRun& run) { run.block_bytes = 0; }));
  EXPECT_TRUE(refused([](VerifyRun& run) { run.blocks = 0; }));
  EXPECT_TRUE(refused([](VerifyRun& run) { run.window = 0; }));
  EXPECT_TRUE(refused([](VerifyRun& run) { run.offset = INT64_MAX; }));
}

TEST(VerifyOrder, EachPassTakesEveryBlockOnce) {
  for (const bool random : {false, true}) {
    VerifyRun run = kRun;
    run.random = random;
    VerifyOrder order(run);
    std::vector<std::uint64_t> first_pass;
    for (std::uint64_t pass = 0; pass < 3; ++pass) {
      std::set<std::uint64_t> seen;
      for (std::uint64_t i = 1; i <= run.blocks; ++i) {
        const std::uint64_t block = order.block_of(pass * run.blocks + i);
        ASSERT_LT(block, run.blocks);
        seen.insert(block);
        if (pass == 0) first_pass.push_back(block);
      }
      EXPECT_EQ(seen.size(), run.blocks);
    }
    EXPECT_EQ(std::is_sorted(first_pass.begin(), first_pass.end()), !random);
    // Another reader, starting anywhere, sees the same.
    EXPECT_EQ(VerifyOrder(run).block_of(42), first_pass[41]);
  }
}

}  // namespace
}  // namespace ff::bench
