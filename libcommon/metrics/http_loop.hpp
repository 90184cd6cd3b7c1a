// HttpLoop: the sockets of a small HTTP server. One thread accepts, reads heads and writes answers, all without
// blocking; a few workers run the handler on heads that are complete. A client that is slow, silent or hostile
// therefore holds a connection until its deadline, never a thread.
//
// Bounds     connections_max connections, one request each at a time, head_bytes_max a head. When all connections are
//            taken, the one that has waited longest for its client is closed for the new one; while all are being
//            answered, new ones wait in the listener's backlog.
// Deadlines  See HttpLoopOptions. A head that comes too slowly gets 408, a handler that takes too long 503, a reader of
//            an answer that takes too long is cut off.
// Faults     Without free descriptors, accepting pauses for 100 ms at a time; open connections go on.
// Threads    stop() and the destructor from one thread; never from the handler.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "libcommon/base/deadline.hpp"
#include "libcommon/base/result.hpp"
#include "libcommon/metrics/http_message.hpp"

namespace ff::metrics {

struct HttpLoopOptions {
  std::string address = "127.0.0.1";  // IPv4 or IPv6, as numbers
  std::uint16_t port = 0;             // 0: one that is free
  unsigned workers = 2;               // 1 to 64
  std::size_t connections_max = 64;   // 1 to 1024
  std::size_t head_bytes_max = 16 << 10;
  std::chrono::nanoseconds head_timeout = std::chrono::seconds(5);   // from its first byte to its last
  std::chrono::nanoseconds idle_timeout = std::chrono::seconds(60);  // between requests; scrapes come every 15 s or so
  std::chrono::nanoseconds handle_timeout = std::chrono::seconds(10);  // in the queue and in the handler
  std::chrono::nanoseconds write_timeout = std::chrono::seconds(10);   // for a whole answer
};

class HttpLoop {
 public:
  // Listens before it returns. kInvalidArgument, kExhausted (no threads), or the error of the address
  // ("127.0.0.1:80: Permission denied").
  static Result<std::unique_ptr<HttpLoop>> start(HttpLoopOptions options,
                                                 std::function<HttpReply(const HttpRequest&)> handler);
  // stop(), and waits for a handler that still runs: it refers to what its owner will destroy next.
  ~HttpLoop();

  // "127.0.0.1:9100" or "[::1]:9100", with the port that was given.
  const std::string& endpoint() const noexcept;
  std::uint16_t port() const noexcept;

  // Closes the listener and idle connections at once, lets requests that are being answered finish, closes everything
  // at the deadline. kTimeout when a handler still ran then; its thread ends when it returns. Again: does nothing.
  Result<> stop(Deadline deadline);

 private:
  class Impl;
  explicit HttpLoop(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ff::metrics
