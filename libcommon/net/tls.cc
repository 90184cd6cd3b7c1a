#include "libcommon/net/tls.hpp"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include "libcommon/base/assert.hpp"
#include "libcommon/base/file.hpp"
#include "libcommon/net/crypto.hpp"

namespace ff::net {
namespace {

constexpr std::string_view kPskIdentity = "fire-flyer 1";
constexpr unsigned char kPskCipher[2] = {0x13, 0x01};  // TLS_AES_128_GCM_SHA256: the hash that the PSK is bound to
constexpr std::string_view kExporterLabel = "EXPORTER-fire-flyer-link";
constexpr std::size_t kRecordBytesMax = 16u << 10;
constexpr std::size_t kPemBytesMax = 1u << 20;

template <auto Free>
struct Freer {
  template <class T>
  void operator()(T* object) const noexcept {
    Free(object);
  }
};
using SslPtr = std::unique_ptr<SSL, Freer<&SSL_free>>;
using SslContextPtr = std::unique_ptr<SSL_CTX, Freer<&SSL_CTX_free>>;
using SslSessionPtr = std::unique_ptr<SSL_SESSION, Freer<&SSL_SESSION_free>>;

// The oldest entry of the thread's queue, which tells the cause; the rest is how it spread. Empties the queue.
struct Cause {
  int reason = 0;
  std::string text;
};
Cause take_cause() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return {0, "unknown error"};
  const char* reason = ERR_reason_error_string(code);
  const bool ours = ERR_GET_LIB(code) == ERR_LIB_SSL;
  return {ours ? ERR_GET_REASON(code) : 0, reason != nullptr ? reason : fmt::format("error {:#x}", code)};
}

Errc code_of(int reason, bool handshake_done) {
  switch (reason) {
    case SSL_R_BINDER_DOES_NOT_VERIFY:
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA: return Errc::kPermission;
    // How OpenSSL's server says that a PSK's binder is wrong, and that the two ends use keys of different kinds.
    case SSL_R_SSLV3_ALERT_ILLEGAL_PARAMETER:
    case SSL_R_TLSV1_ALERT_DECRYPT_ERROR: return handshake_done ? Errc::kCorrupt : Errc::kPermission;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
    case SSL_R_TLSV1_ALERT_INSUFFICIENT_SECURITY: return Errc::kUnsupported;
    default: return Errc::kCorrupt;
  }
}

int refuse_password(char*, int, int, void*) { return 0; }  // or OpenSSL would ask on the terminal

}  // namespace

struct TlsContext::Impl {
  SslContextPtr context;
  bool psk = false;
  Digest secret{};  // with psk

  Impl() = default;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() { wipe(secret); }

  static Result<std::shared_ptr<Impl>> make();
  SslSessionPtr psk_session(SSL* ssl) const;
  static int use_psk(SSL* ssl, const EVP_MD* md, const unsigned char** id, std::size_t* id_bytes, SSL_SESSION** out);
  static int find_psk(SSL* ssl, const unsigned char* id, std::size_t id_bytes, SSL_SESSION** out);
};

Result<std::shared_ptr<TlsContext::Impl>> TlsContext::Impl::make() {
  ERR_clear_error();
  auto impl = std::make_shared<Impl>();
  impl->context.reset(SSL_CTX_new(TLS_method()));
  SSL_CTX* context = impl->context.get();
  if (context == nullptr || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
      SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) != 1 || SSL_CTX_set_num_tickets(context, 0) != 1 ||
      SSL_CTX_set_max_early_data(context, 0) != 1)
    return fail(Errc::kUnsupported, "TLS: this OpenSSL has no TLS 1.3: " + take_cause().text);
  // Sessions are never resumed: each lane has its own secrets, and the server keeps nothing between lanes.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  // Released buffers: ten thousand idle lanes must not hold 34 KiB each.
  SSL_CTX_set_mode(context,
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  // Also with a PSK: a server that ignores it and shows a certificate must fail, as no CA is known then.
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_app_data(context, impl.get());
  return impl;
}

SslSessionPtr TlsContext::Impl::psk_session(SSL* ssl) const {
  SslSessionPtr session(SSL_SESSION_new());
  const SSL_CIPHER* cipher = SSL_CIPHER_find(ssl, kPskCipher);
  const bool made = session != nullptr && cipher != nullptr &&
                    SSL_SESSION_set1_master_key(session.get(), reinterpret_cast<const unsigned char*>(secret.data()),
                                                secret.size()) == 1 &&
                    SSL_SESSION_set_cipher(session.get(), cipher) == 1 &&
                    SSL_SESSION_set_protocol_version(session.get(), TLS1_3_VERSION) == 1;
  return made ? std::move(session) : nullptr;
}

