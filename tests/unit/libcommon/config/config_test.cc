#include "libcommon/config/config.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "libcommon/config/describe.hpp"
#include "libcommon/config/loader.hpp"
#include "tests/unit/libcommon/config/sample_schema.hpp"

namespace ff::config {
namespace {

TEST(Schema, DerivesNamesGroupsAndRanges) {
  const Schema& schema = sample_schema();
  EXPECT_EQ(environment_name(schema.keys()[*schema.find("net.timeout")]), "FF_NET_TIMEOUT");
  EXPECT_EQ(schema.children(""), (std::vector<std::string>{"name", "net", "store", "tree"}));
  EXPECT_EQ(schema.children("store"), (std::vector<std::string>{"chunk", "sync"}));
  EXPECT_TRUE(schema.is_group("net"));
  EXPECT_FALSE(schema.is_group("ne"));
  EXPECT_FALSE(schema.is_group("net.port"));
  EXPECT_EQ(range_text(schema.keys()[*schema.find("store.chunk")]), "at least 4KiB");
}

TEST(Schema, ValuesReadBackFromTheirText) {
  for (const Key& key : sample_schema().keys()) {
    const auto value = parse_value(key, key.otherwise);
    ASSERT_TRUE(value) << key.name;
    EXPECT_EQ(parse_value(key, value_text(*value)).value_or(Value{}), *value) << key.name;
  }
  const Key odd{.name = "d", .type = Type::kDuration, .otherwise = "1234567ns"};
  EXPECT_EQ(value_text(*parse_value(odd, "1234567ns")), "1234567ns");
}

TEST(SchemaDeathTest, RefusesATableThatContradictsItself) {
  const Key good{.name = "a", .type = Type::kInteger, .otherwise = "1"};
  EXPECT_DEATH(Schema({good, good}), "assertion failed");
  EXPECT_DEATH(Schema({good, {.name = "a.b", .otherwise = "x"}}), "assertion failed");
  EXPECT_DEATH(Schema({{.name = "A"}}), "assertion failed");
  EXPECT_DEATH(Schema({{.name = "a..b"}}), "assertion failed");
  EXPECT_DEATH(Schema({{.name = "a", .type = Type::kInteger, .otherwise = "9", .max = 5}}), "assertion failed");
}

TEST(Config, SomeKeysAreOfTheFileAlone) {
  const Schema schema({{.name = "nodes", .type = Type::kTextList, .of_file_alone = true}});
  EXPECT_EQ(environment_name(schema.keys()[0]), "");
  EXPECT_EQ(describe_schema(schema).find("Environment"), std::string::npos);
  ::setenv("FF_NODES", "3", 1);
  Config config(schema);
  ASSERT_TRUE(config.load_environment());
  EXPECT_TRUE(config.get<std::vector<std::string>>("nodes").empty());
  ::unsetenv("FF_NODES");
}

TEST(Config, StrongerSourcesWinInAnyOrder) {
  ::setenv("FF_NET_PORT", "2", 1);
  ::setenv("FF_NAME", "", 1);
  for (int order = 0; order < 2; ++order) {
    Config config(sample_schema());
    EXPECT_EQ(config.get<std::int64_t>("net.port"), 7000);
    EXPECT_EQ(config.origin_of("net.port").place, "default");
    const auto file = [&] { ASSERT_TRUE(load_text(config, "name: file\nnet: {port: 3, timeout: 3s}\n", "f")); };
    if (order == 0) file();
    ASSERT_TRUE(config.set_flag("net.timeout", "4s", "--timeout"));
    ASSERT_TRUE(config.load_environment());
    if (order == 1) file();
    EXPECT_EQ(config.get<std::int64_t>("net.port"), 2);
    EXPECT_EQ(config.origin_of("net.port").place, "FF_NET_PORT");
    EXPECT_EQ(config.get<std::chrono::nanoseconds>("net.timeout"), std::chrono::seconds(4));
    EXPECT_EQ(config.origin_of("net.timeout").place, "--timeout");
    EXPECT_EQ(config.origin_of("name").place, "f:1");
  }
  ::unsetenv("FF_NET_PORT");
  ::unsetenv("FF_NAME");
}

TEST(Config, NamesTheSourceOfABadValue) {
  Config config(sample_schema());
  ::setenv("FF_STORE_CHUNK", "big", 1);
  const auto environment = config.load_environment();
  ::unsetenv("FF_STORE_CHUNK");
  ASSERT_FALSE(environment);
  EXPECT_TRUE(environment.error().message().starts_with("FF_STORE_CHUNK: 'big' is not a size"));
  const auto flag = config.set_flag("net.port", "0", "--set");
  ASSERT_FALSE(flag);
  EXPECT_EQ(flag.error().message(), "--set: net.port: '0' is out of range (1 to 65535)");
  const auto unknown = config.set_flag("net.prt", "1", "--set");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().message(), "--set: unknown key 'net.prt' (did you mean 'net.port'?)");
}

TEST(ConfigDeathTest, StopsAtAKeyOrTypeThatTheSchemaDoesNotHave) {
  const Config config(sample_schema());
  EXPECT_DEATH(config.get<bool>("net.port"), "assertion failed");
  EXPECT_DEATH(config.get<bool>("no.such"), "assertion failed");
}

TEST(DescribeValues, ShowsValueAndOriginOfEveryKey) {
  Config config(sample_schema());
  ASSERT_TRUE(load_text(config, "net:\n  interfaces: [a, b]\n", "f.yaml"));
  const auto json = nlohmann::json::parse(describe_values(config).render(report::Format::kJson));
  EXPECT_EQ(json["schema"], "ff.config/1");
  ASSERT_EQ(json["rows"].size(), sample_schema().keys().size());
  EXPECT_EQ(json["rows"][3]["key"], "net.interfaces");
  EXPECT_EQ(json["rows"][3]["value"], "a,b");
  EXPECT_EQ(json["rows"][3]["origin"], "f.yaml:2");
  EXPECT_EQ(json["rows"][5]["value"], "4MiB");
  EXPECT_EQ(json["rows"][4]["origin"], "default");
}

TEST(DescribeSchema, WritesOneManParagraphAKey) {
  const std::string text = describe_schema(sample_schema());
  EXPECT_NE(text.find("*net\\.timeout* (duration; 1ms to 1h0m; default 30s)\n\tgive up after."), std::string::npos)
      << text;
  EXPECT_NE(text.find("*FF\\_NET\\_TIMEOUT*"), std::string::npos);
}

}  // namespace
}  // namespace ff::config
