#include "libcommon/kv/etcd_members.hpp"

#include <gtest/gtest.h>

namespace ff::kv {
namespace {

using namespace std::chrono_literals;

const runtime::Time kNow{1000s};

TEST(EtcdMembers, AreAskedInTurn) {
  EtcdMembers members({"a", "b", "c"});
  const std::vector<bool> none(3);
  std::vector<std::size_t> asked;
  for (int i = 0; i < 6; ++i) asked.push_back(members.next(kNow, none));
  EXPECT_EQ(asked, (std::vector<std::size_t>{0, 1, 2, 0, 1, 2}));
}

TEST(EtcdMembers, OneThatFailedIsLeftOutForAWhile) {
  EtcdMembers members({"a", "b"});
  members.failed(0, kNow);
  EXPECT_FALSE(members.well(0, kNow));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(members.next(kNow, {false, false}), 1U);
  // Unless no other is left to try.
  EXPECT_EQ(members.next(kNow, {false, true}), 0U);
  EXPECT_TRUE(members.well(0, kNow + 1s));
  // Longer when it fails again and again, but never for long; an answer makes it well.
  for (int i = 0; i < 100; ++i) members.failed(0, kNow);
  EXPECT_FALSE(members.well(0, kNow + 1s));
  EXPECT_TRUE(members.well(0, kNow + 2s));
  members.answered(0, 1, 1);
  EXPECT_TRUE(members.well(0, kNow));
}

TEST(EtcdMembers, ANewTermMakesTheLeaderUnknown) {
  EtcdMembers members({"a", "b"});
  EXPECT_EQ(members.leader(), std::nullopt);
  EXPECT_TRUE(members.answered(0, 100, 5));
  EXPECT_FALSE(members.answered(1, 200, 5));
  members.leads(200);
  EXPECT_EQ(members.leader(), 1U);
  EXPECT_FALSE(members.answered(0, 100, 4));
  EXPECT_EQ(members.leader(), 1U);
  EXPECT_TRUE(members.answered(0, 100, 6));
  EXPECT_EQ(members.leader(), std::nullopt);
  members.leads(300);
  EXPECT_EQ(members.leader(), std::nullopt) << "a member that is none of the endpoints";
}

}  // namespace
}  // namespace ff::kv
