// What may be written. Devices are described by a folder that stands for /proc and /sys.
#include "ffbench/storage/target.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "libcommon/testing/temp_folder.hpp"

namespace ff::bench {
namespace {

namespace fs = std::filesystem;

void put(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

TEST(UseOfDevice, NamesMountsPartitionsAndHolders) {
  testing::TempFolder folder;
  const fs::path root = folder.path();
  put(root / "proc/self/mountinfo",
      "21 28 0:19 / /sys rw shared:7 - sysfs sysfs rw\n36 28 259:2 / /data rw,noatime shared:9 - ext4 /dev/nvme0n1p2 "
      "rw\n");
  put(root / "proc/swaps", "Filename Type Size Used Priority\n");
  put(root / "sys/dev/block/259:0/nvme0n1p2/dev", "259:2\n");
  put(root / "sys/dev/block/259:0/queue/dev_not", "");
  put(root / "sys/dev/block/8:0/holders/md0/x", "");
  put(root / "sys/dev/block/8:16/size", "100\n");
  EXPECT_EQ(use_of_device(259, 2, root), "mounted on /data");
  EXPECT_EQ(use_of_device(259, 0, root), "its partition nvme0n1p2 is mounted on /data");
  EXPECT_EQ(use_of_device(8, 0, root), "part of another device (RAID, LVM, dm)");
  EXPECT_EQ(use_of_device(8, 16, root), "");
}

TEST(LookAt, TellsFilesFromFoldersAndFromNothing) {
  testing::TempFolder folder;
  const std::string file = folder.path() + "/file";
  put(file, "12345");
  const auto facts = look_at(file);
  ASSERT_TRUE(facts) << facts.error().message();
  EXPECT_TRUE(facts->exists);
  EXPECT_FALSE(facts->block_device);
  EXPECT_EQ(facts->bytes, 5u);
  EXPECT_FALSE(look_at(folder.path() + "/absent")->exists);
  const auto wrong = look_at(folder.path());
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().message().find("neither a file nor a block device"), std::string::npos);
}

// Writing through it would make a file somewhere else, and removing it would take the link.
TEST(LookAt, RefusesALinkToNothing) {
  testing::TempFolder folder;
  fs::create_symlink(folder.path() + "/absent", folder.path() + "/link");
  const auto refused = look_at(folder.path() + "/link");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("link to nothing"), std::string::npos) << refused.error().message();
}

TEST(WriteClaims, AsksForForceBeforeAnExistingFileIsOverwritten) {
  testing::TempFolder folder;
  const std::string file = folder.path() + "/file";
  put(file, "precious");
  const auto facts = look_at(file).value();
  WriteClaims claims;
  const auto refused = claims.claim(file, facts, false);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::kAlreadyExists);
  EXPECT_NE(refused.error().message().find("--force"), std::string::npos);
  EXPECT_TRUE(claims.claim(file, facts, true));
  EXPECT_TRUE(claims.claim(folder.path() + "/new", TargetFacts{}, false));
}

TEST(WorkFolder, RemovesWhatItMadeAndNothingBeside) {
  testing::TempFolder folder;
  put(folder.path() + "/neighbour", "x");
  std::string path;
  {
    const auto work = WorkFolder::make(folder.path(), "ffbench-test");
    ASSERT_TRUE(work) << work.error().message();
    path = work->path();
    put(path + "/a/b/c", "y");
    EXPECT_TRUE(fs::exists(path + "/a/b/c"));
  }
  EXPECT_FALSE(fs::exists(path));
  EXPECT_TRUE(fs::exists(folder.path() + "/neighbour"));
  const auto absent = WorkFolder::make(folder.path() + "/absent", "ffbench-test");
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code(), Errc::kNotFound);
}

TEST(WorkFolder, StaysWhenKept) {
  testing::TempFolder folder;
  std::string path;
  {
    auto work = WorkFolder::make(folder.path(), "ffbench-test");
    work->keep();
    path = work->path();
  }
  EXPECT_TRUE(fs::exists(path));
}

}  // namespace
}  // namespace ff::bench
