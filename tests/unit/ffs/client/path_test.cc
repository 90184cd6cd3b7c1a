#include <gtest/gtest.h>

#include <cerrno>

#include "ffs/client/file_system.hpp"

namespace ff::ffs {
namespace {

TEST(CleanPath, ResolvesDotsByTheText) {
  for (const auto& [given, clean] :
       std::initializer_list<std::pair<const char*, const char*>>{{"/", "/"},
                                                                  {"//", "/"},
                                                                  {"/a", "/a"},
                                                                  {"/a/", "/a"},
                                                                  {"//a///b/./c/", "/a/b/c"},
                                                                  {"/a/../b", "/b"},
                                                                  {"/..", "/"},
                                                                  {"/../../a/b/..", "/a"},
                                                                  {"/...", "/..."}}) {
    const auto result = clean_path(given);
    ASSERT_TRUE(result) << given;
    EXPECT_EQ(*result, clean) << given;
  }
}

TEST(CleanPath, RefusesWhatNoNameCanBe) {
  EXPECT_EQ(clean_path("").error().sys_errno(), EINVAL);
  EXPECT_EQ(clean_path("a/b").error().sys_errno(), EINVAL);
  EXPECT_EQ(clean_path(std::string_view("/a\0b", 4)).error().sys_errno(), EINVAL);
  EXPECT_TRUE(clean_path("/" + std::string(255, 'n')));
  EXPECT_EQ(clean_path("/" + std::string(256, 'n')).error().sys_errno(), ENAMETOOLONG);
  std::string longest;
  while (longest.size() < 4096) longest += "/123456789012345";
  EXPECT_TRUE(clean_path(longest));
  EXPECT_EQ(clean_path(longest + "/").error().sys_errno(), ENAMETOOLONG);
}

}  // namespace
}  // namespace ff::ffs
