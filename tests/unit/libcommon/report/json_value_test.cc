#include "libcommon/report/json_value.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "libcommon/report/json.hpp"

namespace ff::report {
namespace {

std::string error_of(std::string_view text, JsonLimits limits = {}) {
  const auto parsed = JsonValue::parse(text, limits);
  return parsed ? "no error" : parsed.error().message();
}

TEST(JsonValue, ReadsEveryKind) {
  const auto tree =
      JsonValue::parse(R"({"a": null, "b": true, "c": -7, "d": 2.5, "e": "x\ny\u00e9", "f": [1, [2]], "g": {}})");
  ASSERT_TRUE(tree) << tree.error().message();
  EXPECT_TRUE(tree->find("a")->is_null());
  EXPECT_EQ(tree->find("b")->boolean(), true);
  EXPECT_EQ(tree->find("c")->integer(), -7);
  EXPECT_EQ(tree->find("c")->number(), -7.0);
  EXPECT_EQ(tree->find("d")->number(), 2.5);
  EXPECT_FALSE(tree->find("d")->integer());
  EXPECT_EQ(*tree->find("e")->text(), "x\ny\xc3\xa9");
  EXPECT_EQ(tree->find("f")->array()->at(1).array()->at(0).integer(), 2);
  EXPECT_TRUE(tree->find("g")->object()->empty());
  EXPECT_EQ(tree->find("h"), nullptr);
  EXPECT_EQ(tree->find("c")->find("x"), nullptr);
  EXPECT_EQ(tree->object()->at(6).first, "g");
}

TEST(JsonValue, KeepsIntegersExactAndGivesLargerOnesAsDoubles) {
  const auto tree = JsonValue::parse("[9223372036854775807, -9223372036854775808, 9223372036854775808, 1e3]");
  ASSERT_TRUE(tree);
  const auto& items = *tree->array();
  EXPECT_EQ(items[0].integer(), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(items[1].integer(), std::numeric_limits<std::int64_t>::min());
  EXPECT_FALSE(items[2].integer());
  EXPECT_EQ(items[2].number(), 0x1p63);
  EXPECT_FALSE(items[3].integer());
  EXPECT_EQ(items[3].number(), 1000.0);
}

TEST(JsonValue, NamesLineAndColumn) {
  EXPECT_NE(error_of("{\n  \"a\": 1,\n  oops\n}").find("line 3, column 3"), std::string::npos)
      << error_of("{\n  \"a\": 1,\n  oops\n}");
  EXPECT_EQ(error_of("").rfind("JSON: line 1", 0), 0u) << error_of("");
}

TEST(JsonValue, RefusesWhatIsNotJson) {
  for (const char* text : {"", "{", "[1,]", "01", "nul", "'a'", "\"\xff\"", "1 2", "{\"a\":1}}", "[1e999]", "NaN",
                           "\"\t\"", "\xef\xbb\xbf{}", "// c\n1", "\"\\ud800\""}) {
    const auto parsed = JsonValue::parse(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code(), Errc::kCorrupt) << text;
    EXPECT_EQ(parsed.error().message().find('\n'), std::string::npos);
  }
}

TEST(JsonValue, RefusesTwoMembersOfOneName) {
  EXPECT_EQ(error_of(R"({"a":{"b":1,"b":2}})"), "JSON: two members are named 'b'");
  EXPECT_TRUE(JsonValue::parse(R"([{"a":1},{"a":1}])"));
}

TEST(JsonValue, StopsAtItsBounds) {
  EXPECT_EQ(error_of("[[[1]]]", {.depth_max = 2}), "JSON: nested more than 2 deep");
  EXPECT_TRUE(JsonValue::parse("[[1]]", {.depth_max = 2}));
  EXPECT_EQ(error_of("[1,2,3]", {.values_max = 3}), "JSON: more than 3 values");
  EXPECT_TRUE(JsonValue::parse("[1,2]", {.values_max = 3}));
  EXPECT_EQ(error_of("[1,2]", {.bytes_max = 4}), "JSON: 5 bytes, more than 4");
  const auto deep = JsonValue::parse(std::string(1'000'000, '['));
  ASSERT_FALSE(deep);
  EXPECT_EQ(deep.error().code(), Errc::kExhausted);
}

TEST(JsonValue, ReadsWhatOurWriterWrites) {
  JsonWriter json;
  json.begin_object().field("t", "q\"\\\x01\x7f\n").field("d", 0.1).field("i", std::int64_t{INT64_MIN});
  json.key("l").begin_array().value(true).null().end_array().end_object();
  const auto tree = JsonValue::parse(json.text());
  ASSERT_TRUE(tree) << tree.error().message();
  EXPECT_EQ(*tree->find("t")->text(), "q\"\\\x01\x7f\n");
  EXPECT_EQ(tree->find("d")->number(), 0.1);
  EXPECT_EQ(tree->find("i")->integer(), INT64_MIN);
  EXPECT_EQ(tree->find("l")->array()->size(), 2u);
}

}  // namespace
}  // namespace ff::report
