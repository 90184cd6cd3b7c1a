#include "libcommon/rpc/admission.hpp"

#include <gtest/gtest.h>

namespace ff::rpc {
namespace {

using Verdict = Admission::Verdict;
using namespace std::chrono_literals;

constexpr AdmissionLimits kSmall{.requests = 3, .bytes = 1000, .connection_requests = 2, .connection_bytes = 600};

TEST(Admission, CountsRequestsOfAllConnectionsAndOfEach) {
  Admission admission(kSmall);
  Admission::Share a, b;
  EXPECT_EQ(admission.admit(a, 1), Verdict::kAdmitted);
  EXPECT_EQ(admission.admit(a, 1), Verdict::kAdmitted);
  EXPECT_TRUE(admission.full(a));
  EXPECT_EQ(admission.admit(a, 1), Verdict::kShareFull);
  EXPECT_EQ(admission.admit(b, 1), Verdict::kAdmitted);
  EXPECT_EQ(admission.admit(b, 1), Verdict::kServerFull);
  admission.release(a, 1);
  EXPECT_FALSE(admission.full(a));
  EXPECT_EQ(admission.admit(b, 1), Verdict::kAdmitted);
}

TEST(Admission, CountsBytes) {
  Admission admission(kSmall);
  Admission::Share a, b;
  EXPECT_EQ(admission.admit(a, 500), Verdict::kAdmitted);
  EXPECT_EQ(admission.admit(a, 101), Verdict::kShareFull);
  EXPECT_EQ(admission.admit(b, 501), Verdict::kServerFull);
  EXPECT_EQ(admission.admit(b, 500), Verdict::kAdmitted);
  EXPECT_EQ(admission.total().bytes, 1000u);
}

TEST(Admission, TellsWhatWillNeverFit) {
  Admission admission(kSmall);
  Admission::Share a;
  EXPECT_EQ(admission.admit(a, 601), Verdict::kTooLarge);
  EXPECT_EQ(admission.admit(a, UINT64_MAX), Verdict::kTooLarge);
  EXPECT_EQ(admission.total().requests, 0u);
}

TEST(Admission, AdviceFollowsTheTimeOfHandlersWithinBounds) {
  Admission admission(kSmall);
  EXPECT_EQ(admission.retry_after_ms(), 1u);
  for (int i = 0; i < 100; ++i) admission.served(50ms);
  EXPECT_NEAR(admission.retry_after_ms(), 50, 1);
  for (int i = 0; i < 100; ++i) admission.served(1h);
  EXPECT_EQ(admission.retry_after_ms(), 1000u);
}

}  // namespace
}  // namespace ff::rpc
