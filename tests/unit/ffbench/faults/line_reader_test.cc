#include "ffbench/faults/line_reader.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "libcommon/base/file.hpp"
#include "libcommon/base/unique_fd.hpp"

namespace ff::bench {
namespace {

struct Outcome {
  std::vector<std::string> lines;
  LinesRead read;
};

Outcome read_text(const std::string& text) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) std::abort();
  const UniqueFd in(ends[0]);
  std::jthread writer([out = UniqueFd(ends[1]), &text] { (void)write_all(out.get(), std::as_bytes(std::span(text))); });
  Outcome outcome;
  const auto read = read_lines(in.get(), "pipe",
                               [&](std::string_view line) -> Result<> {
                                 outcome.lines.emplace_back(line);
                                 return {};
                               },
                               {});
  outcome.read = read.value();
  return outcome;
}

TEST(LineReader, SplitsLines) {
  EXPECT_EQ(read_text("a\nb\r\n\nc").lines, (std::vector<std::string>{"a", "b", "", "c"}));
  EXPECT_TRUE(read_text("").lines.empty());
  EXPECT_EQ(read_text("a\n").lines.size(), 1u);
}

TEST(LineReader, CutsLinesWithoutAnEnd) {
  const auto outcome = read_text(std::string(10 * kLineBytesMax, 'x') + "\nnext\n");
  ASSERT_EQ(outcome.lines.size(), 2u);
  EXPECT_EQ(outcome.lines[0].size(), kLineBytesMax);
  EXPECT_EQ(outcome.lines[1], "next");
  EXPECT_EQ(outcome.read.cut, 1u);
}

TEST(LineReader, EndsWhenAskedTo) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd in(ends[0]), out(ends[1]);
  ASSERT_EQ(::write(out.get(), "a\n", 2), 2);
  const auto read = read_lines(in.get(), "pipe", [](std::string_view) -> Result<> { return {}; }, [] { return true; });
  ASSERT_TRUE(read.has_value());
  EXPECT_TRUE(read->interrupted);
}

}  // namespace
}  // namespace ff::bench
