// TLS sessions over pipes in memory. Certificates are made by the test (OpenSSL), so no keys lie in the tree.
#include "libcommon/net/tls.hpp"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "tests/unit/libcommon/net/error_code.hpp"

namespace ff::net {
namespace {

ClusterKey key(char digit) { return *ClusterKey::parse("ffkey1 " + std::string(64, digit) + "\n"); }

std::vector<std::byte> take_all(TlsSession& from) {
  std::vector<std::byte> out(from.ciphertext_pending());
  EXPECT_EQ(from.take(out), out.size());
  return out;
}

// Moves all that is there in one direction; false when it could not all be taken or was refused.
bool move(TlsSession& from, TlsSession& to) {
  const auto bytes = take_all(from);
  const auto taken = to.feed(bytes);
  return taken && *taken == bytes.size();
}

bool shake(TlsSession& client, TlsSession& server) {
  for (int i = 0; i < 4; ++i)
    if (!move(client, server) || !move(server, client)) return false;
  return client.handshake_done() && server.handshake_done();
}

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string read_all(TlsSession& from) {
  std::string out(1 << 20, '\0');
  const auto got = from.read(std::as_writable_bytes(std::span(out)));
  EXPECT_TRUE(got) << got.error().message();
  out.resize(got ? *got : 0);
  return out;
}

struct Pair {
  TlsSession client, server;
};
Pair psk_pair(char client_digit = '1', char server_digit = '1') {
  return {*TlsSession::client(*TlsContext::from_cluster_key(key(client_digit))),
          *TlsSession::server(*TlsContext::from_cluster_key(key(server_digit)))};
}

TEST(TlsPsk, CarriesBytesBothWays) {
  Pair p = psk_pair();
  EXPECT_FALSE(p.client.handshake_done());
  ASSERT_TRUE(shake(p.client, p.server));
  EXPECT_EQ(p.client.description(), "TLSv1.3 TLS_AES_128_GCM_SHA256 psk");
  EXPECT_EQ(*p.client.write(bytes_of("to the server")), 13u);
  EXPECT_EQ(*p.server.write(bytes_of("to the client")), 13u);
  const auto wire = take_all(p.client);
  const std::string_view seen(reinterpret_cast<const char*>(wire.data()), wire.size());
  EXPECT_EQ(seen.find("to the server"), std::string_view::npos);
  EXPECT_EQ(*p.server.feed(wire), wire.size());
  EXPECT_TRUE(move(p.server, p.client));
  EXPECT_EQ(read_all(p.server), "to the server");
  EXPECT_EQ(read_all(p.client), "to the client");
  EXPECT_EQ(read_all(p.client), "");
}

TEST(TlsPsk, WorksByteByByte) {
  Pair p = psk_pair();
  TlsSession* from = &p.client;
  TlsSession* to = &p.server;
  for (int turn = 0; turn < 4; ++turn, std::swap(from, to))
    for (const std::byte b : take_all(*from)) ASSERT_EQ(*to->feed({&b, 1}), 1u);
  ASSERT_TRUE(p.client.handshake_done() && p.server.handshake_done());
  ASSERT_TRUE(p.client.write(bytes_of("slowly")));
  for (const std::byte b : take_all(p.client)) ASSERT_TRUE(p.server.feed({&b, 1}));
  EXPECT_EQ(read_all(p.server), "slowly");
}

TEST(TlsPsk, GivesBothEndsOneBindingAndEachSessionAnother) {
  Pair a = psk_pair(), b = psk_pair();
  ASSERT_TRUE(shake(a.client, a.server) && shake(b.client, b.server));
  EXPECT_EQ(*a.client.channel_binding(), *a.server.channel_binding());
  EXPECT_NE(*a.client.channel_binding(), *b.client.channel_binding());
}

TEST(TlsPsk, RefusesAnotherKeyAtBothEnds) {
  Pair p = psk_pair('1', '2');
  EXPECT_FALSE(shake(p.client, p.server));
  const auto server_error = p.server.feed({});
  ASSERT_FALSE(server_error);
  EXPECT_EQ(code_of(server_error), Errc::kPermission);
  EXPECT_NE(server_error.error().message().find("same cluster key?"), std::string::npos);
  EXPECT_FALSE(p.server.error_text().empty());
  const auto client_error = p.client.feed(take_all(p.server));  // the alert
  ASSERT_FALSE(client_error);
  EXPECT_EQ(code_of(client_error), Errc::kPermission) << client_error.error().message();
}

TEST(TlsPsk, RefusesGarbage) {
  for (const std::string_view garbage :
       {std::string_view("FFM1 this is a frame of ours, in the clear, not TLS"),
        std::string_view("GET / HTTP/1.1\r\n\r\n"), std::string_view("\x16\x03\x01\xff\xff\xff", 6)}) {
    Pair p = psk_pair();
    const auto fed = p.server.feed(bytes_of(garbage));
    if (fed) EXPECT_FALSE(p.server.handshake_done());
    const auto end = p.server.feed_end();
    ASSERT_FALSE(end);
    EXPECT_TRUE(end.error().code() == Errc::kCorrupt || end.error().code() == Errc::kUnavailable);
  }
}

TEST(TlsPsk, RefusesEveryFlippedByteOfTheFirstFlight) {
  Pair first = psk_pair();
  const std::size_t bytes = first.client.ciphertext_pending();
  for (std::size_t at = 0; at < bytes; ++at) {
    if (at == 2) continue;  // the low byte of the record's legacy version, which TLS 1.3 ignores (RFC 8446, 5.1)
    Pair p = psk_pair();
    auto flight = take_all(p.client);
    flight[at] ^= std::byte{0x55};
    const auto fed = p.server.feed(flight);
    if (fed) {  // a longer record, say: it waits for bytes that do not come, or the client notices
      const auto answer = take_all(p.server);
      static_cast<void>(p.client.feed(answer));
      static_cast<void>(p.server.feed(take_all(p.client)));
    }
    ASSERT_FALSE(p.client.handshake_done() && p.server.handshake_done()) << at;
  }
}

TEST(TlsPsk, RefusesChangedRecords) {
  Pair p = psk_pair();
  ASSERT_TRUE(shake(p.client, p.server));
  ASSERT_TRUE(p.client.write(bytes_of("good")) && p.client.write(bytes_of("changed")));
  auto wire = take_all(p.client);
  wire.back() ^= std::byte{1};
  ASSERT_TRUE(p.server.feed(wire));
  EXPECT_EQ(read_all(p.server), "good");  // what came before the change is given
  std::byte out[16];
  const auto bad = p.server.read(out);
  ASSERT_FALSE(bad);
  EXPECT_EQ(code_of(bad), Errc::kCorrupt);
  EXPECT_EQ(code_of(p.server.write(bytes_of("x"))), Errc::kCorrupt);
  EXPECT_GT(p.server.ciphertext_pending(), 0u) << "the alert";
}

TEST(TlsPsk, RefusesReplayedRecords) {
  Pair p = psk_pair();
  ASSERT_TRUE(shake(p.client, p.server));
  ASSERT_TRUE(p.client.write(bytes_of("once")));
  const auto wire = take_all(p.client);
  ASSERT_TRUE(p.server.feed(wire));
  EXPECT_EQ(read_all(p.server), "once");
  ASSERT_TRUE(p.server.feed(wire));
  std::byte out[16];
  EXPECT_EQ(code_of(p.server.read(out)), Errc::kCorrupt);
}

TEST(TlsPsk, TellsAnEndFromACut) {
  Pair closed = psk_pair();
  ASSERT_TRUE(shake(closed.client, closed.server));
  ASSERT_TRUE(closed.client.write(bytes_of("bye")) && closed.client.close());
  EXPECT_EQ(code_of(closed.client.write(bytes_of("more"))), Errc::kInvalidArgument);
  ASSERT_TRUE(move(closed.client, closed.server));
  EXPECT_EQ(read_all(closed.server), "bye");
  EXPECT_TRUE(closed.server.peer_closed());
  EXPECT_TRUE(closed.server.feed_end());

  Pair cut = psk_pair();
  ASSERT_TRUE(shake(cut.client, cut.server));
  EXPECT_EQ(code_of(cut.server.feed_end()), Errc::kUnavailable);
  Pair early = psk_pair();
  ASSERT_TRUE(move(early.client, early.server));
  EXPECT_EQ(code_of(early.client.feed_end()), Errc::kUnavailable);
  EXPECT_NE(early.client.error_text().find("in the handshake"), std::string::npos);
}

TEST(TlsPsk, BoundsWhatItHolds) {
  Pair p = psk_pair();
  ASSERT_TRUE(shake(p.client, p.server));
  const std::vector<std::byte> much(4u << 20, std::byte{7});
  const auto taken = p.client.write(much);
  ASSERT_TRUE(taken);
  EXPECT_LT(*taken, much.size());
  EXPECT_LE(p.client.ciphertext_pending(), kTlsOutputBytesMax + (17u << 10));
  EXPECT_EQ(*p.client.write(much), 0u);
  const auto wire = take_all(p.client);
  const auto fed = p.server.feed(wire);
  ASSERT_TRUE(fed);
  EXPECT_EQ(*fed, kTlsInputBytesMax);
  EXPECT_EQ(*p.server.feed(std::span(wire).subspan(*fed)), 0u);
  // Reading makes room again; in the end all of it arrives.
  std::size_t at = *fed, got = read_all(p.server).size();
  while (at < wire.size()) {
    at += *p.server.feed(std::span(wire).subspan(at));
    got += read_all(p.server).size();
  }
  EXPECT_EQ(got, *taken);
}

TEST(TlsPsk, WritesNothingBeforeTheHandshakeIsDone) {
  Pair p = psk_pair();
  EXPECT_EQ(*p.client.write(bytes_of("early")), 0u);
  std::byte out[8];
  EXPECT_EQ(*p.client.read(out), 0u);
}

TEST(TlsVersions, OlderThanOnePointThreeAreRefused) {
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()), &SSL_CTX_free);
  SSL_CTX_set_max_proto_version(context.get(), TLS1_2_VERSION);
  const std::unique_ptr<SSL, decltype(&SSL_free)> old(SSL_new(context.get()), &SSL_free);
  BIO* out = BIO_new(BIO_s_mem());
  SSL_set_bio(old.get(), BIO_new(BIO_s_mem()), out);
  SSL_set_connect_state(old.get());
  SSL_do_handshake(old.get());
  std::vector<std::byte> hello(BIO_ctrl_pending(out));
  ASSERT_GT(BIO_read(out, hello.data(), static_cast<int>(hello.size())), 0);
  Pair p = psk_pair();
  const auto fed = p.server.feed(hello);
  ASSERT_FALSE(fed);
  EXPECT_EQ(code_of(fed), Errc::kUnsupported) << fed.error().message();
}

