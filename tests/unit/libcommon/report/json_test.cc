#include "libcommon/report/json.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <nlohmann/json.hpp>
#include <random>

namespace ff::report {
namespace {

TEST(JsonWriter, WritesInTheOrderOfTheCalls) {
  JsonWriter json;
  json.begin_object().field("a", 1).key("b").begin_array().value(true).null().value("x").end_array();
  json.key("c").begin_object().end_object().field("d", std::uint64_t{UINT64_MAX}).field("e", INT64_MIN).end_object();
  EXPECT_EQ(json.text(), R"({"a":1,"b":[true,null,"x"],"c":{},"d":18446744073709551615,"e":-9223372036854775808})");
}

TEST(JsonWriter, IndentsWithoutChangingTheValue) {
  JsonWriter json(2);
  json.begin_object().key("rows").begin_array().value(1).value(2).end_array().key("none").begin_array().end_array();
  json.end_object();
  EXPECT_EQ(json.text(), "{\n  \"rows\": [\n    1,\n    2\n  ],\n  \"none\": []\n}");
}

TEST(JsonWriter, EscapesWhatJsonWants) {
  JsonWriter json;
  json.value("a\"b\\c\n\r\t\x01/\x7f\xc3\xa9");
  EXPECT_EQ(json.text(), "\"a\\\"b\\\\c\\n\\r\\t\\u0001/\\u007f\xc3\xa9\"");
}

TEST(JsonWriter, ReplacesBytesThatAreNotUtf8) {
  JsonWriter json;
  json.value(std::string_view("a\xff\xc0\x80\xed\xa0\x80z", 8));
  const auto parsed = nlohmann::json::parse(json.text());
  // One replacement for each byte of the bad lead, the overlong pair and the three bytes of a surrogate.
  std::string expected = "a";
  for (int i = 0; i < 6; ++i) expected += "\xef\xbf\xbd";
  EXPECT_EQ(parsed.get<std::string>(), expected + "z");
}

TEST(JsonWriter, WritesNullForWhatIsNoNumber) {
  JsonWriter json;
  json.begin_array().value(std::nan("")).value(INFINITY).value(-INFINITY).end_array();
  EXPECT_EQ(json.text(), "[null,null,null]");
}

TEST(JsonWriter, DoublesReadBackToTheSameBits) {
  std::mt19937_64 random(4);
  for (int i = 0; i < 20000; ++i) {
    const double d = std::bit_cast<double>(random());
    if (!std::isfinite(d)) continue;
    JsonWriter json;
    json.value(d);
    EXPECT_EQ(nlohmann::json::parse(json.text()).get<double>(), d) << json.text();
  }
  JsonWriter shortest;
  shortest.begin_array().value(0.1).value(1e300).value(2.0).end_array();
  EXPECT_EQ(shortest.text(), "[0.1,1e+300,2]");
}

TEST(JsonWriterDeathTest, StopsAtCallsThatDoNotNest) {
  EXPECT_DEATH(JsonWriter().begin_object().value(1), "assertion failed");
  EXPECT_DEATH(JsonWriter().begin_array().end_object(), "assertion failed");
  EXPECT_DEATH(JsonWriter().key("a"), "assertion failed");
  EXPECT_DEATH(JsonWriter().value(1).value(2), "assertion failed");
}

}  // namespace
}  // namespace ff::report
