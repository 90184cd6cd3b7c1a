// TLS 1.3 for a lane, without I/O: ciphertext in, ciphertext out, plaintext in, plaintext out. Nothing older than 1.3
// is spoken. OpenSSL stays in tls.cc.
//
// Trust     Cluster key: an external PSK made from the key by HMAC-SHA256(key, "fire-flyer tls psk 1" 0), with an
//           ephemeral Diffie-Hellman exchange (psk_dhe_ke), so a key that leaks later opens no recorded traffic. No
//           certificates. TLS_AES_128_GCM_SHA256.
//           Certificates: both sides show one that the given CA signed (mutual). The name is checked where given.
// Then      the handshake of auth.hpp runs inside, with channel_binding().
// Memory    A session takes in at most kTlsInputBytesMax of ciphertext that it cannot decrypt yet, and holds at most
//           kTlsOutputBytesMax of ciphertext not taken (plus one record); feed() and write() then take less than given.
// Errors    kPermission: wrong key, untrusted or missing certificate. kCorrupt: garbage, a changed record, an end
//           without close_notify. kUnsupported: the peer speaks no TLS 1.3. After an error the session is over; an
//           alert for the peer may be left to take().
// Threads   A TlsContext may be shared; a session belongs to one thread at a time.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "libcommon/base/result.hpp"
#include "libcommon/net/cluster_key.hpp"

namespace ff::net {

inline constexpr std::size_t kTlsInputBytesMax = 64u << 10;
inline constexpr std::size_t kTlsOutputBytesMax = 256u << 10;

struct TlsCertificateFiles {
  std::string certificate;  // PEM: the certificate, then its chain
  std::string key;          // PEM, unencrypted
  std::string ca;           // PEM: who signs the peers'
};

// Keys and settings of a process. Made once; sessions keep what they need of it alive.
class TlsContext {
 public:
  static Result<TlsContext> from_cluster_key(const ClusterKey& key);
  // Reads the files. kNotFound, kPermission, kInvalidArgument (the key is not the certificate's, no PEM).
  static Result<TlsContext> from_certificates(const TlsCertificateFiles& files);

  TlsContext(TlsContext&&) noexcept;
  TlsContext& operator=(TlsContext&&) noexcept;
  ~TlsContext();

 private:
  friend class TlsSession;
  struct Impl;
  explicit TlsContext(std::shared_ptr<const Impl> impl);
  std::shared_ptr<const Impl> impl_;
};

class TlsSession {
 public:
  // `server_name`: certificate mode: the DNS name or IP address that the certificate must hold; empty: any that the CA
  // signed. Ignored with a cluster key. The first ciphertext is ready to take().
  static Result<TlsSession> client(const TlsContext& context, const std::string& server_name = {});
  static Result<TlsSession> server(const TlsContext& context);

  TlsSession(TlsSession&&) noexcept;
  TlsSession& operator=(TlsSession&&) noexcept;
  ~TlsSession();

  // Takes ciphertext that was received and drives the handshake; returns how many bytes it took (fewer than given when
  // plaintext must be read first: then read() and feed the rest).
  Result<std::size_t> feed(std::span<const std::byte> ciphertext);
  // The connection ended: kUnavailable unless the peer said so by close_notify (it died, or somebody cut it).
  Result<> feed_end();
  // Moves ciphertext to send into `out`; how many bytes. Ask after every feed(), read(), write() and close().
  std::size_t take(std::span<std::byte> out) noexcept;
  std::size_t ciphertext_pending() const noexcept;

  bool handshake_done() const noexcept;
  // How many bytes it took; 0 while the handshake runs or the output is full. kInvalidArgument after close().
  Result<std::size_t> write(std::span<const std::byte> plaintext);
  // How many bytes it gave; 0: nothing now, or the end when peer_closed().
  Result<std::size_t> read(std::span<std::byte> out);
  bool peer_closed() const noexcept;
  // Queues close_notify; nothing can be written after it, reading goes on.
  Result<> close();

  // 32 bytes that only the two ends of this session know, equal at both. REQUIRES: handshake_done() (asserted).
  Result<std::array<std::byte, 32>> channel_binding() const;
  // "TLSv1.3 TLS_AES_128_GCM_SHA256 psk".
  std::string description() const;
  // The error that ended the session; empty while there is none.
  const std::string& error_text() const noexcept;

 private:
  struct Impl;
  explicit TlsSession(std::unique_ptr<Impl> impl);
  static Result<TlsSession> create(const TlsContext& context, bool is_server, const std::string& server_name);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ff::net
