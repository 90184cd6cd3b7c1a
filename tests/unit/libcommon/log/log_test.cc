#include "libcommon/log/log.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <regex>

namespace ff::log {
namespace {

// Initialises inside the capture; gives what went to standard error and expects nothing on standard output.
template <class F>
std::string captured(const Options& options, F body) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  init(options);
  body();
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
  return testing::internal::GetCapturedStderr();
}

TEST(Log, WritesOneLineWithTimeToolAndLevel) {
  const std::string text = captured({.tool = "ffbench"}, [] { warn("rank '{}' is slow, ignoring", 3); });
  EXPECT_TRUE(std::regex_match(
      text, std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ffbench: warn: rank '3' is slow, ignoring\n)")))
      << text;
}

TEST(Log, KeepsARecordOnOneLine) {
  const std::string text = captured({.tool = "t"}, [] { error("a\nb\x1b[31m"); });
  EXPECT_NE(text.find("a\\nb\\x1b[31m\n"), std::string::npos) << text;
}

TEST(Log, DropsWhatIsBelowTheLevel) {
  EXPECT_EQ(captured({.tool = "t", .level = Level::kError}, [] { warn("no"); }), "");
  EXPECT_EQ(captured({.tool = "t", .level = Level::kOff}, [] { error("no"); }), "");
  EXPECT_NE(captured({.tool = "t", .level = Level::kDebug}, [] { debug("yes"); }).find("debug: yes"),
            std::string::npos);
}

TEST(Log, JsonIsOneObjectALine) {
  const std::string text =
      captured({.tool = "t", .level = Level::kInfo, .json = true}, [] { info("say \"{}\"\n", "hi"); });
  const auto json = nlohmann::json::parse(text);
  EXPECT_EQ(json["level"], "info");
  EXPECT_EQ(json["tool"], "t");
  EXPECT_EQ(json["message"], "say \"hi\"\n");
  EXPECT_EQ(json["time"].get<std::string>().back(), 'Z');
  EXPECT_EQ(text.find('\n'), text.size() - 1);
}

TEST(Log, RateLimitCountsWhatItDrops) {
  const std::string text = captured({.tool = "t"}, [] {
    RateLimit hourly(3'600'000);
    for (int i = 0; i < 5; ++i) hourly.warn("slow");
    RateLimit always(0);
    always.warn("each");
    always.warn("each");
  });
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3) << text;
}

TEST(ParseLevel, KnowsEveryNameAndRefusesOthers) {
  EXPECT_EQ(parse_level("trace").value_or(Level::kOff), Level::kTrace);
  EXPECT_EQ(parse_level("off").value_or(Level::kTrace), Level::kOff);
  EXPECT_FALSE(parse_level("WARN"));
  EXPECT_FALSE(parse_level(""));
}

TEST(LevelFromEnvironment, FallsBackAndNamesTheVariable) {
  ::unsetenv("FF_LOG");
  EXPECT_EQ(level_from_environment(Level::kInfo).value_or(Level::kOff), Level::kInfo);
  ::setenv("FF_LOG", "debug", 1);
  EXPECT_EQ(level_from_environment(Level::kInfo).value_or(Level::kOff), Level::kDebug);
  ::setenv("FF_LOG", "loud", 1);
  const auto result = level_from_environment(Level::kInfo);
  ::unsetenv("FF_LOG");
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().message().starts_with("FF_LOG: 'loud'"));
}

}  // namespace
}  // namespace ff::log
