// The launcher's messages and host lists: bytes pass unchanged, and whatever a login shell prints is refused, not
// obeyed.
#include <gtest/gtest.h>

#include "hfreduce/run/hosts.hpp"
#include "hfreduce/run/message.hpp"
#include "hfreduce/run/output.hpp"
#include "hfreduce/run/start_spec.hpp"

namespace ff::hfreduce::run {
namespace {

TEST(Message, AllBytesPass) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  const std::string line = encode_message({"out", bytes, ""});
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  for (const char c : line) EXPECT_LT(static_cast<unsigned char>(c), 0x7f);
  EXPECT_EQ(decode_message(std::string_view(line).substr(0, line.size() - 1)).value(), (Message{"out", bytes, ""}));
}

TEST(Message, RefusesOtherText) {
  for (const char* text : {"", "[]", "[1]", "hello", "[\"a\"", "[\"a\",]", "[\"a\"] b", "[\"\\u0100\"]", "[\"\\x\"]",
                           "[\"a\" \"b\"]", "Welcome to host!"})
    EXPECT_FALSE(decode_message(text)) << text;
}

TEST(MessageReader, JoinsPieces) {
  MessageReader reader;
  reader.feed("[\"a\"]\n[\"b");
  EXPECT_EQ(reader.next().value().value(), (Message{"a"}));
  EXPECT_FALSE(reader.next().value().has_value());
  reader.feed("\"]\n");
  EXPECT_EQ(reader.next().value().value(), (Message{"b"}));
}

TEST(StartSpec, SurvivesTheWire) {
  StartSpec spec;
  spec.first_rank = 2;
  spec.count = 3;
  spec.world_size = 8;
  spec.master_address = "10.0.0.1";
  spec.master_port = 29500;
  spec.pass_listener = true;
  spec.stdin_mode = StdinMode::kForward;
  spec.env = {"A=1", "B=x=y"};
  spec.command = {"prog", "", "two words"};
  const auto again = start_spec_from(to_message(spec));
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(to_message(*again), to_message(spec));
  EXPECT_EQ(again->command[2], "two words");
}

TEST(StartSpec, RefusesWhatDoesNotFit) {
  EXPECT_FALSE(start_spec_from({"start"}));                            // no command
  EXPECT_FALSE(start_spec_from({"start", "arg"}));                     // no value
  EXPECT_FALSE(start_spec_from({"start", "arg", "x", "count", "2"}));  // a world of one
  EXPECT_FALSE(start_spec_from({"start", "arg", "x", "env", "NOEQUALS"}));
  EXPECT_FALSE(start_spec_from({"start", "arg", "x", "port", "70000"}));
  EXPECT_FALSE(start_spec_from({"start", "arg", "x", "sudo", "1"}));
}

TEST(Hosts, ReadsCountsAndBrackets) {
  const auto hosts = parse_hosts("a:2,[fe80::1]:4,b").value();
  ASSERT_EQ(hosts.size(), 3u);
  EXPECT_EQ(hosts[1].name, "fe80::1");
  EXPECT_EQ(hosts[1].slots, 4);
  EXPECT_EQ(hosts[2].slots, 0);
  for (const char* bad :
       {"", "a,", "a:0", "a:x", "a:-1", "a,a", "-oProxyCommand=x", "a b", "[::1", "a;b", "a:99999999999"})
    EXPECT_FALSE(parse_hosts(bad)) << bad;
}

TEST(Hosts, FillsSlotsInOrderOrSpreadsEvenly) {
  const auto filled = place_ranks(parse_hosts("a:2,b:2").value(), 3).value();
  ASSERT_EQ(filled.size(), 2u);
  EXPECT_EQ(filled[1].first_rank, 2);
  EXPECT_EQ(filled[1].count, 1);
  const auto spread = place_ranks(parse_hosts("a,b,c").value(), 7).value();
  EXPECT_EQ(spread[0].count, 3);
  EXPECT_EQ(spread[2].first_rank, 5);
  EXPECT_EQ(place_ranks(parse_hosts("a:2,b").value(), 0)->back().first_rank, 2);
  EXPECT_EQ(place_ranks(parse_hosts("a,b,c").value(), 2)->size(), 2u);
  EXPECT_FALSE(place_ranks(parse_hosts("a:2,b:2").value(), 5));
}

TEST(LineBuffer, GivesWholeLinesOnly) {
  LineBuffer buffer("[1] ", false);
  std::string out;
  buffer.feed("ab", out);
  EXPECT_EQ(out, "");
  buffer.feed("c\nd", out);
  EXPECT_EQ(out, "[1] abc\n");
  buffer.finish(out);
  EXPECT_EQ(out, "[1] abc\n[1] d\n");
}

TEST(LineBuffer, ALineWithoutEndIsBounded) {
  LineBuffer buffer("[1] ", false);
  std::string out;
  const std::string piece(LineBuffer::kLineMax, 'x');
  buffer.feed(piece, out);
  buffer.feed(piece, out);
  EXPECT_GE(out.size(), LineBuffer::kLineMax);
  buffer.feed("\n", out);
  EXPECT_EQ(out, "[1] " + piece + piece + "\n");
}

TEST(LineBuffer, WithoutAPrefixNothingIsAdded) {
  LineBuffer buffer("", false);
  std::string out;
  buffer.feed("ab", out);
  buffer.finish(out);
  EXPECT_EQ(out, "ab");
}

}  // namespace
}  // namespace ff::hfreduce::run
