#include "ffs/meta/rules.hpp"

#include <gtest/gtest.h>

#include <cerrno>

#include "ffs/meta/keys.hpp"
#include "ffs/meta/records.hpp"
#include "tests/unit/ffs/meta/meta_world.hpp"

namespace ff::ffs {
namespace {

InodeRecord owned(std::uint32_t mode, std::uint32_t uid, std::uint32_t gid, FileType type = REGULAR) {
  InodeRecord record;
  record.set_mode(mode);
  record.set_uid(uid);
  record.set_gid(gid);
  record.set_type(type);
  return record;
}

TEST(Rules, OneClassDecides) {
  // The owner has less than others here, and gets only what the owner has.
  const InodeRecord record = owned(0047, 10, 20);
  EXPECT_FALSE(allows(user(10, 20), record, kMayRead));
  EXPECT_TRUE(allows(user(11, 20), record, kMayRead));
  EXPECT_FALSE(allows(user(11, 20), record, kMayWrite));
  EXPECT_TRUE(allows(user(11, 5, {20}), record, kMayRead));
  EXPECT_FALSE(allows(user(11, 5, {20}), record, kMayWrite));
  EXPECT_TRUE(allows(user(11, 5), record, kMayRead | kMayWrite | kMaySearch));
}

TEST(Rules, RootNeedsAnExecuteBitOnlyOfFiles) {
  EXPECT_TRUE(allows(root_user(), owned(0, 1, 1), kMayRead | kMayWrite));
  EXPECT_FALSE(allows(root_user(), owned(0, 1, 1), kMaySearch));
  EXPECT_TRUE(allows(root_user(), owned(0100, 1, 1), kMaySearch));
  EXPECT_TRUE(allows(root_user(), owned(0, 1, 1, DIRECTORY), kMaySearch));
}

TEST(Rules, StickyDirectoriesProtectEntries) {
  const InodeRecord sticky = owned(01777, 10, 10, DIRECTORY);
  EXPECT_TRUE(may_remove_entry(user(10), sticky, owned(0, 11, 11)));
  EXPECT_TRUE(may_remove_entry(user(11), sticky, owned(0, 11, 11)));
  EXPECT_FALSE(may_remove_entry(user(12), sticky, owned(0777, 11, 11)));
  EXPECT_TRUE(may_remove_entry(user(12), owned(0777, 10, 10, DIRECTORY), owned(0, 11, 11)));
}

TEST(Rules, LengthsNeverShrinkAndEarlierEpochsDoNotCount) {
  EXPECT_EQ(settled_length(100, 3, 200, 3), 200U);
  EXPECT_EQ(settled_length(100, 3, 50, 3), 100U);
  EXPECT_EQ(settled_length(100, 3, 200, 2), 100U);
  EXPECT_EQ(settled_length(100, 3, 200, 4), 100U);
}

TEST(Rules, SetIdBitsGo) {
  EXPECT_EQ(without_set_ids(06755), 0755U);
  EXPECT_EQ(without_set_ids(06745), 02745U);
}

TEST(Keys, EntriesOfADirectoryAreOneRangeInOrder) {
  EXPECT_EQ(keys::dirent(InodeId{0x0102}, "n"), std::string("fs/d\0\0\0\0\0\0\1\2n", 13));
  EXPECT_LT(keys::dirent(InodeId{255}, "z"), keys::dirent(InodeId{256}, ""));
  EXPECT_EQ(keys::dirent_name(keys::dirent(InodeId{7}, "a\xff")), "a\xff");
  EXPECT_EQ(keys::number_at(keys::garbage(5, InodeId{9}), keys::kPrefixBytes + 8), 9U);
  const kv::KeyRange due = keys::garbage_until(5);
  EXPECT_LT(keys::garbage(5, InodeId{~std::uint64_t{0}}), due.end);
  EXPECT_GE(keys::garbage(6, InodeId{0}), due.end);
}

TEST(Records, TellWhatTheyCannotRead) {
  EXPECT_EQ(decode_record<InodeRecord>("", "x").error().code(), Errc::kCorrupt);
  EXPECT_EQ(decode_record<InodeRecord>("\x02", "x").error().code(), Errc::kUnsupported);
  EXPECT_EQ(decode_record<InodeRecord>("\x01\xff\xff", "x").error().code(), Errc::kCorrupt);
  InodeRecord record = owned(0644, 1, 2);
  record.set_modified(-1);
  const auto back = decode_record<InodeRecord>(encode_record(record), "x");
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->modified(), -1);
  const Timestamp before = timestamp_of(-1);
  EXPECT_EQ(before.seconds(), -1);
  EXPECT_EQ(before.nanoseconds(), 999'999'999U);
  EXPECT_EQ(nanoseconds_of(before), -1);
}

}  // namespace
}  // namespace ff::ffs
