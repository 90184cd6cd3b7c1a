// TlsSocket: a Socket that encrypts. Bytes pass through user space twice (cipher in, cipher out): that is what TLS
// costs here, and why bulk over it counts as copied.
//
// Use      As any Socket; receive() and read_exact() may even be mixed.
// Memory   While nothing arrives it holds none but the session's.
// Errors   As Socket and TlsSession.
#pragma once

#include <array>
#include <cstddef>
#include <memory>

#include "libcommon/net/tls.hpp"
#include "libcommon/runtime/socket.hpp"

namespace ff::net {

class TlsSocket final : public runtime::Socket, private runtime::Received::Lender {
 public:
  TlsSocket(std::unique_ptr<runtime::Socket> inner, TlsSession session) noexcept
      : inner_(std::move(inner)), session_(std::move(session)) {}

  // First, once.
  runtime::Task<Result<>> handshake();
  // REQUIRES: the handshake is done.
  Result<std::array<std::byte, 32>> channel_binding() const { return session_.channel_binding(); }

  runtime::Task<Result<runtime::Received>> receive() override;
  runtime::Task<Result<>> read_exact(std::span<std::byte> into) override;
  runtime::Task<Result<>> write(std::span<const iovec> parts) override;
  void shutdown() noexcept override { inner_->shutdown(); }
  int fd() const noexcept override { return inner_->fd(); }

 private:
  void give_back(std::uint32_t) noexcept override { plain_.reset(); }
  // Feeds more ciphertext. False: the peer has finished.
  runtime::Task<Result<bool>> fill();
  runtime::Task<Result<>> flush();

  std::unique_ptr<runtime::Socket> inner_;
  TlsSession session_;
  runtime::Received cipher_;  // received, its first `fed_` bytes fed
  std::size_t fed_ = 0;
  std::unique_ptr<std::byte[]> plain_;  // what receive() lent
};

}  // namespace ff::net
