#include "ffbench/result/output_file.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "libcommon/base/file.hpp"
#include "libcommon/testing/temp_folder.hpp"

namespace ff::bench {
namespace {

TEST(WriteOutputFile, NeverReplacesUnlessForced) {
  const testing::TempFolder folder;
  const std::string path = folder.file("a.json");
  ASSERT_TRUE(write_output_file(path, "first", false));
  const auto second = write_output_file(path, "second", false);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), Errc::kAlreadyExists);
  EXPECT_EQ(*read_file(path, 100), "first");
  ASSERT_TRUE(write_output_file(path, "third", true));
  EXPECT_EQ(*read_file(path, 100), "third");
  // Nothing is left beside it.
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(CheckOutputPath, NamesWhatIsWrongBeforeTheWork) {
  const testing::TempFolder folder;
  EXPECT_TRUE(check_output_path(folder.file("new"), false));
  EXPECT_EQ(check_output_path(folder.path(), true).error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(check_output_path("", false).error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(check_output_path("-", false).error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(check_output_path(folder.file("none/new"), false).error().code(), Errc::kNotFound);
  // A link that leads nowhere is something too.
  ASSERT_EQ(::symlink("/nonexistent", folder.file("link").c_str()), 0);
  EXPECT_EQ(check_output_path(folder.file("link"), false).error().code(), Errc::kAlreadyExists);
}

}  // namespace
}  // namespace ff::bench
