// Requests and replies as text over connections, enough for toy protocols: a server that answers one request of a
// connection after the other, a client with one request under way.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>

#include "libcommon/runtime/scope.hpp"
#include "libcommon/testing/sim_env.hpp"

namespace ff::sim {

using runtime::Duration;
using runtime::Scope;
using runtime::Task;
using testing::NodeId;
using testing::SimEnv;
using testing::SimWorld;
using namespace std::chrono_literals;

inline constexpr std::uint16_t kPort = 7;

// What a connection received.
class Inbox final : public net::ConnectionHandler {
 public:
  void on_message(net::Connection& connection, std::span<const std::byte> message) override;
  void on_closed(net::Connection& connection, const Error& why) override;
  runtime::Channel<std::string> messages{64};
};

Result<> send_text(net::Connection& connection, const std::string& text);

// Answers requests; a reply that is an error closes the connection.
class Service {
 public:
  virtual Task<Result<std::string>> answer(std::string request) = 0;

 protected:
  ~Service() = default;
};
Task<Result<>> serve(SimEnv& env, Service& service);

// Lives until its process exits: its connections report to it as long as they live.
class Client {
 public:
  Client(SimEnv& env, NodeId server) noexcept : env_(env), server_(server) {}
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client();
  // Connects where needed. An error says nothing about whether the request was carried out.
  Task<Result<std::string>> call(std::string request, Duration timeout = 200ms);

 private:
  Task<Result<std::string>> try_call(std::string request);
  SimEnv& env_;
  NodeId server_;
  std::list<Inbox> inboxes_;  // of all connections so far: they must outlive on_closed()
  std::shared_ptr<net::Connection> connection_;
};

// "put 5" → "put", 5, nothing.
struct Words {
  std::string verb;
  std::int64_t a = 0, b = 0;
};
Words split(const std::string& text);

}  // namespace ff::sim
