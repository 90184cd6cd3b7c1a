#include "ffbench/net/serve.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <thread>

#include "ffbench/net/agent.hpp"
#include "ffbench/net/endpoint.hpp"
#include "libcommon/base/defer.hpp"
#include "libcommon/net/socket.hpp"
#include "libcommon/rpc/server.hpp"

namespace ff::bench {
namespace {

using namespace std::chrono_literals;
using runtime::RealEnv;
using runtime::Task;

std::atomic<RealEnv*> stopped_by_signal = nullptr;

extern "C" void stop_serving(int) {
  if (RealEnv* env = stopped_by_signal.load()) env->stop();
}

// A line of at most 128 bytes, within 30 s: the controller writes it at once.
Result<std::string> read_key_line() {
  const Deadline deadline = Deadline::after(30s);
  std::string line;
  while (!line.ends_with('\n')) {
    pollfd waiting{STDIN_FILENO, POLLIN, 0};
    const int ready = ::poll(&waiting, 1, deadline.poll_timeout_ms(60'000));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return fail(Errc::kTimeout, "standard input: no key came in 30 s");
    char c = 0;
    const ssize_t n = ::read(STDIN_FILENO, &c, 1);
    if (n <= 0) return fail(Errc::kUnavailable, "standard input: ended before the key (is the controller gone?)");
    line.push_back(c);
    if (line.size() > 128) return fail(Errc::kInvalidArgument, "standard input: no key");
  }
  return line;
}

// Stops the Env when standard input ends.
std::jthread watch_standard_input(RealEnv& env) {
  return std::jthread([&env](std::stop_token stop) {
    while (!stop.stop_requested()) {
      pollfd waiting{STDIN_FILENO, POLLIN, 0};
      const int ready = ::poll(&waiting, 1, 100);
      if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
      char block[256];
      if (ready > 0 && ::read(STDIN_FILENO, block, sizeof block) > 0) continue;
      return env.stop();
    }
  });
}

Result<> say_ready(const ServeOptions& options, const net::Address& at) {
  if (!options.stdio) {
    fmt::print("listening on {}\n", at.text());
  } else {
    std::string addresses;
    for (const std::string& address : net::interface_addresses()) addresses += (addresses.empty() ? "" : ",") + address;
    fmt::print("{} {} {} {}\n", kReadyWord, kReadyVersion, at.port, addresses.empty() ? "-" : addresses);
  }
  if (std::fflush(stdout) != 0) return fail(errno_error("standard output"));
  return {};
}

Task<Result<>> serve(RealEnv& env, const ServeOptions& options, SharedKey key, net::Address at) {
  const TrafficHost host = real_traffic_host(env, std::move(key));
  Agent agent(env, host);
  rpc::Server server(env);
  Result<> result = server.add(agent);
  Result<net::Address> bound = at;
  if (result) bound = co_await server.listen(std::move(at));
  if (result && !bound) result = std::unexpected(bound.error());
  if (result && !options.control.empty()) {
    auto control = net::parse_address(options.control);
    if (control) control = co_await server.listen(*control);
    if (!control) result = std::unexpected(control.error());
  }
  if (result) result = say_ready(options, *bound);
  while (result && !(options.once && agent.was_used() && server.connections() == 0))
    if (!co_await runtime::sleep(options.once ? 50ms : 1h)) break;
  co_await server.stop(0s);
  co_await agent.stop();
  co_await env.network().stop();
  co_return result;
}

}  // namespace

Result<int> serve_net(const ServeOptions& options) {
  SharedKey key;
  if (options.stdio) {
    FF_TRY_ASSIGN(const std::string line, read_key_line());
    FF_TRY_ASSIGN(key, parse_key_line(line));
  } else {
    FF_TRY_ASSIGN(key, load_key(options.key_file, options.insecure));
  }
  net::Address at = net::Address::tcp("", options.stdio ? 0 : kNetPort);
  if (!options.listen.empty()) {
    FF_TRY_ASSIGN(at, net::parse_address(options.listen));
  }
  FF_TRY_ASSIGN(const std::unique_ptr<RealEnv> env, RealEnv::create({}));
  FF_TRY_ASSIGN(auto network, net::make_tcp_network(*env, net_options("net-agent", key)));
  env->attach_network(std::move(network));
  stopped_by_signal = env.get();
  const Defer no_more([] { stopped_by_signal = nullptr; });
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action{};
    action.sa_handler = stop_serving;
    ::sigaction(number, &action, nullptr);
  }
  std::jthread watcher;
  if (options.stdio) watcher = watch_standard_input(*env);
  const Result<> served = env->run(serve(*env, options, std::move(key), std::move(at)));
  if (!served) return std::unexpected(served.error());
  return 0;
}

}  // namespace ff::bench
