#include "libcommon/rpc/send.hpp"

#include <cstring>

namespace ff::rpc {
bool send_or_keep(net::Connection& connection, net::Message& message) {
  if (connection.queued_bytes() < net::kSendQueueBytesMin) {
    (void)connection.send(std::move(message));
    return true;
  }
  // A copy is kept, since send() takes the message whatever it says.
  net::Message copy(message.size());
  std::memcpy(copy.payload().data(), message.payload().data(), message.size());
  const Result<> sent = connection.send(std::move(copy));
  return sent || sent.error().code() != Errc::kExhausted;
}

}  // namespace ff::rpc