// A CA and what it signs, in files.
class TlsCertificates : public testing::Test {
 protected:
  using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
  using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

  void SetUp() override {
    std::string pattern = testing::TempDir() + "ff_tls.XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    authority("ca");
    issue("node", "ca", "node.cluster");
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  TlsCertificateFiles files(const std::string& node, const std::string& ca) const {
    return {path(node + ".crt"), path(node + ".key"), path(ca + ".crt")};
  }

  static Certificate make(EVP_PKEY* subject, const std::string& name, X509* issuer, EVP_PKEY* signer, bool ca) {
    Certificate out(X509_new(), &X509_free);
    X509_set_version(out.get(), 2);
    ASN1_INTEGER_set(X509_get_serialNumber(out.get()), 1);
    X509_gmtime_adj(X509_getm_notBefore(out.get()), -60);
    X509_gmtime_adj(X509_getm_notAfter(out.get()), 3600);
    X509_set_pubkey(out.get(), subject);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(out.get()), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    X509_set_issuer_name(out.get(), X509_get_subject_name(issuer != nullptr ? issuer : out.get()));
    const auto extend = [&](int nid, const std::string& value) {
      X509V3_CTX context;
      X509V3_set_ctx_nodb(&context);
      X509V3_set_ctx(&context, issuer != nullptr ? issuer : out.get(), out.get(), nullptr, nullptr, 0);
      X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
      X509_add_ext(out.get(), extension, -1);
      X509_EXTENSION_free(extension);
    };
    extend(NID_basic_constraints, ca ? "critical,CA:TRUE" : "CA:FALSE");
    if (!ca) extend(NID_subject_alt_name, "DNS:" + name + ",IP:127.0.0.1");
    X509_sign(out.get(), signer, EVP_sha256());
    return out;
  }

  void save(const std::string& name, X509* certificate, EVP_PKEY* key) const {
    FILE* file = std::fopen(path(name + ".crt").c_str(), "w");
    PEM_write_X509(file, certificate);
    std::fclose(file);
    file = std::fopen(path(name + ".key").c_str(), "w");
    PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
    std::fclose(file);
  }

  void authority(const std::string& name) {
    Key key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
    Certificate certificate = make(key.get(), name, nullptr, key.get(), true);
    save(name, certificate.get(), key.get());
  }

  void issue(const std::string& name, const std::string& ca, const std::string& dns) {
    FILE* file = std::fopen(path(ca + ".crt").c_str(), "r");
    Certificate issuer(PEM_read_X509(file, nullptr, nullptr, nullptr), &X509_free);
    std::fclose(file);
    file = std::fopen(path(ca + ".key").c_str(), "r");
    Key signer(PEM_read_PrivateKey(file, nullptr, nullptr, nullptr), &EVP_PKEY_free);
    std::fclose(file);
    Key key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
    Certificate certificate = make(key.get(), dns, issuer.get(), signer.get(), false);
    save(name, certificate.get(), key.get());
  }

  // Errors of client and server once nothing moves any more; empty when both stand.
  static std::pair<std::string, std::string> connect(const TlsContext& client, const TlsContext& server,
                                                     const std::string& name = {}) {
    auto c = TlsSession::client(client, name);
    auto s = TlsSession::server(server);
    for (int i = 0; i < 4; ++i) {
      static_cast<void>(s->feed(take_all(*c)));
      static_cast<void>(c->feed(take_all(*s)));
    }
    std::byte out[8];
    static_cast<void>(c->read(out));  // a client is done before the server has judged its certificate
    const auto text = [](const TlsSession& t) {
      return t.handshake_done() ? std::string() : t.error_text().empty() ? std::string("waits") : t.error_text();
    };
    return {text(*c), text(*s)};
  }

  std::filesystem::path folder_;
};

TEST_F(TlsCertificates, ConnectNodesOfOneAuthority) {
  const auto context = TlsContext::from_certificates(files("node", "ca"));
  ASSERT_TRUE(context) << context.error().message();
  const std::pair<std::string, std::string> good;
  EXPECT_EQ(connect(*context, *context), good);
  EXPECT_EQ(connect(*context, *context, "node.cluster"), good);
  EXPECT_EQ(connect(*context, *context, "127.0.0.1"), good);
}

TEST_F(TlsCertificates, RefuseAnotherName) {
  const auto context = TlsContext::from_certificates(files("node", "ca"));
  EXPECT_NE(connect(*context, *context, "other.cluster").first.find("mismatch"), std::string::npos);
  EXPECT_NE(connect(*context, *context, "127.0.0.2").first.find("mismatch"), std::string::npos);
}

TEST_F(TlsCertificates, RefuseAnotherAuthorityAtEitherEnd) {
  authority("ca2");
  issue("stranger", "ca2", "node.cluster");
  const auto ours = TlsContext::from_certificates(files("node", "ca"));
  const auto stranger = TlsContext::from_certificates(files("stranger", "ca"));  // trusts us; we do not trust it
  ASSERT_TRUE(ours && stranger);
  EXPECT_NE(connect(*ours, *stranger).first.find("same CA"), std::string::npos);
  const auto [client, server] = connect(*stranger, *ours);
  EXPECT_NE(server.find("same CA"), std::string::npos);
  EXPECT_NE(client, "");
}

TEST_F(TlsCertificates, DoNotMixWithClusterKeys) {
  const auto certificate = TlsContext::from_certificates(files("node", "ca"));
  const auto psk = TlsContext::from_cluster_key(key('1'));
  for (const auto& [client, server] : {connect(*certificate, *psk), connect(*psk, *certificate)}) {
    EXPECT_NE(client, "");
    EXPECT_NE(server, "");
  }
}

TEST_F(TlsCertificates, ReportBadFiles) {
  TlsCertificateFiles bad = files("node", "ca");
  bad.key = path("none.key");
  EXPECT_EQ(code_of(TlsContext::from_certificates(bad)), Errc::kNotFound);
  bad.key = path("ca.key");
  EXPECT_EQ(code_of(TlsContext::from_certificates(bad)), Errc::kInvalidArgument);
  std::ofstream(path("text")) << "no PEM";
  for (std::string TlsCertificateFiles::* field :
       {&TlsCertificateFiles::certificate, &TlsCertificateFiles::key, &TlsCertificateFiles::ca}) {
    bad = files("node", "ca");
    bad.*field = path("text");
    const auto context = TlsContext::from_certificates(bad);
    ASSERT_FALSE(context);
    EXPECT_EQ(code_of(context), Errc::kInvalidArgument);
    EXPECT_NE(context.error().message().find(path("text")), std::string::npos);
  }
}

}  // namespace
}  // namespace ff::net
