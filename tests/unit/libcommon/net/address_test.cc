#include "libcommon/net/address.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <cstring>
#include <string>

#include "tests/unit/libcommon/net/error_code.hpp"

namespace ff::net {
namespace {

TEST(ParseAddress, ReadsEachForm) {
  EXPECT_EQ(*parse_address("127.0.0.1:80"), Address::tcp("127.0.0.1", 80));
  EXPECT_EQ(*parse_address("[::1]:65535"), Address::tcp("::1", 65535));
  EXPECT_EQ(*parse_address("[fe80::1%eth0]:9"), Address::tcp("fe80::1%eth0", 9));
  EXPECT_EQ(*parse_address("node-1.cluster_a:0"), Address::tcp("node-1.cluster_a", 0));
  EXPECT_EQ(*parse_address("*:9000"), Address::tcp("", 9000));
  EXPECT_EQ(*parse_address("unix:/run/ff.sock"), Address::unix_path("/run/ff.sock"));
  EXPECT_EQ(*parse_address("unix:@ff/meta:1"), Address::unix_abstract("ff/meta:1"));
  EXPECT_EQ(*parse_address("unix:/" + std::string(106, 'x')), Address::unix_path("/" + std::string(106, 'x')));
}

TEST(ParseAddress, PrintsWhatItReads) {
  for (const char* text : {"127.0.0.1:80", "[::1]:1", "[fe80::1%eth0]:9", "a.b:7", "*:0", "unix:/a/b", "unix:@x"})
    EXPECT_EQ(parse_address(text)->text(), text);
}

TEST(ParseAddress, GivesEachIpv6AddressOneSpelling) {
  EXPECT_EQ(parse_address("[0:0:0:0:0:0:0:1]:1")->text(), "[::1]:1");
  EXPECT_EQ(parse_address("[2001:DB8::0A]:1")->text(), "[2001:db8::a]:1");
}

struct Bad {
  std::string text;
  std::string said;
};

TEST(ParseAddress, RefusesAllElseAndSaysWhy) {
  const Bad cases[] = {
      {"", "empty"},
      {"host", "no port"},
      {"[::1]", "no port"},
      {":80", "no host"},
      {"host:", "is no port"},
      {"host:65536", "is no port"},
      {"host:+1", "is no port"},
      {"host:-1", "is no port"},
      {"host: 1", "is no port"},
      {"host:1 ", "is no port"},
      {"host:080", "leading zero"},
      {"host:123456", "is no port"},
      {"::1:80", "in brackets"},
      {"[::1:80", "no IPv6"},
      {"::1]:80", "no IPv6"},
      {"[]:80", "no IPv6"},
      {"[127.0.0.1]:80", "no IPv6"},
      {"[::1%]:80", "no IPv6"},
      {"[::1%a b]:80", "no IPv6"},
      {"[::1%interfacenametoolong]:80", "no IPv6"},
      {"256.0.0.1:80", "is no IPv4"},
      {"1.2.3:80", "is no IPv4"},
      {"010.0.0.1:80", "is no IPv4"},
      {"2130706433:80", "is no IPv4"},
      {"a..b:80", "empty"},
      {".a:80", "empty"},
      {"a.:80", "empty"},
      {"-a:80", "begins or ends"},
      {"a-:80", "begins or ends"},
      {"a b:80", "no host name"},
      {"a/b:80", "no host name"},
      {std::string("a\0b:80", 6), "no host name"},
      {std::string("1.2.3.4\0:80", 11), "no host name"},
      {std::string(64, 'a') + ":80", "longer than 63"},
      {std::string(254, 'a') + ":80", "longer than 253"},
      {"unix:", "absolute path"},
      {"unix:run/x", "absolute path"},
      {"unix:@", "empty"},
      {"unix:/run/", "folder"},
      {"unix:/a b", "printable"},
      {"unix:/a,b", "printable"},
      {"unix:/" + std::string(107, 'x'), "108 bytes"},
  };
  for (const Bad& bad : cases) {
    const auto parsed = parse_address(bad.text);
    ASSERT_FALSE(parsed) << bad.text;
    EXPECT_EQ(code_of(parsed), Errc::kInvalidArgument);
    EXPECT_NE(parsed.error().message().find(bad.said), std::string::npos)
        << bad.text << " -> " << parsed.error().message();
  }
}

TEST(ParseAddress, ShowsNoControlCharactersInErrors) {
  const auto parsed = parse_address("a\x1b[2J\n:80");
  ASSERT_FALSE(parsed);
  EXPECT_NE(parsed.error().message().find("'a?[2J?:80'"), std::string::npos) << parsed.error().message();
}

TEST(ParsePeerAddress, ReadsOneAddressForEachPlane) {
  const auto peer = parse_peer_address("10.0.0.1:9000,10.1.0.1:9000");
  ASSERT_TRUE(peer);
  ASSERT_EQ(peer->planes.size(), 2u);
  EXPECT_EQ(peer->planes[1], Address::tcp("10.1.0.1", 9000));
  EXPECT_EQ(peer->text(), "10.0.0.1:9000,10.1.0.1:9000");
}

TEST(ParsePeerAddress, RefusesEmptyPartsDuplicatesAndTooMany) {
  for (const char* text : {"", ",", "a:1,", ",a:1", "a:1,,b:1", "a:1, b:1"})
    EXPECT_FALSE(parse_peer_address(text)) << text;
  const auto twice = parse_peer_address("a:1,b:1,a:1");
  ASSERT_FALSE(twice);
  EXPECT_NE(twice.error().message().find("a:1 stands there twice"), std::string::npos);
  EXPECT_FALSE(parse_peer_address("[::1]:1,[0::1]:1"));
  std::string many = "h0:1";
  for (std::size_t i = 1; i < kPlanesMax; ++i) many += ",h" + std::to_string(i) + ":1";
  EXPECT_TRUE(parse_peer_address(many));
  EXPECT_FALSE(parse_peer_address(many + ",last:1"));
}

TEST(Resolve, GivesWhatTheKernelWants) {
  const auto v4 = resolve_numeric(Address::tcp("10.1.2.3", 258), ResolveFor::kConnect);
  ASSERT_TRUE(v4);
  const auto& in = reinterpret_cast<const sockaddr_in&>(v4->storage);
  EXPECT_EQ(in.sin_family, AF_INET);
  EXPECT_EQ(ntohs(in.sin_port), 258);
  EXPECT_EQ(ntohl(in.sin_addr.s_addr), 0x0a010203u);
  EXPECT_EQ(*v4->address(), Address::tcp("10.1.2.3", 258));

  const auto abstract = resolve_numeric(Address::unix_abstract("ab"), ResolveFor::kConnect);
  const auto& un = reinterpret_cast<const sockaddr_un&>(abstract->storage);
  EXPECT_EQ(un.sun_path[0], '\0');
  EXPECT_EQ(abstract->length, offsetof(sockaddr_un, sun_path) + 3);
  EXPECT_EQ(*abstract->address(), Address::unix_abstract("ab"));
  const auto path = resolve_numeric(Address::unix_path("/ab"), ResolveFor::kConnect);
  EXPECT_EQ(*path->address(), Address::unix_path("/ab"));
}

TEST(Resolve, AsksTheSystemForNames) {
  const auto found = resolve(Address::tcp("localhost", 1), ResolveFor::kConnect);
  ASSERT_TRUE(found) << found.error().message();
  for (const SocketAddress& one : *found) EXPECT_TRUE(one.is_loopback());
  const auto none = resolve(Address::tcp("no-such-host.invalid", 1), ResolveFor::kConnect);
  ASSERT_FALSE(none);
  EXPECT_TRUE(none.error().code() == Errc::kNotFound || none.error().code() == Errc::kUnavailable);
}

TEST(Resolve, RefusesWhatCannotBeMeant) {
  EXPECT_FALSE(resolve(Address::tcp("", 80), ResolveFor::kConnect));
  EXPECT_FALSE(resolve(Address::tcp("127.0.0.1", 0), ResolveFor::kConnect));
  EXPECT_TRUE(resolve(Address::tcp("", 0), ResolveFor::kListen));
  EXPECT_EQ(code_of(resolve_numeric(Address::tcp("localhost", 1), ResolveFor::kConnect)), Errc::kInvalidArgument);
  EXPECT_FALSE(resolve(Address::unix_path(""), ResolveFor::kListen));
  EXPECT_FALSE(resolve(Address::unix_path("/" + std::string(107, 'x')), ResolveFor::kListen));
  EXPECT_FALSE(resolve(Address::unix_abstract(std::string("a\0b", 3)), ResolveFor::kListen));
}

TEST(SocketAddressTest, KnowsLoopback) {
  const auto loopback = [](const char* host) {
    return resolve_numeric(Address::tcp(host, 1), ResolveFor::kConnect)->is_loopback();
  };
  EXPECT_TRUE(loopback("127.0.0.1"));
  EXPECT_TRUE(loopback("127.200.0.1"));
  EXPECT_TRUE(loopback("::1"));
  EXPECT_TRUE(loopback("::ffff:127.0.0.1"));
  EXPECT_FALSE(loopback("128.0.0.1"));
  EXPECT_FALSE(loopback("::2"));
  EXPECT_FALSE(loopback("::ffff:10.0.0.1"));
}

TEST(SocketAddressTest, RefusesOtherFamilies) {
  SocketAddress odd;
  odd.storage.ss_family = AF_APPLETALK;
  odd.length = sizeof(sockaddr);
  EXPECT_EQ(code_of(odd.address()), Errc::kInvalidArgument);
}

}  // namespace
}  // namespace ff::net
