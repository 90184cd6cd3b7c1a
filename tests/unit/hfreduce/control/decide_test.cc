// Who is at fault, as a table of situations.
#include "hfreduce/control/decide.hpp"

#include <gtest/gtest.h>

namespace ff::hfreduce::control {
namespace {

MemberView in_call(int rank, std::uint64_t seq, std::uint64_t count = 1024) {
  MemberView m;
  m.rank = rank;
  m.host = "h" + std::to_string(rank);
  m.pid = 100 + rank;
  m.state.running = true;
  m.state.seq = seq;
  m.state.kind = Collective::kAllReduce;
  m.state.count = count;
  m.state.phase = Phase::kWaitPeers;
  return m;
}

MemberView idle_after(int rank, std::uint64_t seq) {
  MemberView m = in_call(rank, seq);
  m.state.running = false;
  m.state.phase = Phase::kIdle;
  return m;
}

std::vector<MemberView> four_in_call() { return {in_call(0, 5), in_call(1, 5), in_call(2, 5), in_call(3, 5)}; }

bool has(const Verdict& v, const std::string& text) { return v.message.find(text) != std::string::npos; }

TEST(Decide, AProcessThatIsGoneIsNamedWithHostPidAndCall) {
  auto members = four_in_call();
  members[2].connected = false;
  const Verdict v = decide({Trouble::Kind::kLinkLost, 1, "reset"}, 0, members);
  EXPECT_EQ(v.code, Errc::kUnavailable);
  EXPECT_EQ(v.lost, std::vector<int>{2});
  EXPECT_TRUE(has(v, "rank 2 (host h2, pid 102) is gone")) << v.message;
  EXPECT_TRUE(has(v, "all_reduce #5")) << v.message;
}

TEST(Decide, AllOfADeadHostAreNamed) {
  auto members = four_in_call();
  members[2].connected = members[3].connected = false;
  const Verdict v = decide({Trouble::Kind::kLinkLost, 2, ""}, -1, members);
  EXPECT_EQ(v.lost, (std::vector<int>{2, 3}));
}

TEST(Decide, ASilentRankIsNamedWhoeverWasSuspected) {
  auto members = four_in_call();
  members[3].answered = false;
  const Verdict v = decide({Trouble::Kind::kTimeout, 1, "no data"}, 0, members);
  EXPECT_EQ(v.code, Errc::kUnavailable);
  EXPECT_EQ(v.lost, std::vector<int>{3});
  EXPECT_TRUE(has(v, "rank 3 (host h3, pid 103) does not answer")) << v.message;
}

TEST(Decide, ARankThatHasNotCalledIsNamedButNotLost) {
  auto members = four_in_call();
  members[1] = idle_after(1, 4);
  const Verdict v = decide({Trouble::Kind::kTimeout, 2, "waiting"}, 0, members);
  EXPECT_EQ(v.code, Errc::kTimeout);
  EXPECT_TRUE(v.lost.empty());
  EXPECT_TRUE(has(v, "rank 1 (host h1, pid 101) did not take part in all_reduce #5")) << v.message;
}

TEST(Decide, ARankThatLeftIsNamed) {
  auto members = four_in_call();
  members[1] = idle_after(1, 4);
  members[1].left = true;
  members[1].connected = false;
  const Verdict v = decide({Trouble::Kind::kLinkLost, 1, "closed"}, 0, members);
  EXPECT_TRUE(has(v, "rank 1")) << v.message;
  EXPECT_TRUE(v.lost.empty());
}

TEST(Decide, DifferentCallsAreShownBoth) {
  auto members = four_in_call();
  members[3] = in_call(3, 5, 1000);
  const Verdict v = decide({Trouble::Kind::kMismatch, 3, "signature"}, 1, members);
  EXPECT_EQ(v.code, Errc::kCorrupt);
  EXPECT_TRUE(has(v, "rank 0 (host h0, pid 100) called all_reduce #5 (float, sum, 1024 elements)")) << v.message;
  EXPECT_TRUE(has(v, "rank 3 (host h3, pid 103) called all_reduce #5 (float, sum, 1000 elements)")) << v.message;
}

TEST(Decide, MismatchIsFoundAlsoWhenOnlyATimeoutWasSeen) {
  auto members = four_in_call();
  members[0].state.kind = Collective::kBroadcast;
  EXPECT_EQ(decide({Trouble::Kind::kTimeout, 0, ""}, 2, members).code, Errc::kCorrupt);
}

TEST(Decide, PointToPointCallsMayDiffer) {
  auto members = four_in_call();
  for (auto& m : members) m.state.kind = Collective::kSendRecv;
  members[1].state.count = 7;
  EXPECT_EQ(decide({Trouble::Kind::kTimeout, 1, "no data"}, 0, members).code, Errc::kTimeout);
}

TEST(Decide, ASendOrReceiveIsTheBusinessOfTwo) {
  // Rank 0 waits for rank 3 in a send/recv after call 4; 1 and 2 compute and owe nobody anything.
  struct Row {
    const char* what;
    MemberView suspect;
    bool absent;
  };
  MemberView left = idle_after(3, 4);
  left.left = true;
  left.connected = false;
  MemberView exchanging = in_call(3, 4);
  exchanging.state.kind = Collective::kSendRecv;
  for (const Row& row :
       {Row{"idle", idle_after(3, 4), true}, Row{"left", left, true}, Row{"in an earlier call", in_call(3, 3), true},
        Row{"in a send/recv of its own", exchanging, false}}) {
    std::vector<MemberView> members{in_call(0, 4), idle_after(1, 3), idle_after(2, 4), row.suspect};
    members[0].state.kind = Collective::kSendRecv;
    const Verdict v = decide({Trouble::Kind::kTimeout, 3, "no data"}, 0, members);
    EXPECT_EQ(v.code, Errc::kTimeout) << row.what;
    EXPECT_EQ(has(v, "rank 3 (host h3, pid 103) did not take part in sendrecv #4"), row.absent) << v.message;
    EXPECT_TRUE(has(v, "rank 3 (host h3, pid 103)")) << v.message;
    EXPECT_FALSE(has(v, "rank 1 ") || has(v, "rank 2 ")) << v.message;
  }
  // Others may be in newer calls; the report is about the reporter's.
  std::vector<MemberView> members{in_call(0, 4), in_call(1, 5), in_call(2, 5), idle_after(3, 4)};
  members[0].state.kind = Collective::kSendRecv;
  EXPECT_TRUE(has(decide({Trouble::Kind::kTimeout, 3, "no data"}, 0, members),
                  "rank 3 (host h3, pid 103) did not take part in sendrecv #4"));
}

TEST(Decide, ARankThatLeftAfterTheCallIsNotAbsentFromIt) {
  auto members = four_in_call();
  members[1] = idle_after(1, 5);
  members[1].left = true;
  members[1].connected = false;
  members[2] = idle_after(2, 4);
  const Verdict v = decide({Trouble::Kind::kTimeout, 1, "waiting"}, 0, members);
  EXPECT_TRUE(has(v, "rank 2 (host h2, pid 102) did not take part in all_reduce #5")) << v.message;
  EXPECT_FALSE(has(v, "rank 1 ")) << v.message;
}

TEST(Decide, ABrokenLinkBetweenLivingRanksNamesBothEnds) {
  auto members = four_in_call();
  members[2] = idle_after(2, 4);  // merely late; not its fault
  const Verdict v = decide({Trouble::Kind::kLinkLost, 3, "connection reset"}, 1, members);
  EXPECT_EQ(v.code, Errc::kUnavailable);
  EXPECT_TRUE(has(v, "the connection between rank 1 and rank 3 (host h3, pid 103) was lost while both live"))
      << v.message;
  EXPECT_TRUE(has(v, "connection reset")) << v.message;
}

TEST(Decide, AbortCarriesItsReason) {
  const Verdict v = decide({Trouble::Kind::kAborted, 2, "out of disk"}, 2, four_in_call());
  EXPECT_EQ(v.code, Errc::kCancelled);
  EXPECT_EQ(v.message, "aborted by rank 2: out of disk");
}

}  // namespace
}  // namespace ff::hfreduce::control
