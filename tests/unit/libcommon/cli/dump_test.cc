#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/unit/libcommon/cli/sample_app.hpp"

namespace ff::cli {
namespace {

nlohmann::json named(const nlohmann::json& list, const std::string& name) {
  for (const auto& item : list)
    if (item.contains("names") ? item["names"].back() == name : item["name"] == name) return item;
  return nullptr;
}

TEST(DumpCli, HoldsTheWholeTree) {
  const Outcome outcome = call({"--dump-cli"});
  ASSERT_EQ(outcome.code, kExitOk);
  const auto json = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(json["schema"], "ff.cli/1");
  EXPECT_EQ(json["name"], "tool");
  const auto bench = named(json["commands"], "bench");
  EXPECT_EQ(bench["summary"], "Measure an allreduce over the processes of this machine");
  EXPECT_EQ(bench["trailing"], "CMD [ARG...]");
  EXPECT_EQ(bench["exit_codes"][0]["code"], 3);
  EXPECT_EQ(named(named(json["commands"], "topo")["commands"], "show")["name"], "show");
  EXPECT_FALSE(named(json["commands"], "completion").is_null());
}

TEST(DumpCli, GivesDefaultsInBaseUnits) {
  const auto options = named(nlohmann::json::parse(call({"--dump-cli"}).out)["commands"], "bench")["options"];
  const auto ranks = named(options, "--ranks");
  EXPECT_EQ(ranks["names"], (nlohmann::json{"-n", "--ranks"}));
  EXPECT_EQ(ranks["kind"], "integer");
  EXPECT_EQ(ranks["default"], 8);
  EXPECT_EQ(ranks["min"], 1);
  EXPECT_EQ(ranks["max"], 1024);
  EXPECT_EQ(ranks["environment"], "FF_TEST_RANKS");
  EXPECT_EQ(ranks["positional"], false);
  EXPECT_EQ(named(options, "--size")["default"], 1048576);
  EXPECT_EQ(named(options, "--timeout")["default"], 90000000000);
  EXPECT_EQ(named(options, "--algorithm")["choices"], (nlohmann::json{"tree", "ring"}));
  EXPECT_EQ(named(options, "--secret")["hidden"], true);
  EXPECT_EQ(named(options, "file")["positional"], true);
  EXPECT_EQ(named(options, "file")["required"], true);
  EXPECT_EQ(named(options, "--json")["flag"], true);
  EXPECT_TRUE(named(options, "--size")["max"].is_null());
}

}  // namespace
}  // namespace ff::cli
