// A server that gets arbitrary messages on one connection: it never crashes, answers no more messages than it got, each
// within bounds, and still serves another client afterwards. Input: messages, each behind its length in two bytes.
#include <cstdint>
#include <cstring>
#include <vector>

#include "libcommon/base/assert.hpp"
#include "libcommon/rpc/server.hpp"
#include "libcommon/rpc/service.hpp"
#include "libcommon/rpc/wire.hpp"
#include "tests/support/loopback_network.hpp"
#include "tests/support/virtual_env.hpp"

namespace {

using namespace ff;
using namespace std::chrono_literals;

// Takes any bytes, moves the bulk it may, and answers with one of each kind of ending.
class Any final : public rpc::Service {
 public:
  std::string_view service_name() const noexcept override { return "ff.fuzz.Any"; }
  std::span<const rpc::Method> service_methods() const noexcept override;
};

runtime::Task<void> answer(rpc::ServerCallPtr call, std::size_t bytes) {
  std::vector<std::byte> bulk(std::min<std::uint64_t>(call->bulk_send_bytes(), 100'000));
  auto pulled = co_await call->pull_bulk(bulk).under(call->context());
  bulk.resize(std::min<std::uint64_t>(call->bulk_receive_bytes(), 100'000));
  if (pulled) pulled = co_await call->push_bulk(bulk).under(call->context());
  if (bytes % 3 == 0) (void)co_await runtime::sleep(1ms);
  call->fail(pulled ? Error(bytes % 2 == 0 ? Errc::kNotFound : Errc::kUnavailable, std::string(bytes, 'e'))
                    : pulled.error());
  if (call->flushing()) co_await call->flush();
}

std::optional<runtime::Task<void>> start(rpc::Service&, rpc::ServerCallPtr& call, std::span<const std::byte> payload) {
  if (payload.size() > 64) return std::nullopt;
  return answer(std::move(call), payload.size());
}

constexpr rpc::Method kMethods[] = {{{"ff.fuzz.Any", "Call", 0x01010101, rpc::Idempotency::kUnknown}, &start}};
std::span<const rpc::Method> Any::service_methods() const noexcept { return kMethods; }

struct Raw final : net::ConnectionHandler {
  std::size_t answers = 0;
  bool closed = false;
  void on_message(net::Connection&, std::span<const std::byte> message) override {
    const auto type = rpc::decode_type(message);
    FF_ASSERT(type);
    FF_ASSERT(message.size() <= rpc::kPrefixBytes + 8 + rpc::kErrorTextBytesMax, message.size());
    if (*type == rpc::Type::kError) FF_ASSERT(rpc::decode_error(message));
    if (*type != rpc::Type::kError) FF_ASSERT(rpc::decode_control(message));
    answers += *type == rpc::Type::kError;
  }
  void on_closed(net::Connection&, const Error&) override { closed = true; }
};

runtime::Task<int> attack(tests::VirtualEnv* env, tests::LoopbackNetwork* network, std::span<const std::byte> input) {
  Any service;
  rpc::Server server(*env, {.admission = {.requests = 64, .connection_requests = 16}});
  FF_ASSERT(server.add(service));
  const auto at = net::Address::tcp("a", 1);
  FF_ASSERT(co_await server.listen(at));
  Raw raw, polite;
  auto connection = co_await network->connect({{at}}, {});
  (*connection)->start(raw);
  std::size_t sent = 0;
  while (input.size() >= 2) {
    const std::size_t wanted = std::to_integer<std::size_t>(input[0]) + 256 * std::to_integer<std::size_t>(input[1]);
    const auto bytes = input.subspan(2, std::min(wanted, input.size() - 2));
    input = input.subspan(2 + bytes.size());
    net::Message message(bytes.size());
    if (!bytes.empty()) std::memcpy(message.payload().data(), bytes.data(), bytes.size());
    if (!(*connection)->send(std::move(message))) break;
    ++sent;
  }
  (void)co_await runtime::sleep(5ms);
  FF_ASSERT(raw.answers <= sent, raw.answers, sent);

  auto other = co_await network->connect({{at}}, {});
  (*other)->start(polite);
  FF_ASSERT((*other)->send(rpc::encode_request({.id = 1, .method = 0x01010101, .timeout_us = 1000}, {}, 0).message));
  (void)co_await runtime::sleep(5ms);
  FF_ASSERT(polite.answers == 1, polite.answers);
  (*other)->close(Error(Errc::kCancelled, "done"));
  (*connection)->close(Error(Errc::kCancelled, "done"));
  co_await server.stop(1s);
  co_await network->stop();
  FF_ASSERT(server.in_flight() == 0);
  co_return 0;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tests::VirtualEnv env;
  tests::LoopbackNetwork network(env);
  env.attach(network);
  return env.run(attack(&env, &network, {reinterpret_cast<const std::byte*>(data), size}));
}
