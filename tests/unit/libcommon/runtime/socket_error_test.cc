#include "libcommon/runtime/socket_error.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

namespace ff::runtime {
namespace {

TEST(SocketError, SaysUnavailableForEveryWayInWhichAPeerIsGone) {
  for (const int error : {ECONNRESET, EPIPE, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, ECONNREFUSED, ENOENT, EAGAIN}) {
    EXPECT_EQ(socket_error("send", error).code(), Errc::kUnavailable) << error;
  }
  EXPECT_EQ(socket_error("accept", EMFILE).code(), Errc::kExhausted);
  EXPECT_EQ(socket_error("receive", EIO).code(), Errc::kIo);
  EXPECT_EQ(socket_error("send", EPIPE).sys_errno(), EPIPE);
  EXPECT_EQ(socket_error("send", EPIPE).message(), "send: Broken pipe");
}

std::string rest_of(const Unsent& unsent) {
  std::string out;
  for (const iovec& part : unsent.parts()) out.append(static_cast<const char*>(part.iov_base), part.iov_len);
  return out;
}

TEST(Unsent, IsWhatIsLeftAfterEveryPossibleShortSend) {
  // Twelve parts of growing length, empty ones among them: more than fit without an allocation.
  std::string text = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::vector<iovec> parts;
  std::size_t at = 0;
  for (std::size_t length : {0u, 1u, 2u, 0u, 0u, 3u, 4u, 5u, 6u, 7u, 8u, 0u}) {
    parts.push_back({text.data() + at, length});
    at += length;
  }
  ASSERT_EQ(at, text.size());
  for (std::size_t count : {5u, 12u}) {
    const std::span<const iovec> some = std::span(parts).first(count);
    std::size_t total = 0;
    for (const auto& part : some) total += part.iov_len;
    for (std::size_t first = 0; first <= total; ++first) {
      for (std::size_t second = 0; first + second <= total; ++second) {
        Unsent unsent(some);
        unsent.advance(first);
        unsent.advance(second);
        ASSERT_EQ(rest_of(unsent), text.substr(first + second, total - first - second)) << first << ' ' << second;
        ASSERT_EQ(unsent.empty(), first + second == total);
      }
    }
  }
}

TEST(Unsent, OfNothingIsEmpty) {
  EXPECT_TRUE(Unsent({}).empty());
  const iovec empty{nullptr, 0};
  EXPECT_TRUE(Unsent({&empty, 1}).empty());
}

TEST(CheckParts, RefusesMoreThanOneCallTakes) {
  std::vector<iovec> parts(1025);
  EXPECT_EQ(check_parts(parts).error().code(), Errc::kInvalidArgument);
  EXPECT_TRUE(check_parts(std::span(parts).first(1024)));
}

}  // namespace
}  // namespace ff::runtime
