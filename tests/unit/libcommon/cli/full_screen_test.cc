#include "libcommon/cli/full_screen.hpp"

#include <gtest/gtest.h>

#include <string>

namespace ff::cli {
namespace {

// Without what moves, erases and highlights.
std::string visible(std::string text) {
  for (const char* const code : {"\x1b[H", "\x1b[K", "\x1b[J", "\x1b[1m", "\x1b[0m"})
    for (std::size_t at = 0; (at = text.find(code, at)) != std::string::npos;) text.erase(at, std::string(code).size());
  return text;
}

TEST(FitToScreen, CutsLinesAndColumns) { EXPECT_EQ(visible(fit_to_screen("abcdef\nxy\nz\n", 2, 4)), "abcd\r\nxy"); }

TEST(FitToScreen, LastLineNeverScrolls) {
  EXPECT_EQ(visible(fit_to_screen("a\nb\n", 2, 80)), "a\r\nb");
  EXPECT_EQ(visible(fit_to_screen("a\nb\n", 24, 80)), "a\r\nb");
}

TEST(FitToScreen, ErasesWhatAnEarlierDrawingLeft) {
  const std::string out = fit_to_screen("a\nb\n", 24, 80);
  EXPECT_TRUE(out.starts_with("\x1b[H"));
  EXPECT_TRUE(out.ends_with("\x1b[K\x1b[J"));
}

TEST(FitToScreen, KeepsCharactersWhole) {
  EXPECT_EQ(visible(fit_to_screen("ab\xc3\xa9"
                                  "cd\n",
                                  1, 3)),
            "ab")
      << "half of a letter of two bytes";
}

TEST(FitToScreen, TakesAnEmptyText) { EXPECT_EQ(visible(fit_to_screen("", 5, 5)), ""); }

}  // namespace
}  // namespace ff::cli
