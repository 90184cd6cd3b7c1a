// Logs of ranks: segments, offsets that keep counting, and readers at any place.
#include "ffctl/rank/rank_log.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <random>

#include "libcommon/testing/temp_folder.hpp"

namespace ff::ctl {
namespace {

TEST(RankLog, KeepsEverythingBelowItsLimit) {
  const testing::TempFolder folder;
  LogWriter log(folder.path(), LogWriter::kLimitMin, static_cast<gid_t>(-1));
  log.append("one\n");
  log.append("two\n");
  const auto all = read_log(folder.path(), 0, 100, false);
  ASSERT_TRUE(all);
  EXPECT_EQ(all->data, "one\ntwo\n");
  EXPECT_EQ(all->end, 8u);
  EXPECT_EQ(read_log(folder.path(), 5, 2, false)->data, "wo");
  EXPECT_EQ(read_log(folder.path(), 4, 100, true)->data, "two\n");
  EXPECT_EQ(read_log(folder.path(), 1000, 100, true)->data, "one\ntwo\n") << "from the end, beyond the beginning";
  EXPECT_EQ(read_log(folder.path(), 8, 100, false)->data, "");
  EXPECT_EQ(read_log(folder.path(), 1000, 100, false)->offset, 8u) << "beyond the end";
  EXPECT_EQ(read_log(folder.path() + "/none", 0, 1, false).error().code(), Errc::kNotFound);
}

// Method: random pieces against one string that holds all of them; every read gives a part of it, at its offset.
TEST(RankLog, AnyReadIsAPartOfWhatWasWritten) {
  std::mt19937 random(17);
  const testing::TempFolder folder;
  LogWriter log(folder.path(), LogWriter::kLimitMin, static_cast<gid_t>(-1));
  std::string written;
  for (int i = 0; i < 300; ++i) {
    const std::string piece(random() % 3000, static_cast<char>('a' + i % 26));
    log.append(piece);
    written += piece;
    ASSERT_EQ(log.end(), written.size());
    const std::uint64_t offset = random() % (written.size() + 10);
    const std::size_t bytes = 1 + random() % 100'000;
    const auto part = read_log(folder.path(), offset, bytes, random() % 2 == 0);
    ASSERT_TRUE(part);
    ASSERT_EQ(part->end, written.size());
    ASSERT_LE(part->offset + part->data.size(), written.size());
    ASSERT_TRUE(written.compare(part->offset, part->data.size(), part->data) == 0);
    if (part->offset < written.size()) ASSERT_FALSE(part->data.empty());
  }
  std::uint64_t kept = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder.path())) kept += file.file_size();
  EXPECT_LE(kept, LogWriter::kLimitMin);
  EXPECT_GE(kept, LogWriter::kLimitMin / 2);
  EXPECT_GT(read_log(folder.path(), 0, 1, false)->offset, 0u) << "the oldest are gone";
}

TEST(RankLog, WhatTheDiskDoesNotTakeIsCountedAndSaid) {
  const testing::TempFolder folder;
  const std::string later = folder.path() + "/later";
  LogWriter log(later, LogWriter::kLimitMin, static_cast<gid_t>(-1));
  log.append("lost\n");
  EXPECT_EQ(log.dropped(), 5u);
  std::filesystem::create_directory(later);
  log.append("kept\n");
  EXPECT_EQ(log.dropped(), 0u);
  EXPECT_EQ(read_log(later, 0, 1000, false)->data,
            "\n[ffnoded: 5 bytes of output were lost: the disk took none]\nkept\n");
}

}  // namespace
}  // namespace ff::ctl
