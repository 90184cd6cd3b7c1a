#include "libcommon/report/json_cursor.hpp"

#include <gtest/gtest.h>

namespace ff::report {
namespace {

const JsonValue& tree() {
  static const auto parsed = JsonValue::parse(R"({"rows":[{"name":"a"},{"name":7}],"n":2.5,"b":true})");
  return *parsed;
}

TEST(JsonCursor, NamesThePlaceOfWhatIsWrong) {
  const JsonCursor root(tree());
  const auto rows = root.member("rows")->items();
  ASSERT_TRUE(rows);
  EXPECT_EQ(*(*rows)[0].text("name"), "a");
  EXPECT_EQ((*rows)[1].text("name").error().message(), "rows[1].name: is a number (expected a text)");
  EXPECT_EQ((*rows)[1].text("unit").error().message(), "rows[1].unit: is missing");
  EXPECT_EQ(root.integer("n").error().message(), "n: is a number (expected a whole number)");
  EXPECT_EQ(root.integer("b").error().message(), "b: is true or false (expected a whole number)");
  EXPECT_EQ(root.items().error().message(), "the document: is an object (expected a list)");
  EXPECT_EQ(root.items().error().code(), Errc::kCorrupt);
}

TEST(JsonCursor, ReadsMembersInOrderAndAbsentOnes) {
  const JsonCursor root(tree());
  const auto members = root.members();
  ASSERT_TRUE(members);
  EXPECT_EQ((*members)[1].first, "n");
  EXPECT_EQ((*members)[1].second.path(), "n");
  EXPECT_FALSE(root.optional_member("x")->has_value());
  EXPECT_EQ(*root.boolean("b"), true);
  EXPECT_EQ(*root.number("n"), 2.5);
  EXPECT_FALSE(root.member("n")->optional_member("x"));
}

}  // namespace
}  // namespace ff::report
