#include "libcommon/kv/key_range.hpp"

#include <gtest/gtest.h>

namespace ff::kv {
namespace {

TEST(PrefixRange, EndsAfterTheLastKeyWithThePrefix) {
  EXPECT_EQ(prefix_range("ab").end, "ac");
  EXPECT_EQ(prefix_range("a\xff").end, "b");
  EXPECT_EQ(prefix_range("\xff\xff").end, "");
  EXPECT_EQ(prefix_range("").end, "");
  EXPECT_EQ(prefix_range("a\x7f").end, "a\x80");
  EXPECT_TRUE(contains(prefix_range("a\xff"), "a\xff\xff\xff"));
  EXPECT_FALSE(contains(prefix_range("a\xff"), "b"));
}

TEST(KeyRange, AnEmptyEndIsNoEnd) {
  EXPECT_TRUE(contains({"b", ""}, "\xff\xff"));
  EXPECT_FALSE(contains({"b", ""}, "a"));
  EXPECT_FALSE(contains({"b", "c"}, "c"));
  EXPECT_FALSE(is_empty({"b", ""}));
  EXPECT_TRUE(is_empty({"b", "b"}));
  EXPECT_TRUE(overlaps({"a", ""}, {"z", "zz"}));
  EXPECT_TRUE(overlaps({"a", "c"}, {"b", "d"}));
  EXPECT_FALSE(overlaps({"a", "b"}, {"b", "c"}));
}

TEST(KeyRange, APointIsTheRangeOfOneKey) {
  const KeyRange point = point_range("k");
  EXPECT_TRUE(contains(point, "k"));
  EXPECT_FALSE(contains(point, std::string("k\0", 2)));
}

TEST(PrintableKey, EscapesAndShortens) {
  EXPECT_EQ(printable_key(std::string("a/\0\xff'", 5)), "'a/\\x00\\xff\\x27'");
  EXPECT_LT(printable_key(std::string(5000, 'k')).size(), 80U);
}

}  // namespace
}  // namespace ff::kv
