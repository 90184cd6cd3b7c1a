#include "libcommon/testing/temp_folder.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "libcommon/base/file.hpp"

namespace ff::testing {
namespace {

TEST(TempFolder, IsItsOwnAndGoesWithItsContent) {
  std::string path;
  {
    const TempFolder one, other;
    EXPECT_NE(one.path(), other.path());
    path = one.path();
    ASSERT_TRUE(write_file_atomic(one.file("x"), "content"));
    EXPECT_TRUE(std::filesystem::exists(path + "/x"));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace ff::testing
