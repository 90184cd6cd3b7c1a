#include "hfreduce/shm/p2p_rings.hpp"

#include "tests/unit/hfreduce/shm/shm_fixture.hpp"

namespace ff::hfreduce::shm_test {
namespace {

P2pOp send_to(int peer, const Bytes& data) {
  return {.is_send = true, .peer = peer, .send = data.data(), .bytes = data.size()};
}
P2pOp recv_from(int peer, Bytes& data) {
  return {.is_send = false, .peer = peer, .recv = data.data(), .bytes = data.size()};
}

Bytes filled(std::size_t bytes, int seed) {
  Bytes out(bytes);
  for (std::size_t i = 0; i < bytes; ++i)
    out[i] = static_cast<std::byte>((i * 131 + i / 251 + static_cast<std::size_t>(seed) * 17) & 0xff);
  return out;
}

// All to all with every length that matters to rings of 4 slots of 32 KiB, both directions at once.
TEST(P2p, ExchangesWithEverybodyWithoutDeadlock) {
  constexpr int kSize = 3;
  Ranks ranks(kSize);
  ASSERT_TRUE(ranks.complete());
  on_ranks(kSize, [&](int me) {
    std::uint64_t seq = 0;
    for (const std::size_t bytes : {0UL, 1UL, 32767UL, 32768UL, 32769UL, 131072UL, 131073UL, 3'000'000UL}) {
      std::vector<Bytes> out, in(kSize, Bytes(bytes));
      for (int peer = 0; peer < kSize; ++peer) out.push_back(filled(bytes, 10 * me + peer));
      std::vector<P2pOp> ops;
      for (int peer = 0; peer < kSize; ++peer) ops.push_back(send_to(peer, out[static_cast<std::size_t>(peer)]));
      for (int peer = 0; peer < kSize; ++peer) ops.push_back(recv_from(peer, in[static_cast<std::size_t>(peer)]));
      Progress progress;
      const Result<> outcome = ranks[me].run_p2p(ops, ++seq, Deadline::after(30s), progress);
      ASSERT_TRUE(outcome) << outcome.error().message();
      for (int peer = 0; peer < kSize; ++peer)
        ASSERT_EQ(in[static_cast<std::size_t>(peer)], filled(bytes, 10 * peer + me)) << bytes;
    }
  });
}

TEST(P2p, KeepsTheOrderOfEachDirection) {
  Ranks ranks(2);
  ASSERT_TRUE(ranks.complete());
  on_ranks(2, [&](int me) {
    std::vector<Bytes> data;
    std::vector<P2pOp> ops;
    for (int i = 0; i < 20; ++i)
      data.push_back(me == 0 ? filled(static_cast<std::size_t>(1 + 9000 * i), i)
                             : Bytes(static_cast<std::size_t>(1 + 9000 * i)));
    for (Bytes& d : data) ops.push_back(me == 0 ? send_to(1, d) : recv_from(0, d));
    Progress progress;
    ASSERT_TRUE(ranks[me].run_p2p(ops, 1, Deadline::after(30s), progress));
    for (int i = 0; i < 20; ++i)
      EXPECT_EQ(data[static_cast<std::size_t>(i)], filled(static_cast<std::size_t>(1 + 9000 * i), i));
  });
}

TEST(P2p, TellsWhenLengthsDiffer) {
  Ranks ranks(2);
  ASSERT_TRUE(ranks.complete());
  on_ranks(2, [&](int me) {
    Bytes data(me == 0 ? 100 : 96);
    const P2pOp op = me == 0 ? send_to(1, data) : recv_from(0, data);
    Progress progress;
    const Result<> outcome = ranks[me].run_p2p({&op, 1}, 5, Deadline::after(10s), progress);
    if (me == 0) return;
    ASSERT_FALSE(outcome);
    const auto reports = ranks.failures[1].reports();
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_EQ(reports[0].kind, Trouble::Kind::kMismatch);
    EXPECT_EQ(reports[0].suspect, 10);
    EXPECT_EQ(reports[0].detail, "call 5: rank 10 sends 100 bytes to rank 11, which expects 96");
  });
}

TEST(P2p, NamesThePeerThatNeverSends) {
  Ranks ranks(2);
  ASSERT_TRUE(ranks.complete());
  Bytes data(8);
  const P2pOp op = recv_from(0, data);
  Progress progress;
  const Result<> outcome = ranks[1].run_p2p({&op, 1}, 1, Deadline::after(100ms), progress);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(ranks.failures[1].reports().at(0).suspect, 10);
  EXPECT_EQ(progress.waiting_for.load(), 10);
}

TEST(P2p, RefusesAPeerOutsideTheGroupAndGoesOn) {
  Ranks ranks(1);
  ASSERT_TRUE(ranks.complete());
  Bytes out = filled(70000, 3), in(70000);
  const P2pOp wrong = send_to(1, out);
  Progress progress;
  const Result<> refused = ranks[0].run_p2p({&wrong, 1}, 1, Deadline::after(1s), progress);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::kInvalidArgument);
  const P2pOp self[] = {send_to(0, out), recv_from(0, in)};
  ASSERT_TRUE(ranks[0].run_p2p(self, 2, Deadline::after(5s), progress));
  EXPECT_EQ(in, out);
}

}  // namespace
}  // namespace ff::hfreduce::shm_test
