// Whom ffctld takes a caller for.
#include "ffctl/master/actor.hpp"

#include <gtest/gtest.h>

namespace ff::ctl {
namespace {

constexpr std::uint32_t kDaemon = 900;

Caller says(std::string user, std::uint32_t uid, std::uint32_t gid) {
  Caller out;
  out.set_user(std::move(user));
  out.set_uid(uid);
  out.set_gid(gid);
  return out;
}

Result<Actor> taken(std::optional<net::PeerCredentials> local, bool key, const Caller& caller) {
  const net::PeerIdentity peer{.role = "ffctl", .authenticated = key, .local = local};
  return actor_of(peer, caller, kDaemon, [](std::uint32_t uid) { return uid == 1000 ? "alice" : "?"; });
}

const net::PeerCredentials kAlice{.pid = 1, .uid = 1000, .gid = 1000};

TEST(Actor, TheKernelsWordCounts) {
  const auto alice = taken(kAlice, false, says("alice", 1000, 1000));
  ASSERT_TRUE(alice);
  EXPECT_EQ(alice->user, "alice");
  EXPECT_FALSE(alice->admin);
  EXPECT_FALSE(taken(kAlice, false, says("alice", 1001, 1000)));
  EXPECT_FALSE(taken(kAlice, false, says("root", 0, 0)));
  // Ranks would have the rights of that group.
  EXPECT_FALSE(taken(kAlice, false, says("alice", 1000, 0)));
  EXPECT_FALSE(taken(kAlice, false, says("alice", 1000, 6)));
  // Quotas and shares go by the name.
  const auto named = taken(kAlice, false, says("root", 1000, 1000));
  ASSERT_TRUE(named);
  EXPECT_EQ(named->user, "alice");
}

TEST(Actor, RootTheDaemonAndHoldersOfTheKeyNameAnybody) {
  for (const std::uint32_t uid : {0u, kDaemon}) {
    const auto named = taken(net::PeerCredentials{.pid = 1, .uid = uid, .gid = uid}, false, says("bob", 1001, 7));
    ASSERT_TRUE(named);
    EXPECT_EQ(named->user, "bob");
    EXPECT_EQ(named->gid, 7u);
    EXPECT_FALSE(named->admin);
  }
  EXPECT_TRUE(taken(kAlice, true, says("bob", 1001, 7)));
  const auto daemon = taken(std::nullopt, true, says("ffctl", kDaemon, kDaemon));
  ASSERT_TRUE(daemon);
  EXPECT_TRUE(daemon->admin);
}

TEST(Actor, NamesArePrintable) {
  EXPECT_FALSE(taken(std::nullopt, true, says("a\x1b[2J", 1001, 7)));
  EXPECT_FALSE(taken(std::nullopt, true, says(std::string(256, 'a'), 1001, 7)));
}

}  // namespace
}  // namespace ff::ctl
