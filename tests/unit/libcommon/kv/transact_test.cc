// The back-off; the loop itself is tested on every engine (tests/support/kv_conformance_commits.cc).
#include "libcommon/kv/transact.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace ff::kv {
namespace {

using namespace std::chrono_literals;

TEST(Backoff, GrowsToABoundAndIsRandom) {
  Rng rng(3);
  const auto longest = [&](unsigned attempt) {
    runtime::Duration most{};
    for (int i = 0; i < 1000; ++i) most = std::max(most, detail::backoff(rng, attempt));
    return most;
  };
  const auto first = longest(1);
  EXPECT_GT(first, 1ms);
  EXPECT_LT(first, 2ms);
  EXPECT_GT(longest(4), 4 * first);
  for (const unsigned attempt : {7U, 8U, 1000U, ~0U}) EXPECT_LT(longest(attempt), 128ms);
  EXPECT_NE(detail::backoff(rng, 7), detail::backoff(rng, 7));
}

TEST(GaveUp, SaysWhatIsKnown) {
  const Error why(Errc::kTimeout, "transaction: deadline passed");
  EXPECT_EQ(detail::gave_up(why, 0, false).message(), why.message());
  EXPECT_NE(detail::gave_up(why, 3, false).message().find("conflicted 3 times"), std::string::npos);
  const Error doubt = detail::gave_up(why, 3, true);
  EXPECT_NE(doubt.message().find("may have been committed"), std::string::npos);
  EXPECT_EQ(doubt.code(), Errc::kTimeout);
}

}  // namespace
}  // namespace ff::kv
