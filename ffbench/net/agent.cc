#include "ffbench/net/agent.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "ffbench/net/ff_traffic.hpp"
#include "ffbench/net/incast.hpp"

namespace ff::bench {

using namespace std::chrono_literals;
using runtime::Task;

namespace {
constexpr std::size_t kPieceBytes = std::size_t{4} << 20;  // as much as one grant allows
}

struct Agent::Open {
  std::string token;
  NetTest test;
  std::unique_ptr<Traffic> traffic;
  runtime::Time used{};
  bool busy = false;  // a call works on it
  bool closing = false;
  bool bound = false;  // this process runs on the test's processors
  runtime::WaitQueue idle;
  runtime::Event closed;

  // Marks a call's work.
  class Work {
   public:
    Work(Open& test, const runtime::Env& env) : test_(test), env_(env) { test_.busy = true; }
    Work(const Work&) = delete;
    Work& operator=(const Work&) = delete;
    ~Work() {
      test_.busy = false;
      test_.used = env_.now();
      test_.idle.wake_all();
    }

   private:
    Open& test_;
    const runtime::Env& env_;
  };
};

Agent::Agent(runtime::Env& env, const TrafficHost& host) : env_(env), host_(host), scope_(env) {
  scope_.spawn(sweep());
}

Task<void> Agent::stop() {
  std::vector<std::string> tokens;
  for (const auto& [token, test] : tests_) tokens.push_back(token);
  for (const std::string& token : tokens) begin_closing(token);
  while (!tests_.empty())
    if (!co_await runtime::sleep(1ms)) co_await runtime::yield();
  scope_.cancel();
  (void)co_await scope_.join();
}

Task<void> Agent::sweep() {
  while (co_await runtime::sleep(kTestIdleMax / 4)) {
    std::vector<std::string> idle;
    for (const auto& [token, test] : tests_)
      if (!test->busy && env_.now() - test->used > kTestIdleMax) idle.push_back(token);
    for (const std::string& token : idle) begin_closing(token);
  }
}

Task<Result<NetHost>> Agent::describe(Method&, const NetNothing&) {
  used_ = true;
  NetHost host;
  host.set_name(host_.name);
  host.set_pid(host_.pid);
  host.set_version(host_.version);
  co_return host;
}

Result<std::unique_ptr<Traffic>> Agent::make_traffic(const NetTest& test) const {
  if (test.transport() == NET_FF) {
    FF_TRY_ASSIGN(TrafficHost::FfNetwork network, host_.ff_network(test));
    return make_ff_traffic(env_, test, host_, std::move(network));
  }
  if (!host_.socket_traffic) return fail(Errc::kUnsupported, "test: no kernel sockets here (use --transport ff)");
  return host_.socket_traffic(env_, test, host_);
}

Result<> Agent::bind(const NetTest& test) const {
  if (test.processors().empty()) return {};
  if (!host_.bind) return fail(Errc::kUnsupported, "test: processors cannot be chosen here");
  return host_.bind({test.processors().begin(), test.processors().end()});
}

Task<Result<NetOpened>> Agent::open(Method&, const NetTest& request) {
  FF_CO_TRY(check_test(request));
  if (tests_.contains(request.token())) co_return fail(Errc::kAlreadyExists, "test: its token is in use");
  if (tests_.size() >= kTestsMax)
    co_return fail(Errc::kExhausted, fmt::format("{} tests run here already (try again later)", tests_.size()));
  FF_CO_TRY_ASSIGN(auto traffic, make_traffic(request));
  auto test = std::make_shared<Open>();
  test->token = request.token();
  test->test = request;
  test->traffic = std::move(traffic);
  tests_.emplace(request.token(), test);
  const Open::Work work(*test, env_);
  Result<> bound = bind(request);
  test->bound = bound && !request.processors().empty();
  Result<NetOpened> opened = bound ? co_await test->traffic->open() : Result<NetOpened>(std::unexpected(bound.error()));
  if (!opened) begin_closing(request.token());
  co_return opened;
}

Result<std::shared_ptr<Agent::Open>> Agent::find(const std::string& token, bool for_work) {
  const auto found = tests_.find(token);
  if (found == tests_.end() || (for_work && found->second->closing))
    return fail(Errc::kNotFound, "test: none with this token (it has ended)");
  if (for_work && found->second->busy) return fail(Errc::kInvalidArgument, "test: another call works on it");
  return found->second;
}

Task<Result<NetNothing>> Agent::connect(Method&, const NetPeers& request) {
  FF_CO_TRY_ASSIGN(const std::shared_ptr<Open> test, find(request.token(), true));
  const Open::Work work(*test, env_);
  FF_CO_TRY(co_await test->traffic->connect(request));
  co_return NetNothing();
}

Task<Result<NetOutcome>> Agent::run(Method&, const NetSchedule& request) {
  FF_CO_TRY_ASSIGN(const std::shared_ptr<Open> test, find(request.token(), true));
  FF_CO_TRY(check_schedule(test->test, request));
  const Open::Work work(*test, env_);
  co_return co_await test->traffic->run(request);
}

Task<Result<NetNothing>> Agent::close(Method&, const NetToken& request) {
  if (const auto test = find(request.token(), false)) {
    begin_closing(request.token());
    FF_CO_TRY(co_await (*test)->closed.wait());
  }
  co_return NetNothing();
}

void Agent::begin_closing(const std::string& token) {
  const auto found = tests_.find(token);
  if (found == tests_.end() || found->second->closing) return;
  found->second->closing = true;
  scope_.spawn(take_down(found->second));
}

Task<void> Agent::take_down(std::shared_ptr<Open> test) {
  while (test->busy) {
    test->traffic->abort();
    if (!co_await test->idle.wait()) co_await runtime::yield();
  }
  co_await test->traffic->close();
  if (test->bound) (void)host_.bind({});
  tests_.erase(test->token);
  test->closed.set();
}

Task<Result<NetPiece>> Agent::fetch(Method& call, const NetPiece& request) {
  if (request.bytes() > kPieceBytesMax)
    co_return fail(Errc::kInvalidArgument,
                   fmt::format("fetch: {} bytes (at most {})", request.bytes(), kPieceBytesMax));
  // The same bytes again and again: they are read by pushes under way, so they may never move.
  if (piece_.empty()) piece_.resize(kPieceBytes, std::byte{0x5a});
  for (std::uint64_t offset = 0; offset < request.bytes(); offset += piece_.size()) {
    const std::uint64_t bytes = std::min<std::uint64_t>(piece_.size(), request.bytes() - offset);
    FF_CO_TRY(co_await call.push_bulk(std::span(piece_).first(bytes), offset));
  }
  co_return request;
}

Task<Result<NetIncastOutcome>> Agent::receive_incast(Method&, const NetIncast& request) {
  FF_CO_TRY(check_incast(request));
  if (incasts_ >= 4) co_return fail(Errc::kExhausted, "incast: four run here already (try again later)");
  ++incasts_;
  Result<NetIncastOutcome> outcome = co_await run_incast(env_, request, host_);
  --incasts_;
  co_return outcome;
}

}  // namespace ff::bench
