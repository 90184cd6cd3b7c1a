// CallOptions: what may differ from call to call.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>

#include "libcommon/net/traffic_class.hpp"
#include "libcommon/rpc/wire.hpp"
#include "libcommon/runtime/time.hpp"

namespace ff::rpc {

struct CallOptions {
  // For the call with all its attempts; the deadline of the caller's context counts as well.
  runtime::Duration timeout = std::chrono::seconds(10);
  // For one attempt; 0: no limit of its own. With a key, the next attempt joins what this one began; but with more bulk
  // than travels inside the messages, whose memory is taken back, what it began is cancelled, and begins again.
  runtime::Duration attempt_timeout = runtime::Duration(0);
  // At most; 1: no retries. What is retried: retry.hpp.
  std::uint32_t attempts = 3;
  // False: kUnavailable at once while there is no connection and the last attempt to make one has just failed.
  bool wait_for_connection = true;
  // Each class has a connection of its own, made when it is first used.
  net::TrafficClass traffic = net::TrafficClass::kMetadata;

  // Memory that the server may take from, and put into, while the call runs; unchanged by others until it has returned.
  // Up to kInlineBulkBytesMax travels inside the messages.
  std::span<const std::byte> bulk_send = {};
  std::span<std::byte> bulk_receive = {};
  // How many bytes of bulk_receive have been filled, when the call has succeeded; may be null.
  std::uint64_t* bulk_received = nullptr;
  // Set when the call has failed: whether an attempt may have reached the handler; may be null.
  bool* may_have_run = nullptr;

  // For services that keep keys themselves, across restarts and replicas (ServerCall::key()): repeated on any start of
  // the server, and the same when the caller repeats the operation in another call. Without it, calls of methods that
  // are not repeatable get a key of the Client, which is repeated only to the start of the server that has seen it.
  IdempotencyKey key = {};
};

}  // namespace ff::rpc
