#include "libcommon/report/utf8.hpp"

#include <gtest/gtest.h>

namespace ff::report {
namespace {

TEST(DecodeUtf8, ReadsEachLength) {
  const std::string_view text = "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x94\xa5";  // A, e acute, euro, fire
  EXPECT_EQ(decode_utf8(text, 0).value, U'A');
  EXPECT_EQ(decode_utf8(text, 1).value, char32_t{0xe9});
  EXPECT_EQ(decode_utf8(text, 3).value, char32_t{0x20ac});
  const CodePoint fire = decode_utf8(text, 6);
  EXPECT_EQ(fire.value, char32_t{0x1f525});
  EXPECT_EQ(fire.bytes, 4U);
}

TEST(DecodeUtf8, TakesOneByteOfWhatIsNotValid) {
  for (std::string_view bad : {"\x80", "\xc3", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff",
                               "\xe2\x82", "\xf0\x80\x80\x80"}) {
    const CodePoint c = decode_utf8(bad, 0);
    EXPECT_FALSE(c.valid);
    EXPECT_EQ(c.bytes, 1U);
    EXPECT_EQ(c.value, kReplacementCharacter);
  }
}

TEST(DisplayWidth, CountsColumnsNotBytes) {
  EXPECT_EQ(display_width("abc"), 3U);
  EXPECT_EQ(display_width("\xc3\xa9"), 1U);
  EXPECT_EQ(display_width("\xe7\x81\xab"), 2U);
  EXPECT_EQ(display_width("e\xcc\x81"), 1U);
  EXPECT_EQ(display_width("\n\x1b"), 0U);
}

TEST(Printable, KeepsTextAndShowsControls) {
  EXPECT_EQ(printable("a\xc3\xa9 b"), "a\xc3\xa9 b");
  EXPECT_EQ(printable("a\nb\t\x1b[0m"), "a\\nb\\t\\x1b[0m");
  EXPECT_EQ(printable("\xff"), "\xef\xbf\xbd");
}

}  // namespace
}  // namespace ff::report
