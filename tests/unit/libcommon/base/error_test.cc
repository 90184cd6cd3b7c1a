#include "libcommon/base/error.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>

#include "libcommon/base/assert.hpp"
#include "libcommon/base/result.hpp"

namespace ff {
namespace {

Result<int> deepest() { return fail(Errc::kIo, "read 4 KiB at 8 MiB: Input/output error", EIO); }
Result<int> middle() {
  FF_TRY_CTX(deepest(), "chunk 12");
  return 1;
}
Result<std::string> outer() {
  FF_TRY_ASSIGN(const int value, middle());
  return std::to_string(value);
}

TEST(Error, EachLayerPrependsWhatItKnows) {
  const auto result = outer();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message(), "chunk 12: read 4 KiB at 8 MiB: Input/output error");
  EXPECT_EQ(result.error().code(), Errc::kIo);
  EXPECT_EQ(result.error().sys_errno(), EIO);
}

TEST(Error, OfASystemCallNamesTheReasonAndTheCode) {
  const Error missing = errno_error("open 'x'", ENOENT);
  EXPECT_EQ(missing.message(), "open 'x': No such file or directory");
  EXPECT_EQ(missing.code(), Errc::kNotFound);
  EXPECT_EQ(missing.sys_errno(), ENOENT);
  EXPECT_EQ(errno_error("x", EACCES).code(), Errc::kPermission);
  EXPECT_EQ(errno_error("x", ECONNRESET).code(), Errc::kUnavailable);
  EXPECT_EQ(errno_error("x", ENOSPC).code(), Errc::kExhausted);
  EXPECT_EQ(errno_error("x", EIO).code(), Errc::kIo);
}

TEST(Error, TakesTheCurrentErrno) {
  errno = EEXIST;
  EXPECT_EQ(errno_error("x").code(), Errc::kAlreadyExists);
}

TEST(ErrcName, IsDifferentForEachCode) {
  std::set<std::string_view> names;
  for (int i = 0; i <= static_cast<int>(Errc::kInternal); ++i) names.insert(errc_name(static_cast<Errc>(i)));
  EXPECT_EQ(names.size(), 12U);
  EXPECT_EQ(errc_name(Errc::kInvalidArgument), "invalid_argument");
  EXPECT_EQ(names.count("unknown"), 0U);
}

void compare(int a, int b) { FF_ASSERT(a == b, a, b); }

TEST(AssertDeathTest, NamesConditionAndOperands) { EXPECT_DEATH(compare(3, 4), "assertion failed: a == b \\[3, 4\\]"); }

}  // namespace
}  // namespace ff