int TlsContext::Impl::use_psk(SSL* ssl, const EVP_MD*, const unsigned char** id, std::size_t* id_bytes,
                              SSL_SESSION** out) {
  const auto* impl = static_cast<const Impl*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  *out = impl->psk_session(ssl).release();
  *id = reinterpret_cast<const unsigned char*>(kPskIdentity.data());
  *id_bytes = kPskIdentity.size();
  return *out != nullptr ? 1 : 0;
}

int TlsContext::Impl::find_psk(SSL* ssl, const unsigned char* id, std::size_t id_bytes, SSL_SESSION** out) {
  *out = nullptr;  // with 1: no such key; the handshake then ends, as we have no certificate
  if (std::string_view(reinterpret_cast<const char*>(id), id_bytes) != kPskIdentity) return 1;
  const auto* impl = static_cast<const Impl*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  *out = impl->psk_session(ssl).release();
  return *out != nullptr ? 1 : 0;
}

TlsContext::TlsContext(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
TlsContext::TlsContext(TlsContext&&) noexcept = default;
TlsContext& TlsContext::operator=(TlsContext&&) noexcept = default;
TlsContext::~TlsContext() = default;

Result<TlsContext> TlsContext::from_cluster_key(const ClusterKey& key) {
  FF_TRY_ASSIGN(auto impl, Impl::make());
  impl->psk = true;
  impl->secret = labelled_hmac(key.bytes(), "fire-flyer tls psk 1", {});
  if (SSL_CTX_set_ciphersuites(impl->context.get(), "TLS_AES_128_GCM_SHA256") != 1)
    return fail(Errc::kUnsupported, "TLS: this OpenSSL lacks TLS_AES_128_GCM_SHA256: " + take_cause().text);
  SSL_CTX_set_psk_use_session_callback(impl->context.get(), &Impl::use_psk);
  SSL_CTX_set_psk_find_session_callback(impl->context.get(), &Impl::find_psk);
  return TlsContext(std::move(impl));
}

Result<TlsContext> TlsContext::from_certificates(const TlsCertificateFiles& files) {
  FF_TRY_ASSIGN(auto impl, Impl::make());
  SSL_CTX* context = impl->context.get();
  SSL_CTX_set_default_passwd_cb(context, &refuse_password);
  for (const std::string& path : {files.certificate, files.key, files.ca}) {
    auto text = read_file(path, kPemBytesMax);  // for the file errors, which OpenSSL reports less well
    if (!text) return fail(std::move(text).error().context("TLS"));
    wipe(std::as_writable_bytes(std::span(*text)));
  }
  const auto refuse = [](const std::string& path, std::string_view what) {
    return fail(Errc::kInvalidArgument, fmt::format("TLS: {}: {}: {}", path, what, take_cause().text));
  };
  if (SSL_CTX_use_certificate_chain_file(context, files.certificate.c_str()) != 1)
    return refuse(files.certificate, "no certificate in PEM");
  if (SSL_CTX_use_PrivateKey_file(context, files.key.c_str(), SSL_FILETYPE_PEM) != 1)
    return refuse(files.key, "no key in PEM without a password that fits the certificate");
  if (SSL_CTX_check_private_key(context) != 1) return refuse(files.key, "not the key of the certificate");
  if (SSL_CTX_load_verify_locations(context, files.ca.c_str(), nullptr) != 1)
    return refuse(files.ca, "no CA certificate in PEM");
  return TlsContext(std::move(impl));
}

struct TlsSession::Impl {
  std::shared_ptr<const TlsContext::Impl> context;  // outlives ssl: its callbacks use it
  SslPtr ssl;
  BIO* in = nullptr;         // ciphertext received; owned by ssl
  BIO* out = nullptr;        // ciphertext to send; owned by ssl
  bool established = false;  // SSL_is_init_finished() turns false again when a later record fails
  bool peer_closed = false;
  bool closing = false;
  Errc error_code = Errc::kInternal;
  std::string error;

  Result<> check() const {
    if (error.empty()) return {};
    return fail(error_code, error);
  }
  std::unexpected<Error> fail_with(Errc code, std::string text) {
    error_code = code;
    error = std::move(text);
    return fail(error_code, error);
  }
  std::unexpected<Error> fail_by_openssl(std::string_view what);
  bool done() const noexcept { return established; }
  Result<> drive_handshake();
};

std::unexpected<Error> TlsSession::Impl::fail_by_openssl(std::string_view what) {
  const bool before = !done();
  const long verify = SSL_get_verify_result(ssl.get());
  const Cause cause = take_cause();
  const Errc code = code_of(cause.reason, !before);
  std::string text = fmt::format("TLS: {}: {}", what, cause.text);
  if (cause.reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
    text += fmt::format(": {}", X509_verify_cert_error_string(verify));
  if (code == Errc::kPermission)
    text += context->psk ? " (do both ends have the same cluster key?)"
                         : " (did the same CA sign both ends' certificates, and for these names?)";
  else if (code == Errc::kUnsupported)
    text += " (TLS 1.3 is the only version spoken here)";
  else if (before)
    text += " (is TLS on at the other end, and is it ours?)";
  return fail_with(code, std::move(text));
}

Result<> TlsSession::Impl::drive_handshake() {
  ERR_clear_error();
  const int rc = SSL_do_handshake(ssl.get());
  if (rc != 1) {
    const int error_kind = SSL_get_error(ssl.get(), rc);
    if (error_kind == SSL_ERROR_WANT_READ || error_kind == SSL_ERROR_WANT_WRITE) return {};
    return fail_by_openssl("handshake");
  }
  // OpenSSL guarantees it as no CA is known; a second look costs nothing where all trust hangs on it.
  if (context->psk && SSL_session_reused(ssl.get()) != 1)
    return fail_with(Errc::kPermission, "TLS: handshake: the peer did not use the cluster key");
  established = true;
  return {};
}

TlsSession::TlsSession(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsSession::TlsSession(TlsSession&&) noexcept = default;
TlsSession& TlsSession::operator=(TlsSession&&) noexcept = default;
TlsSession::~TlsSession() = default;

Result<TlsSession> TlsSession::create(const TlsContext& context, bool is_server, const std::string& server_name) {
  auto impl = std::make_unique<Impl>();
  impl->context = context.impl_;
  impl->ssl.reset(SSL_new(context.impl_->context.get()));
  SSL* ssl = impl->ssl.get();
  if (ssl == nullptr) return fail(Errc::kExhausted, "TLS: session: " + take_cause().text);
  impl->in = BIO_new(BIO_s_mem());
  impl->out = BIO_new(BIO_s_mem());
  FF_ASSERT(impl->in != nullptr && impl->out != nullptr);
  SSL_set_bio(ssl, impl->in, impl->out);
  if (!is_server && !context.impl_->psk && !server_name.empty()) {
    unsigned char address[sizeof(in6_addr)];
    const bool numeric = ::inet_pton(AF_INET, server_name.c_str(), address) == 1 ||
                         ::inet_pton(AF_INET6, server_name.c_str(), address) == 1;
    const bool set = numeric ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), server_name.c_str()) == 1
                             : SSL_set1_host(ssl, server_name.c_str()) == 1 &&
                                   SSL_set_tlsext_host_name(ssl, server_name.c_str()) == 1;
    if (!set) return fail(Errc::kInvalidArgument, fmt::format("TLS: '{}' is no name of a server", server_name));
  }
  if (is_server) {
    SSL_set_accept_state(ssl);
    // A server that verifies needs a name for the realm of its sessions, and a PSK is a session to OpenSSL. Clients
    // have none: theirs must then equal the (nameless) session's.
    SSL_set_session_id_context(ssl, reinterpret_cast<const unsigned char*>(kPskIdentity.data()), kPskIdentity.size());
  } else {
    SSL_set_connect_state(ssl);
    FF_TRY(impl->drive_handshake());
  }
  return TlsSession(std::move(impl));
}

Result<TlsSession> TlsSession::client(const TlsContext& context, const std::string& server_name) {
  return create(context, false, server_name);
}

Result<TlsSession> TlsSession::server(const TlsContext& context) { return create(context, true, {}); }

Result<std::size_t> TlsSession::feed(std::span<const std::byte> ciphertext) {
  FF_TRY(impl_->check());
  const std::size_t held = BIO_ctrl_pending(impl_->in);
  const std::size_t room = kTlsInputBytesMax - std::min(held, kTlsInputBytesMax);
  const std::size_t taken = std::min(ciphertext.size(), room);
  if (taken > 0) {
    const int written = BIO_write(impl_->in, ciphertext.data(), static_cast<int>(taken));
    if (written != static_cast<int>(taken))
      return impl_->fail_with(Errc::kExhausted, "TLS: no memory for received bytes");
  }
  if (!impl_->done()) FF_TRY(impl_->drive_handshake());
  return taken;
}

Result<> TlsSession::feed_end() {
  FF_TRY(impl_->check());
  if (impl_->peer_closed) return {};
  return impl_->fail_with(Errc::kUnavailable,
                          impl_->done()
                              ? "TLS: the connection ended without close_notify (the peer died, or somebody cut it)"
                              : "TLS: the connection ended in the handshake (is TLS on at the other end?)");
}

std::size_t TlsSession::take(std::span<std::byte> out) noexcept {
  const std::size_t wanted = std::min(out.size(), ciphertext_pending());
  if (wanted == 0) return 0;
  const int n = BIO_read(impl_->out, out.data(), static_cast<int>(std::min<std::size_t>(wanted, 1u << 30)));
  return n > 0 ? static_cast<std::size_t>(n) : 0;
}

std::size_t TlsSession::ciphertext_pending() const noexcept { return BIO_ctrl_pending(impl_->out); }

bool TlsSession::handshake_done() const noexcept { return impl_->error.empty() && impl_->done(); }

Result<std::size_t> TlsSession::write(std::span<const std::byte> plaintext) {
  FF_TRY(impl_->check());
  if (impl_->closing) return fail(Errc::kInvalidArgument, "TLS: written to after close");
  if (!impl_->done()) return 0;
  std::size_t taken = 0;
  while (taken < plaintext.size() && ciphertext_pending() < kTlsOutputBytesMax) {
    ERR_clear_error();
    std::size_t n = 0;
    const auto record = plaintext.subspan(taken, std::min(plaintext.size() - taken, kRecordBytesMax));
    if (SSL_write_ex(impl_->ssl.get(), record.data(), record.size(), &n) != 1) return impl_->fail_by_openssl("write");
    taken += n;
  }
  return taken;
}

Result<std::size_t> TlsSession::read(std::span<std::byte> out) {
  FF_TRY(impl_->check());
  if (!impl_->done() || impl_->peer_closed) return 0;
  std::size_t got = 0;
  while (got < out.size()) {
    ERR_clear_error();
    std::size_t n = 0;
    const int rc = SSL_read_ex(impl_->ssl.get(), out.data() + got, out.size() - got, &n);
    got += n;
    if (rc == 1) continue;
    const int kind = SSL_get_error(impl_->ssl.get(), rc);
    if (kind == SSL_ERROR_ZERO_RETURN) impl_->peer_closed = true;
    // Bytes that were good are given first; the next call reports the error.
    if (kind == SSL_ERROR_ZERO_RETURN || kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) break;
    auto error = impl_->fail_by_openssl("read");
    if (got > 0) break;
    return error;
  }
  return got;
}

bool TlsSession::peer_closed() const noexcept { return impl_->peer_closed; }

Result<> TlsSession::close() {
  FF_TRY(impl_->check());
  if (impl_->closing || !impl_->done()) {
    impl_->closing = true;
    return {};
  }
  impl_->closing = true;
  ERR_clear_error();
  if (SSL_shutdown(impl_->ssl.get()) < 0) return impl_->fail_by_openssl("close");
  return {};
}

Result<std::array<std::byte, 32>> TlsSession::channel_binding() const {
  FF_ASSERT(handshake_done());
  std::array<std::byte, 32> out;
  if (SSL_export_keying_material(impl_->ssl.get(), reinterpret_cast<unsigned char*>(out.data()), out.size(),
                                 kExporterLabel.data(), kExporterLabel.size(), nullptr, 0, 0) != 1)
    return fail(Errc::kInternal, "TLS: channel binding: " + take_cause().text);
  return out;
}

std::string TlsSession::description() const {
  if (!handshake_done()) return "TLS handshake";
  return fmt::format("{} {} {}", SSL_get_version(impl_->ssl.get()), SSL_get_cipher_name(impl_->ssl.get()),
                     impl_->context->psk ? "psk" : "certificate");
}

const std::string& TlsSession::error_text() const noexcept { return impl_->error; }

}  // namespace ff::net
