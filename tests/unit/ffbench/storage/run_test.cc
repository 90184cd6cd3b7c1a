// Files are laid out and their cached pages dropped.
#include "ffbench/storage/run.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/vfs.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "libcommon/base/unique_fd.hpp"
#include "libcommon/testing/temp_folder.hpp"

namespace ff::bench {
namespace {

TEST(PrepareFile, TakesASizeThatDirectIoDoesNot) {
  testing::TempFolder folder;
  const std::string path = folder.path() + "/file";
  const auto laid_out = prepare_file(path, 0, 100'001, 1, true, {});
  ASSERT_TRUE(laid_out) << laid_out.error().message();
  EXPECT_GE(std::filesystem::file_size(path), 100'001u);
}

TEST(PrepareFile, WritesOverNothing) {
  testing::TempFolder folder;
  const std::string path = folder.path() + "/file";
  std::ofstream(path) << "precious";
  const auto refused = prepare_file(path, 0, 4096, 1, false, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::kAlreadyExists);
  EXPECT_EQ(std::filesystem::file_size(path), 8u);
}

TEST(DropCache, DropsPagesThatWereNotYetWritten) {
  constexpr std::size_t kBytes = 1 << 20;
  testing::TempFolder folder;
  struct statfs about{};
  ASSERT_EQ(::statfs(folder.path().c_str(), &about), 0);
  if (about.f_type == TMPFS_MAGIC) GTEST_SKIP() << "files in memory have no other place";
  const std::string path = folder.path() + "/file";
  std::ofstream(path) << std::string(kBytes, 'x');
  const auto dropped = drop_cache(path);
  ASSERT_TRUE(dropped) << dropped.error().message();
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  void* const memory = ::mmap(nullptr, kBytes, PROT_READ, MAP_SHARED, fd.get(), 0);
  ASSERT_NE(memory, MAP_FAILED);
  std::vector<unsigned char> resident(kBytes / 4096, 1);
  ASSERT_EQ(::mincore(memory, kBytes, resident.data()), 0);
  ::munmap(memory, kBytes);
  for (const unsigned char page : resident) ASSERT_EQ(page & 1, 0);
}

}  // namespace
}  // namespace ff::bench
