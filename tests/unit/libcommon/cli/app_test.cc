#include "libcommon/cli/app.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <regex>
#include <stdexcept>

#include "tests/unit/libcommon/cli/sample_app.hpp"

namespace ff::cli {
namespace {

using Words = std::vector<std::string>;

TEST(Run, KeepsDefaultsThatNoOptionReplaces) {
  SampleTool tool;
  EXPECT_EQ(tool.call({"bench", "f"}).code, kExitOk);
  EXPECT_EQ(tool.ran, "bench");
  EXPECT_EQ(tool.ranks, 8);
  EXPECT_EQ(tool.size.bytes, 1048576U);
  EXPECT_EQ(tool.timeout, std::chrono::seconds(90));
  EXPECT_EQ(tool.file, "f");
  EXPECT_FALSE(tool.verbose);
}

TEST(Run, StoresEveryKindOfValue) {
  SampleTool tool;
  const Outcome outcome =
      tool.call({"bench", "-n", "16", "--ratio=0.25", "--size", "1.5KiB", "--timeout", "250ms", "--algorithm", "ring",
                 "--label", "a", "--label=b", "in.bin", "n1", "[n2,n3]", "bench", "-v"});
  ASSERT_EQ(outcome.code, kExitOk) << outcome.err;
  EXPECT_EQ(tool.ranks, 16);
  EXPECT_EQ(tool.ratio, 0.25);
  EXPECT_EQ(tool.size.bytes, 1536U);
  EXPECT_EQ(tool.timeout, std::chrono::milliseconds(250));
  EXPECT_EQ(tool.algorithm, "ring");
  EXPECT_EQ(tool.labels, (Words{"a", "b"}));
  EXPECT_EQ(tool.file, "in.bin");
  // A list in brackets is one word, and a word that is spelled like a command is a value here.
  EXPECT_EQ(tool.hosts, (Words{"n1", "[n2,n3]", "bench"}));
  EXPECT_TRUE(tool.verbose);
}

TEST(Run, TakesGlobalOptionsAnywhere) {
  for (const Words& words : {Words{"-v", "topo", "show"}, {"topo", "-v", "show"}, {"topo", "show", "x", "-v"}}) {
    SampleTool tool;
    EXPECT_EQ(tool.call(words).code, kExitOk);
    EXPECT_TRUE(tool.verbose);
    EXPECT_EQ(tool.ran, "show");
  }
}

TEST(Run, TakesBackAFlag) {
  SampleTool tool;
  EXPECT_EQ(tool.call({"-v", "--verbose=false", "topo", "show"}).code, kExitOk);
  EXPECT_FALSE(tool.verbose);
}

TEST(Run, KeepsTheLastOfAScalar) {
  SampleTool tool;
  EXPECT_EQ(tool.call({"bench", "f", "-n4", "-n5"}).code, kExitOk);
  EXPECT_EQ(tool.ranks, 5);
}

TEST(Run, TakesAnEmptyValue) {
  SampleTool tool;
  EXPECT_EQ(tool.call({"bench", "--label=", "f", "--label", ""}).code, kExitOk);
  EXPECT_EQ(tool.labels, (Words{"", ""}));
  EXPECT_EQ(tool.file, "f");
}

struct Refusal {
  Words words;
  std::string message;  // what standard error must contain
};

class Refuses : public testing::TestWithParam<Refusal> {};

TEST_P(Refuses, WithOneLineAndExitTwo) {
  SampleTool tool;
  const Outcome outcome = tool.call(GetParam().words);
  EXPECT_EQ(outcome.code, kExitUsage);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(tool.ran, "");
  EXPECT_TRUE(outcome.err.starts_with("tool: ")) << outcome.err;
  EXPECT_NE(outcome.err.find(GetParam().message), std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.err.find('\n'), outcome.err.size() - 1) << outcome.err;
}

INSTANTIATE_TEST_SUITE_P(
    WrongUsage, Refuses,
    testing::Values(Refusal{{"bench", "f", "--ranks", "0"}, "option '--ranks': '0' is below the least allowed, 1"},
                    Refusal{{"bench", "f", "--ranks", "1025"}, "above the most allowed, 1024"},
                    Refusal{{"bench", "f", "--ranks", "-1"}, "'-1' is below"},
                    Refusal{{"bench", "f", "--ranks", "8x"}, "'8x' is not a whole number"},
                    Refusal{{"bench", "f", "--ranks", "99999999999999999999"}, "is too large"},
                    Refusal{{"bench", "f", "--ranks"}, "option '--ranks': needs a value"},
                    Refusal{{"bench", "f", "--ratio", "nan"}, "not a finite number"},
                    Refusal{{"bench", "f", "--ratio", "1.5"}, "above the most allowed, 1"},
                    Refusal{{"bench", "f", "--size", "-1"}, "option '--size': '-1' is not a size: negative"},
                    Refusal{{"bench", "f", "--size", "2"}, "below the least allowed, 4B"},
                    Refusal{{"bench", "f", "--timeout", "5"}, "no unit"},
                    Refusal{{"bench", "f", "--timeout", "1us"}, "below the least allowed, 1ms"},
                    Refusal{{"bench", "f", "--algorithm", "rng"}, "not one of tree, ring (did you mean 'ring'?)"},
                    Refusal{{"bench", "f", "--rnks", "3"}, "unknown option '--rnks' (did you mean '--ranks'?)"},
                    Refusal{{"bench", "f", "--verbos"}, "did you mean '--verbose'?"},
                    Refusal{{"bench", "f", "--secre", "x"}, "unknown option '--secre' (see"},
                    Refusal{{"bnch"}, "unknown command 'bnch' (did you mean 'bench'?)"},
                    Refusal{{"topo", "shwo"}, "unknown command 'shwo' (did you mean 'show'?) (see 'tool topo --help')"},
                    Refusal{{"bench"}, "missing FILE"}, Refusal{{"bench", "--", "x"}, "missing FILE"},
                    Refusal{{"version", "extra"}, "unexpected argument 'extra'"},
                    Refusal{{"-v", "--verbose=maybe", "topo", "show"}, "neither true nor false"},
                    Refusal{{"completion", "tcsh"}, "not one of bash, zsh, fish"}));

TEST(Run, ReadsTheEnvironmentWhereNoOptionSpeaks) {
  ::setenv("FF_TEST_RANKS", "32", 1);
  ::setenv("FF_TEST_LABELS", "a,b", 1);
  SampleTool fallback, flag;
  EXPECT_EQ(fallback.call({"bench", "f"}).code, kExitOk);
  EXPECT_EQ(fallback.ranks, 32);
  EXPECT_EQ(fallback.labels, (Words{"a", "b"}));
  EXPECT_EQ(flag.call({"bench", "f", "--ranks", "4"}).code, kExitOk);
  EXPECT_EQ(flag.ranks, 4);

  ::setenv("FF_TEST_RANKS", "many", 1);
  const Outcome bad = call({"bench", "f"});
  EXPECT_EQ(bad.code, kExitUsage);
  EXPECT_NE(bad.err.find("environment variable 'FF_TEST_RANKS': 'many'"), std::string::npos) << bad.err;

  ::setenv("FF_TEST_RANKS", "", 1);
  SampleTool empty;
  EXPECT_EQ(empty.call({"bench", "f"}).code, kExitOk);
  EXPECT_EQ(empty.ranks, 8);
  ::unsetenv("FF_TEST_RANKS");
  ::unsetenv("FF_TEST_LABELS");
}

TEST(Run, HandsOnWhatFollowsTwoDashesVerbatim) {
  SampleTool tool;
  ASSERT_EQ(tool.call({"bench", "f", "--ranks", "2", "--", "python", "--ranks", "9", "--", "--help"}).code, kExitOk);
  EXPECT_EQ(tool.ranks, 2);
  EXPECT_EQ(tool.trailing, (Words{"python", "--ranks", "9", "--", "--help"}));
}

TEST(Run, ReadsPositionalsAfterTwoDashesWhereNothingIsLaunched) {
  SampleTool tool;
  ASSERT_EQ(tool.call({"topo", "show", "a", "--", "--odd-name", "-x"}).code, kExitOk);
  EXPECT_EQ(tool.names, (Words{"a", "--odd-name", "-x"}));
}

TEST(Run, ReturnsTheCommandsCodeOrItsError) {
  SampleTool partial, wrong, failed;
  partial.result = kExitPartial;
  EXPECT_EQ(partial.call({"topo", "show"}).code, kExitPartial);
  wrong.result = fail(Errc::kInvalidArgument, "rank 3: no such rank");
  EXPECT_EQ(wrong.call({"topo", "show"}).code, kExitUsage);
  failed.result = fail(Errc::kTimeout, "rank 3: silent for 30s\nsecond line");
  const Outcome outcome = failed.call({"topo", "show"});
  EXPECT_EQ(outcome.code, kExitFailed);
  EXPECT_EQ(outcome.err, "tool: rank 3: silent for 30s\\nsecond line\n");
}

TEST(Run, PrintsErrorsAsJsonWhereJsonIsAsked) {
  for (const Words& asked : {Words{"--json"}, {"-o", "json"}, {"-ojson"}, {"--output=json"}, {"--output", "json"}}) {
    SampleTool tool;
    tool.result = fail(Errc::kTimeout, "rank 3: \"silent\"");
    Words words = {"bench", "f"};
    words.insert(words.end(), asked.begin(), asked.end());
    const auto json = nlohmann::json::parse(tool.call(words).err);
    EXPECT_EQ(json,
              (nlohmann::json{
                  {"schema", "ff.error/1"}, {"tool", "tool"}, {"code", "timeout"}, {"message", "rank 3: \"silent\""}}));
  }
  EXPECT_EQ(nlohmann::json::parse(call({"bnch", "--json"}).err)["code"], "invalid_argument");
  // Behind "--" the word belongs to somebody else.
  EXPECT_TRUE(call({"bnch", "--", "--json"}).err.starts_with("tool: "));
}

TEST(Run, StopsExceptionsOfACommand) {
  App app{.root = {.name = "tool", .summary = "s", .run = []() -> Result<int> { throw std::runtime_error("boom"); }}};
  std::string name = "tool";
  char* argv[] = {name.data()};
  testing::internal::CaptureStderr();
  EXPECT_EQ(run(app, 1, argv), kExitFailed);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("boom"), std::string::npos);
}

TEST(Run, ShowsShortHelpForAGroupAlone) {
  for (const Words& words : {Words{}, {"topo"}}) {
    const Outcome outcome = call(words);
    EXPECT_EQ(outcome.code, kExitUsage);
    EXPECT_EQ(outcome.out, "");
    EXPECT_NE(outcome.err.find("Usage: tool"), std::string::npos);
  }
}

TEST(Run, PrintsTheVersionOnOneLine) {
  const Outcome text = call({"--version"});
  EXPECT_EQ(text.code, kExitOk);
  EXPECT_TRUE(
      std::regex_match(text.out, std::regex(R"(tool \d+\.\d+\.\d+( \(git [0-9a-f]+(-dirty)?\))? features: .+\n)")))
      << text.out;
  EXPECT_EQ(call({"version"}).out, text.out);
  EXPECT_EQ(call({"bench", "--version"}).out, text.out);
  for (const Words& words : {Words{"--version", "--json"}, {"version", "--json"}}) {
    const auto json = nlohmann::json::parse(call(words).out);
    EXPECT_EQ(json["schema"], "ff.version/1");
    EXPECT_EQ(json["version"], build_version());
  }
}

// The reader of standard output is gone, as in `tool | head`: the program ends by the signal, without a word.
[[noreturn]] void write_into_a_closed_pipe() {
  int ends[2];
  if (::pipe(ends) != 0) std::_Exit(9);
  ::close(ends[0]);
  ::dup2(ends[1], STDOUT_FILENO);
  std::signal(SIGPIPE, SIG_IGN);
  SampleTool tool;
  std::string name = "tool", option = "--help";
  char* argv[] = {name.data(), option.data()};
  std::_Exit(run(tool.app(), 2, argv));
}

TEST(RunDeathTest, EndsQuietlyWhenItsReaderIsGone) {
  EXPECT_EXIT(write_into_a_closed_pipe(), testing::KilledBySignal(SIGPIPE), "^$");
}

TEST(OutputOptions, ResolveOneFormat) {
  SampleTool tool;
  EXPECT_EQ(tool.output.format().value_or(report::Format::kCsv), report::Format::kTable);
  ASSERT_EQ(tool.call({"bench", "f", "-o", "yaml"}).code, kExitOk);
  EXPECT_EQ(tool.output.format().value_or(report::Format::kCsv), report::Format::kYaml);
  SampleTool json;
  ASSERT_EQ(json.call({"bench", "f", "--json"}).code, kExitOk);
  EXPECT_EQ(json.output.format().value_or(report::Format::kCsv), report::Format::kJson);
  SampleTool both;
  ASSERT_EQ(both.call({"bench", "f", "--json", "-o", "csv"}).code, kExitOk);
  EXPECT_FALSE(both.output.format());
  EXPECT_EQ(call({"bench", "f", "-o", "xml"}).code, kExitUsage);
}

}  // namespace
}  // namespace ff::cli
