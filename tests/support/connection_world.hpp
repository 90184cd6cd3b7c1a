// A world of two networks for tests, and the two ends of a connection in it. Independent of what carries it: no real
// clock, thread or socket is used here; bodies are tasks, time passes by runtime::sleep().
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "libcommon/net/network.hpp"
#include "libcommon/runtime/scope.hpp"

namespace ff::testing {

class ConnectionWorld {
 public:
  virtual ~ConnectionWorld() = default;
  virtual net::Network& server() = 0;  // its role is "server", its node 7
  virtual net::Network& client() = 0;  // its role is "client", its node 9
  // Where the server may listen.
  virtual net::Address listen_at() = 0;
  // An address of the client's network where nobody listens.
  virtual net::Address nobody() = 0;
  // Drives the world until `body` has ended, then stops both networks. The body may use objects of both.
  virtual void run(runtime::Task<void> body) = 0;
};

// In a coroutine, where ASSERT_TRUE cannot return.
#define FF_CO_ASSERT(condition)               \
  do {                                        \
    if (!(condition)) {                       \
      ADD_FAILURE() << "failed: " #condition; \
      co_return;                              \
    }                                         \
  } while (false)

// One end: keeps what it is told.
class RecordingEnd final : public net::ConnectionHandler {
 public:
  explicit RecordingEnd(std::shared_ptr<net::Connection> connection) : connection_(std::move(connection)) {}

  void start() { connection_->start(*this); }
  net::Connection& operator*() { return *connection_; }
  net::Connection* operator->() { return connection_.get(); }

  void on_message(net::Connection&, std::span<const std::byte> message) override {
    if (keep_whole) messages.emplace_back(reinterpret_cast<const char*>(message.data()), message.size());
    ++received;
    if (also) also(message);
    changed_.wake_all();
  }
  void on_closed(net::Connection&, const Error& why) override {
    ++times_closed;
    closed = why;
    changed_.wake_all();
  }
  // Waits until `done`; false after `wait`.
  runtime::Task<bool> until(std::function<bool()> done, runtime::Duration wait = std::chrono::seconds(20)) {
    const Result<> result = co_await runtime::with_timeout(wait, "until", reached(done));
    co_return result.has_value();
  }
  void notice() { changed_.wake_all(); }

  std::vector<std::string> messages;
  std::size_t received = 0;
  bool keep_whole = true;
  std::function<void(std::span<const std::byte>)> also;
  std::optional<Error> closed;
  int times_closed = 0;

 private:
  runtime::Task<Result<>> reached(const std::function<bool()>& done) {
    while (!done()) FF_CO_TRY(co_await changed_.wait());
    co_return {};
  }
  std::shared_ptr<net::Connection> connection_;
  runtime::WaitQueue changed_;
};

struct Ends {
  std::unique_ptr<net::Listener> listener;
  std::unique_ptr<RecordingEnd> server, client;
};

inline net::Message message_of(std::string_view text) {
  net::Message message(text.size());
  std::memcpy(message.payload().data(), text.data(), text.size());
  return message;
}
inline net::PeerAddress only(net::Address address) { return net::PeerAddress{{std::move(address)}}; }
// Bytes that tell their place.
inline std::vector<std::byte> pattern(std::size_t bytes, std::uint64_t seed) {
  std::vector<std::byte> out(bytes);
  Rng rng(seed);
  for (std::size_t i = 0; i + 8 <= bytes; i += 8) {
    const std::uint64_t word = rng.next();
    std::memcpy(out.data() + i, &word, 8);
  }
  return out;
}

// A listener and one connection, both ends started unless told otherwise.
inline runtime::Task<Result<Ends>> join_ends(ConnectionWorld& world, bool start = true) {
  Ends ends;
  FF_CO_TRY_ASSIGN(ends.listener, co_await world.server().listen(world.listen_at()));
  FF_CO_TRY_ASSIGN(auto client, co_await world.client().connect(only(ends.listener->address()), {}));
  FF_CO_TRY_ASSIGN(auto server, co_await ends.listener->accept());
  ends.client = std::make_unique<RecordingEnd>(std::move(client));
  ends.server = std::make_unique<RecordingEnd>(std::move(server));
  if (start) {
    ends.client->start();
    ends.server->start();
  }
  co_return ends;
}

}  // namespace ff::testing
