#include "libcommon/cli/suggestion.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace ff::cli {
namespace {

const std::vector<std::string> kWords = {"ranks", "ring", "timeout"};

TEST(Nearest, FindsWordsOneSlipAway) {
  EXPECT_EQ(nearest("rnks", kWords), "ranks");
  EXPECT_EQ(nearest("rankss", kWords), "ranks");
  EXPECT_EQ(nearest("rakns", kWords), "ranks");
  EXPECT_EQ(nearest("timeuot", kWords), "timeout");
  EXPECT_EQ(nearest("tmeout", kWords), "timeout");
}

TEST(Nearest, DoesNotGuess) {
  EXPECT_FALSE(nearest("bandwidth", kWords));
  EXPECT_FALSE(nearest("xy", kWords));
  EXPECT_FALSE(nearest("", kWords));
  EXPECT_FALSE(nearest("x", {}));
  EXPECT_FALSE(nearest(std::string(100000, 'a'), kWords));
}

TEST(Nearest, TakesTheNearerAndTheFirstOfEquals) {
  EXPECT_EQ(nearest("abcd", std::vector<std::string>{"abXX", "abcX", "Xbcd"}), "abcX");
}

TEST(DidYouMean, IsReadyToAppend) {
  EXPECT_EQ(did_you_mean("rng", kWords), " (did you mean 'ring'?)");
  EXPECT_EQ(did_you_mean("zzz", kWords), "");
}

}  // namespace
}  // namespace ff::cli
