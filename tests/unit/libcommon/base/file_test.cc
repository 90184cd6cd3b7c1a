#include "libcommon/base/file.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

namespace ff {
namespace {

namespace fs = std::filesystem;

class FileTest : public testing::Test {
 protected:
  FileTest() {
    std::string pattern = (fs::temp_directory_path() / "ff_file_test.XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~FileTest() override { fs::remove_all(folder_); }

  std::size_t entries() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }
  std::string path(const char* name) const { return (folder_ / name).string(); }

  fs::path folder_;
};

TEST_F(FileTest, WrittenBytesReadBack) {
  std::string bytes(200000, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7);
  ASSERT_TRUE(write_file_atomic(path("a"), bytes));
  EXPECT_EQ(read_file(path("a"), bytes.size()).value_or(""), bytes);
}

TEST_F(FileTest, WriteReplacesAndLeavesNothingElse) {
  ASSERT_TRUE(write_file_atomic(path("a"), "old and longer"));
  ASSERT_TRUE(write_file_atomic(path("a"), "new"));
  EXPECT_EQ(read_file(path("a"), 100).value_or(""), "new");
  EXPECT_EQ(entries(), 1U);
}

// A reader that opened the file before keeps the old bytes whole: the new ones came by rename, not by writing over.
TEST_F(FileTest, WriteDoesNotTouchTheOldFile) {
  ASSERT_TRUE(write_file_atomic(path("a"), "old"));
  UniqueFd reader(::open(path("a").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(write_file_atomic(path("a"), "new"));
  char bytes[3];
  ASSERT_TRUE(read_exact(reader.get(), std::as_writable_bytes(std::span(bytes))));
  EXPECT_EQ(std::string_view(bytes, 3), "old");
}

TEST_F(FileTest, DroppedAtomicFileLeavesNothing) {
  ASSERT_TRUE(write_file_atomic(path("a"), "old"));
  const std::string text = "new";
  {
    auto file = AtomicFile::create(path("a"));
    ASSERT_TRUE(file);
    ASSERT_TRUE(file->write(std::as_bytes(std::span(text))));
    AtomicFile moved = std::move(*file);
    EXPECT_EQ(entries(), 2U);
  }
  EXPECT_EQ(entries(), 1U);
  EXPECT_EQ(read_file(path("a"), 100).value_or(""), "old");
}

TEST_F(FileTest, AtomicFileAppearsWhole) {
  const std::string one = "one ", two = "two";
  auto file = AtomicFile::create(path("a"));
  ASSERT_TRUE(file);
  ASSERT_TRUE(file->write(std::as_bytes(std::span(one))));
  ASSERT_TRUE(file->write(std::as_bytes(std::span(two))));
  EXPECT_FALSE(fs::exists(path("a")));
  ASSERT_TRUE(file->commit());
  EXPECT_EQ(read_file(path("a"), 100).value_or(""), "one two");
  EXPECT_EQ(entries(), 1U);
}

// The temporary name can be guessed: a link that another user laid there must not lead the bytes elsewhere.
TEST_F(FileTest, AtomicFileFollowsNoLinkAtItsTemporaryName) {
  ASSERT_TRUE(write_file_atomic(path("victim"), "precious"));
  fs::create_symlink(path("victim"), fmt::format("{}.tmp.{}", path("a"), ::getpid()));
  ASSERT_TRUE(write_file_atomic(path("a"), "new"));
  EXPECT_EQ(read_file(path("victim"), 100).value_or(""), "precious");
  EXPECT_EQ(read_file(path("a"), 100).value_or(""), "new");
  EXPECT_EQ(entries(), 2U);
}

// As a process of the same number leaves it when it is killed: in containers, numbers come back.
TEST_F(FileTest, AtomicFileReplacesALeftoverOfItsName) {
  std::ofstream(fmt::format("{}.tmp.{}", path("a"), ::getpid())) << "left over, and longer";
  ASSERT_TRUE(write_file_atomic(path("a"), "new"));
  EXPECT_EQ(read_file(path("a"), 100).value_or(""), "new");
  EXPECT_EQ(entries(), 1U);
}

TEST_F(FileTest, AtomicFileOfAnOpenFolderStaysInIt) {
  ASSERT_EQ(::mkdir(path("folder").c_str(), 0700), 0);
  UniqueFd folder(::open(path("folder").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_TRUE(folder);
  auto file = AtomicFile::create_in(std::move(folder), "a", path("folder/a"));
  ASSERT_TRUE(file);
  fs::rename(path("folder"), path("moved"));
  const std::string text = "new";
  ASSERT_TRUE(file->write(std::as_bytes(std::span(text))));
  ASSERT_TRUE(file->commit());
  EXPECT_EQ(read_file(path("moved/a"), 100).value_or(""), "new");
}

TEST_F(FileTest, FailedWriteKeepsTheOldAndCleansUp) {
  ASSERT_EQ(::mkdir(path("taken").c_str(), 0700), 0);
  // A file cannot be renamed over a folder.
  const auto result = write_file_atomic(path("taken"), "x");
  ASSERT_FALSE(result);
  EXPECT_TRUE(fs::is_directory(path("taken")));
  EXPECT_EQ(entries(), 1U);
}

TEST_F(FileTest, WriteIntoAMissingFolderIsNotFound) {
  const auto result = write_file_atomic(path("no/such/file"), "x");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Errc::kNotFound);
}

TEST_F(FileTest, ReadOfAMissingFileNamesIt) {
  const auto result = read_file(path("absent"), 10);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Errc::kNotFound);
  EXPECT_NE(result.error().message().find(path("absent")), std::string::npos);
}

TEST_F(FileTest, ReadStopsAtTheBound) {
  ASSERT_TRUE(write_file_atomic(path("a"), "12345"));
  EXPECT_TRUE(read_file(path("a"), 5));
  const auto result = read_file(path("a"), 4);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Errc::kExhausted);
}

TEST_F(FileTest, ReadExactReportsAnEarlyEnd) {
  ASSERT_TRUE(write_file_atomic(path("a"), "12345"));
  UniqueFd fd(::open(path("a").c_str(), O_RDONLY | O_CLOEXEC));
  char bytes[8];
  const auto result = read_exact(fd.get(), std::as_writable_bytes(std::span(bytes)));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Errc::kCorrupt);
}

TEST_F(FileTest, WriteToABadDescriptorFails) {
  const auto result = write_all(-1, std::as_bytes(std::span("x", 1)));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().sys_errno(), EBADF);
}

}  // namespace
}  // namespace ff
