// What the tests of libcommon/rpc share: the Trial service, and a world of one Env, one network, servers and clients.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "libcommon/rpc/client.hpp"
#include "libcommon/rpc/server.hpp"
#include "tests/support/loopback_network.hpp"
#include "tests/support/virtual_env.hpp"
#include "tests/unit/libcommon/rpc/trial.ff.hpp"

namespace ff::rpc::tests {

using namespace std::chrono_literals;
using ff::trial::Nothing;
using ff::trial::TrialClient;
using ff::trial::TrialService;
using ff::trial::Words;
using runtime::Task;

class Trial final : public TrialService {
 public:
  std::uint64_t sum = 0;
  int adds = 0, puts = 0, lingers = 0, cancelled = 0;
  std::string why;                  // of the last Linger that was cancelled
  std::uint64_t trace = 0;          // of the last call
  runtime::Duration left{};         // until the deadline of the last call
  runtime::Duration add_time{};     // before Add adds
  std::optional<Error> add_error;   // instead of an answer, after it has added
  runtime::Duration retry_after{};  // with the error of Fail
  TrialClient* next = nullptr;      // of Relay
  bool saw_state = false;
  std::vector<std::byte> push_from;  // pushed by Turn instead of what it pulled
  net::PeerIdentity peer;

  Task<Result<Words>> echo(ServerCall& call, const Words& request) override {
    note(call);
    co_return request;
  }
  Task<Result<Words>> add(ServerCall&, const Words& request) override {
    ++adds;
    if (add_time > 0s) FF_CO_TRY(co_await runtime::sleep(add_time));
    sum += request.number();
    if (add_error) co_return fail(*add_error);
    Words reply;
    reply.set_number(sum);
    co_return reply;
  }
  Task<Result<Nothing>> put_http_value(ServerCall&, const Words& request) override {
    ++puts;
    if (add_time > 0s) FF_CO_TRY(co_await runtime::sleep(add_time));
    sum = request.number();
    co_return Nothing();
  }
  Task<Result<Nothing>> fail(ServerCall& call, const Words& request) override {
    ++puts;
    call.set_retry_after(retry_after);
    co_return ff::fail(static_cast<Errc>(request.number()), request.text());
  }
  Task<Result<Words>> linger(ServerCall& call, const Words& request) override {
    note(call);
    ++lingers;
    const auto time = request.number() == 0 ? runtime::Duration(1h) : std::chrono::milliseconds(request.number());
    if (Result<> slept = co_await runtime::sleep(time); !slept) {
      ++cancelled;
      why = std::string(errc_name(slept.error().code())) + ": " + slept.error().message();
      co_return ff::fail(slept.error());
    }
    co_return request;
  }
  Task<Result<Words>> turn(ServerCall& call, const Words& request) override {
    note(call);
    std::vector<std::byte> bytes(call.bulk_send_bytes());
    FF_CO_TRY(co_await call.pull_bulk(bytes));
    for (std::byte& byte : bytes) byte = std::byte(static_cast<unsigned>(byte) + 1);
    if (!push_from.empty()) bytes = push_from;
    FF_CO_TRY(co_await call.push_bulk(bytes, request.number()));
    Words reply;
    reply.set_number(bytes.size());
    co_return reply;
  }
  Task<Result<Words>> relay(ServerCall& call, const Words& request) override {
    note(call);
    co_return co_await next->linger(request);
  }

 private:
  static std::unexpected<Error> fail(const Error& error) { return ff::fail(error); }
  void note(ServerCall& call) {
    trace = call.trace();
    left = call.deadline() - call.context().env().now();
    peer = call.peer();
  }
};

// One server "alpha" at port 1 with a Trial service.
struct World {
  ff::tests::VirtualEnv env;
  ff::tests::LoopbackNetwork network{env};
  Trial trial;
  std::unique_ptr<Server> server;
  std::unique_ptr<Client> client;
  ClientOptions client_options;

  static net::Address address(std::uint16_t port = 1) { return net::Address::tcp("10.0.0.1", port); }
  static net::PeerAddress peer(std::uint16_t port = 1) { return {{address(port)}}; }

  World() { env.attach(network); }

  Task<Result<>> start(ServerOptions options = {}, Authorize authorize = {}) {
    server = std::make_unique<Server>(env, options);
    FF_CO_TRY(server->add(trial, std::move(authorize)));
    FF_CO_TRY(co_await server->listen(address()));
    client = std::make_unique<Client>(env, peer(), client_options);
    co_return {};
  }
  Task<void> stop() {
    if (client != nullptr) co_await client->stop();
    if (server != nullptr) co_await server->stop(1s);
    co_await network.stop();
  }
  // Runs body(world) with the server started, and stops everything.
  template <class F>
  void run(F body, ServerOptions options = {}, Authorize authorize = {}) {
    env.run(with_world(*this, std::move(body), options, std::move(authorize)));
  }

 private:
  template <class F>
  static Task<int> with_world(World& world, F body, ServerOptions options, Authorize authorize) {
    const Result<> started = co_await world.start(options, std::move(authorize));
    EXPECT_TRUE(started) << (started ? "" : started.error().message());
    co_await body(world);
    co_await world.stop();
    co_return 0;
  }
};

inline Words words(std::uint64_t number, std::string text = {}) {
  Words out;
  out.set_number(number);
  out.set_text(std::move(text));
  return out;
}

}  // namespace ff::rpc::tests
