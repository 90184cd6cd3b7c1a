#include <gtest/gtest.h>

#include "libcommon/cli/builtin.hpp"
#include "libcommon/report/utf8.hpp"
#include "tests/unit/libcommon/cli/sample_app.hpp"

namespace ff::cli {
namespace {

TEST(Help, GoesToStandardOutputAndIsNoFailure) {
  const Outcome outcome = call({"bench", "--help"});
  EXPECT_EQ(outcome.code, kExitOk);
  EXPECT_EQ(outcome.err, "");
  // Though FILE is required, help is given.
  EXPECT_TRUE(outcome.out.starts_with("tool bench - Measure an allreduce"));
}

TEST(Help, SaysWhatACallerNeeds) {
  const std::string text = call({"bench", "-h"}).out;
  for (const char* part :
       {"Usage: tool bench [OPTIONS] FILE [HOSTS...] -- CMD [ARG...]", "-n, --ranks N",
        "number of ranks (default 8; 1 to 1024; env FF_TEST_RANKS)", "(default 1MiB; at least 4B)",
        "(default 1m30s; at least 1ms)", "(default tree; one of tree, ring)", "(may be repeated;", "-v, --verbose",
        "  # eight ranks\n  $ tool bench", "Exit status:", "3  some ranks failed", "input (required)"})
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  EXPECT_EQ(text.find("--secret"), std::string::npos);
  EXPECT_EQ(text.find("--dump-cli"), std::string::npos);
}

TEST(Help, StaysWithinTheColumns) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"--help"}, {"bench", "--help"}, {"topo", "show", "-h"}, {"completion", "-h"}}) {
    const std::string text = call(words).out;
    for (std::size_t start = 0; start < text.size();) {
      const std::size_t end = text.find('\n', start);
      const std::string line = text.substr(start, end - start);
      EXPECT_LE(report::display_width(line), kHelpColumnsMax) << line;
      EXPECT_FALSE(line.ends_with(' ')) << line;
      start = end + 1;
    }
  }
}

TEST(Help, NamesTheCommandsOfAGroup) {
  const std::string text = call({"--help"}).out;
  EXPECT_NE(text.find("Usage: tool COMMAND [OPTIONS]"), std::string::npos);
  EXPECT_NE(text.find("topo        Look at the topology"), std::string::npos) << text;
}

}  // namespace
}  // namespace ff::cli
