#include "ffs/cmd/text.hpp"

#include <gtest/gtest.h>

namespace ff::ffs {
namespace {

TEST(ModeText, ShowsTypesAndBitsAsLsDoes) {
  EXPECT_EQ(mode_text(REGULAR, 0644), "-rw-r--r--");
  EXPECT_EQ(mode_text(DIRECTORY, 01777), "drwxrwxrwt");
  EXPECT_EQ(mode_text(DIRECTORY, 01776), "drwxrwxrwT");
  EXPECT_EQ(mode_text(SYMLINK, 0777), "lrwxrwxrwx");
  EXPECT_EQ(mode_text(REGULAR, 04755), "-rwsr-xr-x");
  EXPECT_EQ(mode_text(REGULAR, 06640), "-rwSr-S---");
  EXPECT_EQ(mode_text(REGULAR, 0), "----------");
}

TEST(ParseMode, TakesOctalDigitsAlone) {
  EXPECT_EQ(*parse_mode("644"), 0644u);
  EXPECT_EQ(*parse_mode("0"), 0u);
  EXPECT_EQ(*parse_mode("7777"), 07777u);
  for (const char* bad : {"", "8", "64a", "-1", "10000", " 644", "0x1", "u+x"}) EXPECT_FALSE(parse_mode(bad)) << bad;
}

TEST(TimeText, IsIso8601InUtc) {
  Timestamp time;
  time.set_seconds(1'700'000'000);
  time.set_nanoseconds(999'999'999);
  EXPECT_EQ(time_text(time), "2023-11-14T22:13:20Z");
  time.set_seconds(-1);
  EXPECT_EQ(time_text(time), "1969-12-31T23:59:59Z");
}

// RFC 4648, section 10, with a byte before that is not UTF-8.
TEST(Base64Cell, HasTheBytesOfNamesThatAreNotUtf8) {
  using report::Cell;
  EXPECT_EQ(base64_cell("\xff"), Cell("/w=="));
  EXPECT_EQ(base64_cell("\xff"
                        "f"),
            Cell("/2Y="));
  EXPECT_EQ(base64_cell("\xff"
                        "fo"),
            Cell("/2Zv"));
  EXPECT_EQ(base64_cell("\xff"
                        "foo"),
            Cell("/2Zvbw=="));
  for (const char* utf8 : {"", "a b", "\n", "\xc3\xa9"}) EXPECT_EQ(base64_cell(utf8), Cell()) << utf8;
}

TEST(AttributeCells, AreAsManyAsTheirColumns) {
  const std::size_t columns = attribute_columns("path", "PATH").size();
  EXPECT_EQ(attribute_cells("/a", Attributes()).size(), columns);
  EXPECT_EQ(attribute_cells("/a", DIRECTORY).size(), columns);
  EXPECT_EQ(attribute_columns("path", "PATH").back().key, "path_base64");
}

TEST(Paths, SplitAndJoin) {
  EXPECT_EQ(base_name("/"), "/");
  EXPECT_EQ(base_name("/a/b"), "b");
  EXPECT_EQ(parent_path("/a"), "/");
  EXPECT_EQ(parent_path("/a/b"), "/a");
  EXPECT_EQ(join_path("/", "a"), "/a");
  EXPECT_EQ(join_path("/a", "b"), "/a/b");
}

}  // namespace
}  // namespace ff::ffs
