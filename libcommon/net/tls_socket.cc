#include "libcommon/net/tls_socket.hpp"

#include <vector>

namespace ff::net {
namespace {

using runtime::Task;

constexpr std::size_t kPlainBytes = 16u << 10;   // one record
constexpr std::size_t kCipherBytes = 64u << 10;  // given to the socket at a time

}  // namespace

Task<Result<>> TlsSocket::handshake() {
  while (true) {
    const Result<> sent = co_await flush();
    if (session_.handshake_done()) co_return sent;
    FF_CO_TRY(sent);
    Result<bool> more = co_await fill();
    if (!more) {
      (void)co_await flush();  // the alert that tells the peer why
      co_return fail(std::move(more).error());
    }
    if (!*more) co_return fail(Errc::kUnavailable, "TLS: the peer closed during the handshake");
  }
}

Task<Result<bool>> TlsSocket::fill() {
  if (fed_ == cipher_.bytes().size()) {
    cipher_ = {};
    fed_ = 0;
    FF_CO_TRY_ASSIGN(cipher_, co_await inner_->receive());
    if (cipher_.bytes().empty()) {
      FF_CO_TRY(session_.feed_end());
      co_return false;
    }
  }
  FF_CO_TRY_ASSIGN(const std::size_t taken, session_.feed(cipher_.bytes().subspan(fed_)));
  fed_ += taken;
  if (fed_ == cipher_.bytes().size()) {
    cipher_ = {};  // gives the buffer back now, not when more arrives
    fed_ = 0;
  }
  co_return true;
}

Task<Result<>> TlsSocket::flush() {
  if (session_.ciphertext_pending() == 0) co_return {};
  std::vector<std::byte> out(std::min(session_.ciphertext_pending(), kCipherBytes));
  while (const std::size_t n = session_.take(out)) {
    const iovec part{out.data(), n};
    FF_CO_TRY(co_await inner_->write({&part, 1}));
  }
  co_return {};
}

Task<Result<runtime::Received>> TlsSocket::receive() {
  while (true) {
    plain_ = std::make_unique_for_overwrite<std::byte[]>(kPlainBytes);
    FF_CO_TRY_ASSIGN(const std::size_t n, session_.read({plain_.get(), kPlainBytes}));
    if (n > 0) co_return runtime::Received(*this, 0, {plain_.get(), n});
    plain_.reset();
    if (session_.peer_closed()) co_return runtime::Received();
    FF_CO_TRY_ASSIGN(const bool more, co_await fill());
    if (!more && !session_.peer_closed()) co_return runtime::Received();
  }
}

Task<Result<>> TlsSocket::read_exact(std::span<std::byte> into) {
  while (!into.empty()) {
    FF_CO_TRY_ASSIGN(const std::size_t n, session_.read(into));
    into = into.subspan(n);
    if (n > 0) continue;
    if (session_.peer_closed()) co_return fail(Errc::kUnavailable, "TLS: the peer closed");
    FF_CO_TRY_ASSIGN(const bool more, co_await fill());
    if (!more) co_return fail(Errc::kUnavailable, "TLS: the peer closed");
  }
  co_return {};
}

Task<Result<>> TlsSocket::write(std::span<const iovec> parts) {
  for (const iovec& part : parts) {
    std::span<const std::byte> rest(static_cast<const std::byte*>(part.iov_base), part.iov_len);
    while (!rest.empty()) {
      FF_CO_TRY_ASSIGN(const std::size_t n, session_.write(rest));
      rest = rest.subspan(n);
      if (!rest.empty()) FF_CO_TRY(co_await flush());  // the session holds no more
    }
  }
  co_return co_await flush();
}

}  // namespace ff::net
