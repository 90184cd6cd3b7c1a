// Goal: nobody without the key gets a lane, and two honest ends that both succeed agree on everything. Method: whole
// handshakes in memory, with every message replayed, reflected, spliced and flipped bit by bit. The golden values were
// computed from the table in auth.hpp by Python's hashlib and hmac.
#include "libcommon/net/auth.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "libcommon/net/handshake_payload.hpp"
#include "tests/unit/libcommon/net/error_code.hpp"

namespace ff::net {
namespace {

const std::string kDigits = "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20";

std::shared_ptr<const ClusterKey> key_a() {
  static const auto key = std::make_shared<const ClusterKey>(*ClusterKey::parse("ffkey1 " + kDigits + "\n"));
  return key;
}

// Deterministic: counts up from `first`.
RandomFill counter(int first) {
  return [next = first](std::span<std::byte> out) mutable {
    for (std::byte& b : out) b = static_cast<std::byte>(next++);
  };
}

Endpoint client_end() { return {.identity = {"client", 5, 0xaabb}, .key = key_a()}; }
Endpoint server_end() { return {.identity = {"storage", 9, 0xccdd}, .key = key_a()}; }

std::string hex(std::span<const std::byte> bytes) {
  std::string out;
  for (const std::byte b : bytes) {
    out += "0123456789abcdef"[static_cast<int>(b) >> 4];
    out += "0123456789abcdef"[static_cast<int>(b) & 15];
  }
  return out;
}

std::optional<LinkSession> no_link(const LinkId&) { return std::nullopt; }

struct Outcome {
  std::optional<LinkSession> client, server;
  std::optional<Error> client_error, server_error;
  std::vector<HandshakeMessage> sent;  // in order, as they were sent
};

using Tamper = std::function<void(std::size_t number, HandshakeMessage&)>;

// Carries messages until nobody has anything to say. A side that fails tells the other, as a transport would.
Outcome run(ClientHandshake& client, ServerHandshake& server, const Tamper& tamper = {}) {
  Outcome out;
  std::optional<HandshakeMessage> message = client.start();
  bool to_server = true;
  while (message && out.sent.size() < 10) {
    out.sent.push_back(*message);
    if (tamper) tamper(out.sent.size() - 1, *message);
    auto step = to_server ? server.feed(message->type, message->payload) : client.feed(message->type, message->payload);
    if (step) {
      if (step->done) (to_server ? out.server : out.client) = std::move(step->done);
      message = std::move(step->send);
    } else {
      (to_server ? out.server_error : out.client_error) = step.error();
      message = to_server ? server.reject() : client.reject();
    }
    to_server = !to_server;
  }
  return out;
}

Outcome run(const Endpoint& client, const Endpoint& server, const Tamper& tamper = {}) {
  auto c = ClientHandshake::open_link(client);
  auto s = ServerHandshake::create(server, no_link);
  return run(*c, *s, tamper);
}

void expect_agreement(const Outcome& out) {
  ASSERT_TRUE(out.client && out.server);
  EXPECT_EQ(out.client->id, out.server->id);
  EXPECT_EQ(out.client->secret.bytes, out.server->secret.bytes);
  EXPECT_EQ(out.client->features, out.server->features);
}

TEST(Handshake, HasTheBytesOfTheTable) {
  Endpoint client = client_end(), server = server_end();
  client.random = counter(0);
  server.random = counter(100);
  server.features_offered = kFeatureBulkChecksum;
  const Outcome out = run(client, server);
  expect_agreement(out);
  ASSERT_EQ(out.sent.size(), 4u);
  EXPECT_EQ(
      hex(out.sent[0].payload),
      "6666687301000000010300000000000000000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223242526"
      "2728292a2b2c2d2e2f06636c69656e740500000000000000bbaa000000000000");
  EXPECT_EQ(hex(out.sent[1].payload),
            "6666687301000102000000000000006465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f80818283"
            "0773746f726167650900000000000000ddcc000000000000");
  EXPECT_EQ(hex(out.sent[2].payload), "24b8855de0fb4fa68527220dadd2f3be6616eb1d078368b25d1167a98a7c843d");
  EXPECT_EQ(hex(out.sent[3].payload), "8e96d8016f2172c8d6c3f9577346af4bf3844194ddb41fa5374553f2abfb72bd");
  EXPECT_EQ(hex(out.client->secret.bytes), "5a099ee395bb9a260cdf46efea1f03ab25a27663c4a16b9fb184e023200aeb32");
}

TEST(Handshake, TellsEachSideWhoTheOtherIs) {
  const Outcome out = run(client_end(), server_end());
  expect_agreement(out);
  EXPECT_EQ(out.client->peer.node, server_end().identity);
  EXPECT_EQ(out.server->peer.node, client_end().identity);
  EXPECT_TRUE(out.client->peer.authenticated && out.server->peer.authenticated);
  EXPECT_EQ(out.client->peer.node.text(), "storage 9 (instance 000000000000ccdd)");
}

TEST(Handshake, DrawsLinkIdsAndNoncesAnew) {
  const Outcome one = run(client_end(), server_end()), two = run(client_end(), server_end());
  EXPECT_NE(one.client->id, two.client->id);
  EXPECT_NE(one.client->secret.bytes, two.client->secret.bytes);
  EXPECT_NE(one.sent[1].payload, two.sent[1].payload);
}

TEST(Handshake, FailsOnAnyFlippedBit) {
  for (std::size_t number = 0; number < 4; ++number) {
    const std::size_t bits = 8 * run(client_end(), server_end()).sent[number].payload.size();
    for (std::size_t bit = 0; bit < bits; ++bit) {
      const Outcome out = run(client_end(), server_end(), [&](std::size_t n, HandshakeMessage& message) {
        if (n == number) message.payload[bit / 8] ^= std::byte{1} << (bit % 8);
      });
      ASSERT_FALSE(out.client) << "message " << number << " bit " << bit;
      // The last message is the server's: it has nothing left to learn from.
      ASSERT_EQ(out.server.has_value(), number == 3) << "message " << number << " bit " << bit;
    }
  }
}

TEST(Handshake, FailsOnAnyTruncationAndExtension) {
  for (std::size_t number = 0; number < 4; ++number) {
    const std::size_t size = run(client_end(), server_end()).sent[number].payload.size();
    for (std::size_t keep = 0; keep <= size + 1; ++keep) {
      if (keep == size) continue;
      const Outcome out = run(client_end(), server_end(), [&](std::size_t n, HandshakeMessage& message) {
        if (n == number) message.payload.resize(keep);
      });
      ASSERT_FALSE(out.client) << number << " " << keep;
      ASSERT_EQ(out.server.has_value(), number == 3) << number << " " << keep;
    }
  }
}

TEST(Handshake, FailsWhenARecordedClientIsReplayed) {
  const Outcome recorded = run(client_end(), server_end());
  auto server = ServerHandshake::create(server_end(), no_link);
  ASSERT_TRUE(server->feed(FrameType::kHello, recorded.sent[0].payload));
  const auto step = server->feed(FrameType::kProof, recorded.sent[2].payload);
  ASSERT_FALSE(step);
  EXPECT_EQ(code_of(step), Errc::kPermission);
}

TEST(Handshake, FailsWhenARecordedServerIsReplayed) {
  const Outcome recorded = run(client_end(), server_end());
  auto client = ClientHandshake::open_link(client_end());
  ASSERT_TRUE(client->feed(FrameType::kChallenge, recorded.sent[1].payload));
  EXPECT_EQ(code_of(client->feed(FrameType::kAccept, recorded.sent[3].payload)), Errc::kPermission);
}

TEST(Handshake, FailsWhenTheClientIsReflected) {
  // A thief without the key sends the client its own words, as what a server would say.
  auto client = ClientHandshake::open_link(client_end());
  const Hello hello = *decode_hello(client->start().payload);
  const auto challenge = encode_challenge(
      {.mode = hello.mode, .features = hello.features, .nonce = hello.nonce, .identity = server_end().identity});
  const auto proof = client->feed(FrameType::kChallenge, challenge);
  ASSERT_TRUE(proof);
  EXPECT_FALSE(client->feed(FrameType::kAccept, proof->send->payload));
  auto raw = ClientHandshake::open_link(client_end());
  EXPECT_FALSE(raw->feed(FrameType::kChallenge, raw->start().payload));
}

TEST(Handshake, FailsWhenTheServerIsUsedAsAnOracle) {
  // The thief wants a client proof and asks another server instance for it: it only ever proves as a server.
  auto victim = ServerHandshake::create(server_end(), no_link);
  auto hello = ClientHandshake::open_link(client_end())->start();
  const auto challenge = victim->feed(FrameType::kHello, hello.payload);
  ASSERT_TRUE(challenge);
  EXPECT_FALSE(victim->feed(FrameType::kProof, challenge->send->payload));
}

TEST(Handshake, FailsWhenTwoHandshakesAreSpliced) {
  const Outcome other = run(client_end(), server_end());
  for (std::size_t number = 0; number < 4; ++number) {
    const Outcome out = run(client_end(), server_end(), [&](std::size_t n, HandshakeMessage& message) {
      if (n == number) message = other.sent[number];
    });
    EXPECT_FALSE(out.client) << number;
    EXPECT_EQ(out.server.has_value(), number == 3) << number;
  }
}

TEST(Handshake, FailsWithAnotherKeyAndSaysSoAtBothEnds) {
  Endpoint client = client_end();
  client.key = std::make_shared<const ClusterKey>(ClusterKey::generate());
  const Outcome out = run(client, server_end());
  ASSERT_TRUE(out.client_error && out.server_error);
  EXPECT_EQ(code_of(out.server_error), Errc::kPermission);
  EXPECT_EQ(code_of(out.client_error), Errc::kPermission);
  EXPECT_EQ(out.client_error->message(),
            "peer does not accept the proof: the cluster keys differ (give both ends the same key file)");
}

TEST(Handshake, FailsWhenTheServerDoesNotProveItself) {
  auto client = ClientHandshake::open_link(client_end());
  auto server = ServerHandshake::create(server_end(), no_link);
  const Outcome out = run(*client, *server, [](std::size_t n, HandshakeMessage& message) {
    if (n == 3) message.payload.assign(32, std::byte{0});
  });
  ASSERT_TRUE(out.client_error);
  EXPECT_EQ(code_of(out.client_error), Errc::kPermission);
  EXPECT_EQ(out.sent.back().type, FrameType::kReject);
}

TEST(Handshake, NeedsAKeyOrTheWordInsecure) {
  Endpoint end = client_end();
  end.key = nullptr;
  EXPECT_EQ(code_of(ClientHandshake::open_link(end)), Errc::kInvalidArgument);
  EXPECT_EQ(code_of(ServerHandshake::create(end, no_link)), Errc::kInvalidArgument);
  end = client_end();
  end.insecure = true;
  EXPECT_EQ(code_of(ClientHandshake::open_link(end)), Errc::kInvalidArgument);
}

Endpoint without_key(Endpoint end) {
  end.key = nullptr;
  end.insecure = true;
  return end;
}

TEST(Handshake, WithoutKeysWorksWhenBothChoseItAndProvesNothing) {
  const Outcome out = run(without_key(client_end()), without_key(server_end()));
  expect_agreement(out);
  EXPECT_FALSE(out.client->peer.authenticated || out.server->peer.authenticated);
}

TEST(Handshake, TellsTheEndWithoutAKeyThatOneIsRequired) {
  const Outcome out = run(without_key(client_end()), server_end());
  ASSERT_TRUE(out.client_error && out.server_error);
  EXPECT_EQ(out.client_error->message(),
            "peer requires a cluster key: this process has none (give it the cluster's key file)");
  EXPECT_EQ(code_of(out.client_error), Errc::kPermission);
  EXPECT_EQ(code_of(out.server_error), Errc::kPermission);
}

TEST(Handshake, TellsTheEndWithAKeyThatThePeerHasNone) {
  const Outcome out = run(client_end(), without_key(server_end()));
  ASSERT_TRUE(out.client_error && out.server_error);
  EXPECT_TRUE(out.client_error->message().starts_with("peer has no cluster key")) << out.client_error->message();
}

TEST(Handshake, IsNotTalkedDownToInsecure) {
  // A thief answers a client that has a key as an insecure server would.
  auto client = ClientHandshake::open_link(client_end());
  const auto step = client->feed(
      FrameType::kChallenge,
      encode_challenge({.mode = KeyMode::kInsecure, .features = 0, .nonce = {}, .identity = server_end().identity}));
  ASSERT_FALSE(step);
  EXPECT_EQ(code_of(step), Errc::kPermission);
  auto insecure = ClientHandshake::open_link(without_key(client_end()));
  const auto keyed = insecure->feed(
      FrameType::kChallenge,
      encode_challenge({.mode = KeyMode::kClusterKey, .features = 0, .nonce = {}, .identity = server_end().identity}));
  EXPECT_TRUE(keyed.error().message().find("peer requires a cluster key: ") != std::string::npos);
}

TEST(Handshake, ReportsAnotherVersionAtBothEnds) {
  const Outcome out = run(client_end(), server_end(), [](std::size_t n, HandshakeMessage& message) {
    if (n <= 1) message.payload[4] = std::byte{2};  // the client is of version 2, or its server says that it is
  });
  ASSERT_TRUE(out.client_error && out.server_error);
  EXPECT_EQ(code_of(out.server_error), Errc::kUnsupported);
  EXPECT_EQ(code_of(out.client_error), Errc::kUnsupported);
  EXPECT_NE(out.client_error->message().find("version 2"), std::string::npos) << out.client_error->message();
}

TEST(Handshake, AgreesOnTheFeaturesOfBoth) {
  Endpoint client = client_end(), server = server_end();
  client.features_offered = 0b0111;
  server.features_offered = 0b1101;
  const Outcome out = run(client, server);
  expect_agreement(out);
  EXPECT_EQ(out.client->features, 0b0101u);
}

TEST(Handshake, RefusesAPeerWithoutARequiredFeature) {
  Endpoint client = client_end(), server = server_end();
  client.features_offered = 0b01;
  server.features_offered = server.features_required = 0b11;
  Outcome out = run(client, server);
  EXPECT_EQ(code_of(out.server_error), Errc::kUnsupported);
  EXPECT_EQ(code_of(out.client_error), Errc::kUnsupported);
  EXPECT_NE(out.client_error->message().find("requires features 0x3"), std::string::npos);
  out = run(server, client);
  EXPECT_EQ(code_of(out.client_error), Errc::kUnsupported);
  EXPECT_NE(out.client_error->message().find("0x2"), std::string::npos) << out.client_error->message();
  server.features_offered = 0b01;
  EXPECT_FALSE(ServerHandshake::create(server, no_link));
}

TEST(Handshake, RefusesFeaturesThatWereNotOffered) {
  auto client = ClientHandshake::open_link(client_end());
  const auto step = client->feed(
      FrameType::kChallenge,
      encode_challenge({.mode = KeyMode::kClusterKey, .features = 4, .nonce = {}, .identity = server_end().identity}));
  EXPECT_EQ(code_of(step), Errc::kCorrupt);
}

TEST(Handshake, RefusesMalformedIdentitiesOfBothSides) {
  for (const NodeIdentity& bad : {NodeIdentity{"", 1, 1}, NodeIdentity{std::string(33, 'a'), 1, 1},
                                  NodeIdentity{"Storage", 1, 1}, NodeIdentity{"a\n", 1, 1}, NodeIdentity{"a", 1, 0}}) {
    Endpoint end = client_end();
    end.identity = bad;
    EXPECT_EQ(code_of(ClientHandshake::open_link(end)), Errc::kInvalidArgument);
    auto server = ServerHandshake::create(server_end(), no_link);
    const auto step = server->feed(FrameType::kHello, encode_hello({.mode = KeyMode::kClusterKey, .identity = bad}));
    ASSERT_FALSE(step);
    EXPECT_EQ(code_of(step), Errc::kCorrupt);
  }
}

TEST(Handshake, RefusesMessagesOutOfOrderTooLongOrAfterItsEnd) {
  auto server = ServerHandshake::create(server_end(), no_link);
  const auto step = server->feed(FrameType::kMessage, {});
  EXPECT_EQ(code_of(step), Errc::kInvalidArgument);
  EXPECT_NE(step.error().message().find("got message where hello was due"), std::string::npos);
  ASSERT_TRUE(server->reject());
  EXPECT_EQ(code_of(server->feed(FrameType::kHello, {})), Errc::kInvalidArgument);

  auto client = ClientHandshake::open_link(client_end());
  EXPECT_EQ(code_of(client->feed(FrameType::kAccept, {})), Errc::kInvalidArgument);

  const std::vector<std::byte> huge(kHandshakeBytesMax + 1);
  for (const FrameType type : {FrameType::kHello, FrameType::kReject}) {
    auto other = ServerHandshake::create(server_end(), no_link);
    EXPECT_EQ(code_of(other->feed(type, huge)), Errc::kInvalidArgument);
  }
}

TEST(Handshake, PassesARejectOnWithItsCodeAndDoesNotAnswerIt) {
  auto client = ClientHandshake::open_link(client_end());
  const auto reject = encode_reject(Error(Errc::kExhausted, "has no room\n\x1b[2J"));
  const auto step = client->feed(FrameType::kReject, reject);
  ASSERT_FALSE(step);
  EXPECT_EQ(code_of(step), Errc::kExhausted);
  EXPECT_EQ(step.error().message(), "peer has no room??[2J");
  EXPECT_FALSE(client->reject());
  for (std::size_t keep = 0; keep < 7; ++keep)
    EXPECT_EQ(decode_reject(std::span(reject).first(keep)).code(), Errc::kCorrupt);
  auto unknown = reject;
  unknown[6] = std::byte{200};
  EXPECT_EQ(decode_reject(unknown).code(), Errc::kCorrupt);
}

TEST(Handshake, IsTiedToItsTlsSession) {
  const std::vector<std::byte> one(32, std::byte{1}), two(32, std::byte{2});
  auto client = ClientHandshake::open_link(client_end(), one);
  auto server = ServerHandshake::create(server_end(), no_link, one);
  expect_agreement(run(*client, *server));
  client = ClientHandshake::open_link(client_end(), one);
  server = ServerHandshake::create(server_end(), no_link, two);
  const Outcome relayed = run(*client, *server);
  EXPECT_FALSE(relayed.client || relayed.server);
  EXPECT_FALSE(ClientHandshake::open_link(client_end(), std::vector<std::byte>(65)));
}

class FurtherLane : public testing::Test {
 protected:
  void SetUp() override {
    lane0_ = run(client_end(), server_end());
    ASSERT_TRUE(lane0_.client && lane0_.server);
  }
  ServerHandshake::FindLink known() const {
    return [session = *lane0_.server](const LinkId& id) {
      return id == session.id ? std::optional(session) : std::nullopt;
    };
  }
  Outcome open(const Endpoint& client, const LinkSession& session, std::uint16_t lane, const Endpoint& server) const {
    auto c = ClientHandshake::open_lane(client, session, lane);
    auto s = ServerHandshake::create(server, known());
    return run(*c, *s);
  }
  Outcome lane0_;
};

TEST_F(FurtherLane, JoinsItsLink) {
  auto client = ClientHandshake::open_lane(client_end(), *lane0_.client, 3);
  auto server = ServerHandshake::create(server_end(), known());
  const Outcome out = run(*client, *server);
  expect_agreement(out);
  EXPECT_EQ(server->lane(), 3);
  EXPECT_EQ(out.server->id, lane0_.client->id);
  EXPECT_EQ(out.server->secret.bytes, lane0_.client->secret.bytes);
  EXPECT_EQ(out.client->peer.node, server_end().identity);
}

TEST_F(FurtherLane, NeedsTheLinksSecretAndNotTheClustersKey) {
  LinkSession forged = *lane0_.client;
  std::ranges::copy(key_a()->bytes(), forged.secret.bytes.begin());
  const Outcome out = open(client_end(), forged, 1, server_end());
  EXPECT_FALSE(out.client || out.server);
  EXPECT_EQ(code_of(out.server_error), Errc::kPermission);
}

TEST_F(FurtherLane, IsRefusedByAServerThatDoesNotKnowTheLink) {
  LinkSession forged = *lane0_.client;
  forged.id[0] ^= std::byte{1};
  const Outcome out = open(client_end(), forged, 1, server_end());
  EXPECT_EQ(code_of(out.client_error), Errc::kNotFound);
  EXPECT_EQ(out.client_error->message(), "peer does not know the link (it restarted: open a new one)");
}

TEST_F(FurtherLane, IsRefusedToAnotherProcess) {
  Endpoint other = client_end();
  other.identity.instance_id = 0x9999;
  EXPECT_EQ(code_of(open(other, *lane0_.client, 1, server_end()).server_error), Errc::kPermission);
  Endpoint wrong = server_end();
  wrong.identity.instance_id = 0x9999;
  const Outcome out = open(client_end(), *lane0_.client, 1, wrong);
  EXPECT_EQ(code_of(out.client_error), Errc::kUnavailable);
  EXPECT_FALSE(out.server);
}

TEST_F(FurtherLane, HasTheFeaturesOfItsLink) {
  Endpoint changed = server_end();
  changed.features_offered = 0;
  EXPECT_EQ(code_of(open(client_end(), *lane0_.client, 1, changed).server_error), Errc::kCorrupt);
}

TEST_F(FurtherLane, CannotBeReplayedSplicedOrRenumbered) {
  auto c = ClientHandshake::open_lane(client_end(), *lane0_.client, 1);
  auto s = ServerHandshake::create(server_end(), known());
  const Outcome recorded = run(*c, *s);
  auto again = ServerHandshake::create(server_end(), known());
  ASSERT_TRUE(again->feed(FrameType::kHello, recorded.sent[0].payload));
  EXPECT_FALSE(again->feed(FrameType::kProof, recorded.sent[2].payload));

  auto client = ClientHandshake::open_lane(client_end(), *lane0_.client, 1);
  auto server = ServerHandshake::create(server_end(), known());
  const Outcome renumbered = run(*client, *server, [](std::size_t n, HandshakeMessage& message) {
    if (n == 0) message.payload[6] = std::byte{2};  // the lane, in the hello
  });
  EXPECT_FALSE(renumbered.client || renumbered.server);
}

TEST_F(FurtherLane, HasANumberInBounds) {
  EXPECT_EQ(code_of(ClientHandshake::open_lane(client_end(), *lane0_.client, 0)), Errc::kInvalidArgument);
  EXPECT_EQ(code_of(ClientHandshake::open_lane(client_end(), *lane0_.client, kLanesMax)), Errc::kInvalidArgument);
  auto server = ServerHandshake::create(server_end(), known());
  const auto step =
      server->feed(FrameType::kHello,
                   encode_hello({.lane = kLanesMax, .mode = KeyMode::kClusterKey, .identity = client_end().identity}));
  EXPECT_EQ(code_of(step), Errc::kCorrupt);
}

TEST_F(FurtherLane, ZeroOfAKnownLinkIsRefused) {
  auto server = ServerHandshake::create(server_end(), known());
  const auto step = server->feed(FrameType::kHello, lane0_.sent[0].payload);
  ASSERT_FALSE(step);
  EXPECT_EQ(code_of(step), Errc::kAlreadyExists);
}

}  // namespace
}  // namespace ff::net
