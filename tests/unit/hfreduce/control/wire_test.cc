// The control plane's codec: what is encoded is decoded, anything else is refused without reading past its end.
#include "hfreduce/control/wire.hpp"

#include <gtest/gtest.h>

#include "libcommon/base/rng.hpp"

namespace ff::hfreduce::control {
namespace {

Hello sample_hello() {
  Hello h;
  h.token = "secret";
  h.rank = 3;
  h.size = 8;
  h.host = "alpha";
  h.host_id = "boot/4026531840/0";
  h.address = "10.0.0.3";
  h.port = 4711;
  h.reserve_port = 4712;
  h.pid = 1234567890123;
  return h;
}

TEST(Wire, HelloSurvivesARoundTrip) {
  const auto h = decode_hello(encode(sample_hello()));
  ASSERT_TRUE(h.has_value());
  EXPECT_EQ(h->token, "secret");
  EXPECT_EQ(h->rank, 3);
  EXPECT_EQ(h->size, 8);
  EXPECT_EQ(h->host, "alpha");
  EXPECT_EQ(h->address, "10.0.0.3");
  EXPECT_EQ(h->port, 4711);
  EXPECT_EQ(h->reserve_port, 4712);
  EXPECT_EQ(h->pid, 1234567890123);
}

TEST(Wire, TableLeavesTokensOut) {
  const auto table = decode_table(encode(std::vector<Hello>{sample_hello(), sample_hello()}));
  ASSERT_TRUE(table.has_value());
  ASSERT_EQ(table->size(), 2u);
  EXPECT_EQ((*table)[1].token, "");
  EXPECT_EQ((*table)[1].host, "alpha");
}

TEST(Wire, StateSurvivesARoundTrip) {
  OpState s;
  s.running = true;
  s.seq = 17;
  s.kind = Collective::kReduce;
  s.dtype = DType::kBfloat16;
  s.op = ReduceOp::kMax;
  s.root = 2;
  s.count = 1ULL << 40;
  s.phase = Phase::kNetwork;
  s.waiting_for = 5;
  const auto d = decode_state(encode(s, 99));
  ASSERT_TRUE(d.has_value());
  EXPECT_EQ(d->probe, 99u);
  EXPECT_TRUE(d->state.running);
  EXPECT_EQ(d->state.seq, 17u);
  EXPECT_EQ(d->state.kind, Collective::kReduce);
  EXPECT_EQ(d->state.dtype, DType::kBfloat16);
  EXPECT_EQ(d->state.op, ReduceOp::kMax);
  EXPECT_EQ(d->state.root, 2);
  EXPECT_EQ(d->state.count, 1ULL << 40);
  EXPECT_EQ(d->state.phase, Phase::kNetwork);
  EXPECT_EQ(d->state.waiting_for, 5);
  EXPECT_EQ(describe(d->state), "reduce #17 (bfloat16, max, 1099511627776 elements, root 2)");
}

TEST(Wire, VerdictReportAndStringsSurviveARoundTrip) {
  const auto v = decode_verdict(encode(Verdict{Errc::kTimeout, "late", {1, 4}}));
  ASSERT_TRUE(v.has_value());
  EXPECT_EQ(v->code, Errc::kTimeout);
  EXPECT_EQ(v->message, "late");
  EXPECT_EQ(v->lost, (std::vector<int>{1, 4}));
  const auto r = decode_report(encode(Report{2, 7, "x"}));
  ASSERT_TRUE(r.has_value());
  EXPECT_EQ(r->suspect, 7);
  const auto s = decode_strings(encode_strings(3, {"", "abc", std::string(1000, 'z')}));
  ASSERT_TRUE(s.has_value());
  EXPECT_EQ(s->round, 3u);
  EXPECT_EQ(s->strings[2].size(), 1000u);
}

TEST(Wire, EveryTruncationIsRefused) {
  const std::string bodies[] = {encode(sample_hello()), encode(OpState{}, 1), encode(Verdict{Errc::kIo, "m", {1}}),
                                encode(Report{1, 2, "d"}), encode_strings(1, {"a", "b"})};
  for (std::size_t which = 0; which < std::size(bodies); ++which)
    for (std::size_t n = 0; n < bodies[which].size(); ++n) {
      const std::string_view cut = std::string_view(bodies[which]).substr(0, n);
      switch (which) {
        case 0: EXPECT_FALSE(decode_hello(cut).has_value()); break;
        case 1: EXPECT_FALSE(decode_state(cut).has_value()); break;
        case 2: EXPECT_FALSE(decode_verdict(cut).has_value()); break;
        case 3: EXPECT_FALSE(decode_report(cut).has_value()); break;
        default: EXPECT_FALSE(decode_strings(cut).has_value()); break;
      }
    }
  EXPECT_FALSE(decode_number(encode_number(5) + "x").has_value()) << "trailing bytes are not ours";
}

TEST(Wire, NumbersOutsideAnEnumAreRefused) {
  std::string body = encode(OpState{}, 1);
  body[17] = static_cast<char>(kCollectiveCount);  // probe 8, running 1, seq 8
  EXPECT_FALSE(decode_state(body).has_value());
}

TEST(FrameReader, GivesMessagesHoweverTheStreamIsCut) {
  std::string stream;
  for (int i = 0; i < 20; ++i)
    stream += encode_frame(MessageType::kProbe, encode_number(static_cast<std::uint64_t>(i)));
  Rng rng(5);
  FrameReader reader;
  std::uint64_t seen = 0;
  for (std::size_t at = 0; at < stream.size();) {
    const std::size_t n = std::min<std::size_t>(rng.below(30) + 1, stream.size() - at);
    reader.append(std::string_view(stream).substr(at, n));
    at += n;
    for (;;) {
      auto m = reader.next();
      ASSERT_TRUE(m.has_value());
      if (!*m) break;
      EXPECT_EQ(*decode_number((*m)->body), seen++);
    }
  }
  EXPECT_EQ(seen, 20u);
}

TEST(FrameReader, RefusesOtherProtocolsVersionsAndHugeLengths) {
  FrameReader http;
  http.append("GET / HTTP/1.1\r\n");
  EXPECT_EQ(http.next().error().code(), Errc::kCorrupt);
  std::string newer = encode_frame(MessageType::kBye, "");
  newer[4] = 9;
  FrameReader other;
  other.append(newer);
  EXPECT_EQ(other.next().error().code(), Errc::kUnsupported);
  std::string huge = encode_frame(MessageType::kBye, "");
  huge[11] = 0x7f;
  FrameReader third;
  third.append(huge);
  EXPECT_EQ(third.next().error().code(), Errc::kCorrupt);
}

}  // namespace
}  // namespace ff::hfreduce::control
