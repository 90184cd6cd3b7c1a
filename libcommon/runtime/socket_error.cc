#include "libcommon/runtime/socket_error.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace ff::runtime {

namespace {

Errc code_of(int error) noexcept {
  switch (error) {
    case ECONNRESET:
    case ECONNABORTED:
    case ECONNREFUSED:
    case EPIPE:
    case ENOTCONN:
    case ESHUTDOWN:
    case ETIMEDOUT:  // the kernel gave up on the peer; our own deadlines are no errno
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case ENETUNREACH:
    case ENETDOWN:
    case ENETRESET:
    case ENOENT:  // a Unix socket that nobody has made yet
    case EAGAIN:  // a Unix listener whose backlog is full
      return Errc::kUnavailable;
    case ENOMEM:
    case ENOBUFS:
    case EMFILE:
    case ENFILE:
    case EADDRNOTAVAIL:  // all local ports are taken
      return Errc::kExhausted;
    case EACCES:
    case EPERM: return Errc::kPermission;
    case EINVAL:
    case EAFNOSUPPORT:
    case EBADF:
    case ENOTSOCK: return Errc::kInvalidArgument;
    default: return Errc::kIo;
  }
}

}  // namespace

Error socket_error(std::string_view operation, int error) {
  return Error(code_of(error), errno_error(operation, error).message(), error);
}

Error early_end(std::size_t got, std::size_t expected) {
  return Error(Errc::kUnavailable, fmt::format("receive: the peer closed after {} of {} bytes", got, expected));
}

Result<> check_parts(std::span<const iovec> parts) {
  if (parts.size() <= IOV_MAX) return {};
  return fail(Errc::kInvalidArgument,
              fmt::format("send: {} parts are more than {} (join some)", parts.size(), IOV_MAX));
}

Unsent::Unsent(std::span<const iovec> parts) {
  if (parts.size() <= few_.size()) {
    rest_ = std::span(few_).first(parts.size());
  } else {
    many_.resize(parts.size());
    rest_ = many_;
  }
  std::ranges::copy(parts, rest_.begin());
  advance(0);
}

void Unsent::advance(std::size_t sent) noexcept {
  while (!rest_.empty() && sent >= rest_.front().iov_len) {
    sent -= rest_.front().iov_len;
    rest_ = rest_.subspan(1);
  }
  if (rest_.empty()) return;
  rest_.front().iov_base = static_cast<std::byte*>(rest_.front().iov_base) + sent;
  rest_.front().iov_len -= sent;
}

}  // namespace ff::runtime
