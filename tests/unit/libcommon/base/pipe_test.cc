#include "libcommon/base/pipe.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <string>

namespace ff {
namespace {

std::string all_of(int fd) {
  std::string text;
  std::array<char, 4096> block;
  for (ssize_t got = 0; (got = ::read(fd, block.data(), block.size())) > 0;)
    text.append(block.data(), static_cast<std::size_t>(got));
  return text;
}

bool closes_on_exec(const UniqueFd& fd) { return (::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC) != 0; }

TEST(Pipe, GivesWhatWasWrittenAndThenItsEnd) {
  auto pipe = make_pipe();
  ASSERT_TRUE(pipe);
  EXPECT_TRUE(closes_on_exec(pipe->read) && closes_on_exec(pipe->write));
  ASSERT_EQ(::write(pipe->write.get(), "abc", 3), 3);
  pipe->write.reset();
  EXPECT_EQ(all_of(pipe->read.get()), "abc");
}

TEST(TextFile, IsReadFromItsBegin) {
  const std::string text(300'000, 'x');  // more than a pipe holds
  const auto file = text_file(text);
  ASSERT_TRUE(file);
  EXPECT_TRUE(closes_on_exec(*file));
  EXPECT_EQ(all_of(file->get()), text);
  const auto empty = text_file("");
  ASSERT_TRUE(empty);
  EXPECT_EQ(all_of(empty->get()), "");
}

}  // namespace
}  // namespace ff
