#include "libcommon/rpc/send.hpp"

#include <cstring>

namespace ff::rpc {
namespace {

// Below this no connection refuses; above it a copy is kept, since send() takes the message whatever it says.
constexpr std::size_t kSurelyTakenBytes = 64u << 10;

}  // namespace

bool send_or_keep(net::Connection& connection, net::Message& message) {
  if (connection.queued_bytes() < kSurelyTakenBytes) {
    (void)connection.send(std::move(message));
    return true;
  }
  net::Message copy(message.size());
  std::memcpy(copy.payload().data(), message.payload().data(), message.size());
  const Result<> sent = connection.send(std::move(copy));
  return sent || sent.error().code() != Errc::kExhausted;
}

}  // namespace ff::rpc
