// Our remote calls under load: small ones, bulk, and many idle connections. Options and reports are those of the peers'
// programs in peers/, so that tests/bench/rpc can compare. One reactor on each side.
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <future>
#include <thread>

#include "libcommon/base/aligned_buffer.hpp"
#include "libcommon/cli/app.hpp"
#include "libcommon/net/tcp_network.hpp"
#include "libcommon/rpc/client.hpp"
#include "libcommon/rpc/server.hpp"
#include "tests/bench/load.hpp"
#include "tests/bench/rpc_bench.ff.hpp"

namespace ff::bench {
namespace {

using namespace std::chrono_literals;
using runtime::Task;

struct Settings {
  LoadOptions load;
  std::int64_t listen_port = 0;
  std::int64_t bulk_bytes = 1 << 20;
  bool checksum = false;
  bool idle = false;
};

// As many descriptors as the system allows.
void raise_descriptor_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

Result<std::unique_ptr<runtime::RealEnv>> make_env(const std::string& role, bool checksum) {
  raise_descriptor_limit();
  FF_TRY_ASSIGN(auto env, runtime::RealEnv::create({}));
  net::TcpOptions options;
  options.endpoint.identity.role = role;
  options.endpoint.identity.instance_id = env->rng().next() | 1;
  options.endpoint.insecure = true;
  options.bulk_checksum = checksum;
  FF_TRY_ASSIGN(auto network, net::make_tcp_network(*env, options));
  env->attach_network(std::move(network));
  return env;
}

net::Address local(std::int64_t port) { return net::Address::tcp("127.0.0.1", static_cast<std::uint16_t>(port)); }

class Bench final : public ours::BenchService {
 public:
  Task<Result<ours::EchoMessage>> echo(rpc::ServerCall&, const ours::EchoMessage& request) override {
    co_return request;
  }
  Task<Result<ours::Taken>> take(rpc::ServerCall& call, const ours::Taken&) override {
    if (memory_.size() < call.bulk_send_bytes()) {
      // Before the first transfer of a run: nothing is under way into the smaller one then.
      memory_ = AlignedBuffer(call.bulk_send_bytes(), 4096);
    }
    FF_CO_TRY(co_await call.pull_bulk(memory_.span().first(call.bulk_send_bytes())));
    ours::Taken reply;
    reply.set_bytes(call.bulk_send_bytes());
    co_return reply;
  }

 private:
  AlignedBuffer memory_;  // of all calls, as stream_sender's: other memory would measure other caches
};

Task<Result<>> serve_until_stopped(runtime::Env& env, std::int64_t port, std::promise<Result<std::uint16_t>>& bound) {
  Bench bench;
  rpc::Server server(env);
  Result<> added = server.add(bench);
  auto at = co_await server.listen(local(port));
  if (!added || !at) {
    bound.set_value(std::unexpected(at ? added.error() : at.error()));
    co_return {};
  }
  bound.set_value(at->port);
  runtime::Event forever;
  (void)co_await forever.wait();
  co_await server.stop(1s);
  co_return {};
}

Result<int> serve(const Settings& settings) {
  block_termination();
  // Checksums are used where the client asks for them too.
  FF_TRY_ASSIGN(auto env, make_env("server", true));
  std::promise<Result<std::uint16_t>> bound;
  std::thread reactor([&] { (void)env->run(serve_until_stopped(*env, settings.listen_port, bound)); });
  FF_TRY_ASSIGN(const std::uint16_t port, bound.get_future().get());
  reactor.detach();
  report_when_terminated(port);
}

// ---- load ----

struct Load {
  const Settings& settings;
  runtime::Env& env;
  runtime::Time begins{};
  runtime::Time ends{};
  std::uint64_t next = 0;  // request of an open loop
  AlignedBuffer bulk{};    // what all transfers send
  LatencyHistogram latencies{};
  std::uint64_t bytes = 0;

  // When the next request is due, or nothing when the load is over.
  std::optional<runtime::Time> due() {
    const double rate = settings.load.rate;
    const runtime::Time at =
        rate > 0 ? begins + runtime::Duration(static_cast<std::int64_t>(static_cast<double>(next++) * 1e9 / rate))
                 : env.now();
    return at < ends ? std::optional(at) : std::nullopt;
  }
};

Task<Result<>> call_small(Load& load, rpc::Client& client) {
  ours::BenchClient bench(client);
  ours::EchoMessage request;
  request.set_payload(std::string(static_cast<std::size_t>(load.settings.load.bytes), 'x'));
  while (const auto due = load.due()) {
    if (*due > load.env.now()) FF_CO_TRY(co_await runtime::sleep_until(*due));
    FF_CO_TRY_ASSIGN(const ours::EchoMessage reply, co_await bench.echo(request));
    if (reply.payload().size() != request.payload().size())
      co_return fail(Errc::kCorrupt, "call: the answer has another size than the request");
    load.latencies.record(load.env.now() - *due);
  }
  co_return {};
}

Task<Result<>> call_bulk(Load& load, rpc::Client& client) {
  ours::BenchClient bench(client);
  const ours::Taken request;
  while (const auto due = load.due()) {
    FF_CO_TRY_ASSIGN(const ours::Taken reply, co_await bench.take(request, {.traffic = net::TrafficClass::kStorage,
                                                                            .bulk_send = load.bulk.span()}));
    load.bytes += reply.bytes();
    load.latencies.record(load.env.now() - *due);
  }
  co_return {};
}

using Caller = Task<Result<>> (*)(Load&, rpc::Client&);

Task<Result<>> run_load(Load& load, Caller caller) {
  const LoadOptions& options = load.settings.load;
  const net::PeerAddress peer{{local(options.port)}};
  std::vector<std::unique_ptr<rpc::Client>> clients;
  runtime::Scope scope(co_await runtime::current_context());
  for (std::int64_t i = 0; i < options.connections; ++i)
    clients.push_back(std::make_unique<rpc::Client>(load.env, peer));
  if (caller == &call_bulk) load.bulk = AlignedBuffer(static_cast<std::size_t>(load.settings.bulk_bytes), 4096);
  load.begins = load.env.now();
  load.ends = load.begins + runtime::Duration(static_cast<std::int64_t>(options.seconds * 1e9));
  for (std::int64_t i = 0; i < options.outstanding; ++i)
    for (const auto& client : clients) scope.spawn(caller(load, *client));
  Result<> result = co_await scope.join();
  for (const auto& client : clients) co_await client->stop();
  co_await load.env.network().stop();
  co_return result;
}

Result<int> run_client(const Settings& settings, Caller caller) {
  FF_TRY_ASSIGN(auto env, make_env("client", settings.checksum));
  Load load{.settings = settings, .env = *env};
  const double cpu_before = cpu_seconds();
  const auto start = Clock::now();
  FF_TRY(env->run(run_load(load, caller)));
  const double elapsed = std::chrono::duration<double>(Clock::now() - start).count();
  report::JsonWriter json;
  json.begin_object()
      .field("requests", load.latencies.count())
      .field("seconds", elapsed)
      .field("requests_per_second", static_cast<double>(load.latencies.count()) / elapsed)
      .field("cpu_seconds", cpu_seconds() - cpu_before);
  if (caller == &call_bulk) {
    const net::TcpStats stats = net::tcp_stats(env->network());
    json.field("bytes", load.bytes)
        .field("bytes_per_second", static_cast<double>(load.bytes) / elapsed)
        .field("bytes_moved", stats.bulk_bytes_moved)
        .field("bytes_copied", stats.bulk_bytes_copied);
  }
  write_latencies(json, load.latencies);
  json.end_object();
  FF_TRY(print_line(json.text()));
  return cli::kExitOk;
}

// ---- idle connections ----

struct Silent final : net::ConnectionHandler {
  void on_message(net::Connection&, std::span<const std::byte>) override {}
  void on_closed(net::Connection&, const Error&) override {}
};

Task<Result<>> connect_some(runtime::Env& env, net::PeerAddress peer, std::int64_t& left, Silent& handler,
                            std::vector<std::shared_ptr<net::Connection>>& connections) {
  while (left > 0) {
    --left;
    FF_CO_TRY_ASSIGN(auto connection, co_await env.network().connect(peer, {}));
    connection->start(handler);
    connections.push_back(std::move(connection));
  }
  co_return {};
}

Task<Result<>> hold(runtime::Env& env, const Settings& settings, std::promise<Result<>>& opened) {
  Silent handler;
  std::vector<std::shared_ptr<net::Connection>> connections;
  std::int64_t left = settings.load.connections;
  runtime::Scope scope(co_await runtime::current_context());
  for (int i = 0; i < 32; ++i)
    scope.spawn(connect_some(env, {{local(settings.load.port)}}, left, handler, connections));
  opened.set_value(co_await scope.join());
  runtime::Event forever;
  (void)co_await forever.wait();
  co_await env.network().stop();
  co_return {};
}

Result<int> run_idle(const Settings& settings) {
  block_termination();
  FF_TRY_ASSIGN(auto env, make_env("client", false));
  std::promise<Result<>> opened;
  std::thread reactor([&] { (void)env->run(hold(*env, settings, opened)); });
  const Result<> all = opened.get_future().get();
  reactor.detach();
  // Nothing of the process is worth ending in order: the thread still uses what is on this stack.
  const auto leave = [](int code) { ::_exit(code); };
  if (!all) {
    std::fprintf(stderr, "rpc_bench idle: %s\n", all.error().message().c_str());
    leave(cli::kExitFailed);
  }
  report::JsonWriter json;
  json.begin_object().field("connections", static_cast<std::uint64_t>(settings.load.connections)).end_object();
  if (!print_line(json.text())) leave(cli::kExitFailed);
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigaddset(&signals, SIGINT);
  int signal = 0;
  ::sigwait(&signals, &signal);
  report::JsonWriter end;
  end.begin_object().field("cpu_seconds", cpu_seconds()).end_object();
  leave(print_line(end.text()) ? cli::kExitOk : cli::kExitFailed);
  return cli::kExitOk;
}

}  // namespace
}  // namespace ff::bench

int main(int argc, char** argv) {
  using namespace ff;
  bench::Settings settings;
  cli::Command server{.name = "server", .summary = "Answer until SIGTERM, then print the processor time used"};
  server.options = {{.names = "--port",
                     .target = &settings.listen_port,
                     .help = "port on 127.0.0.1; 0: a free one",
                     .min = 0,
                     .max = 65535},
                    {.names = "--idle", .target = &settings.idle, .help = "for `idle`: nothing else changes"}};
  server.run = [&settings] { return bench::serve(settings); };
  cli::Command small{.name = "small", .summary = "Small calls"};
  small.options = settings.load.options();
  small.run = [&settings] { return bench::run_client(settings, &bench::call_small); };
  cli::Command bulk{.name = "bulk", .summary = "Bulk that the server takes"};
  for (cli::Option& option : settings.load.options())
    if (std::string_view(option.names) != "--bytes" && std::string_view(option.names) != "--rate")
      bulk.options.push_back(option);
  bulk.options.push_back(
      {.names = "--bytes", .target = &settings.bulk_bytes, .help = "size of a transfer", .min = 1, .max = 1 << 30});
  bulk.options.push_back({.names = "--checksum", .target = &settings.checksum, .help = "check the data end to end"});
  bulk.run = [&settings] { return bench::run_client(settings, &bench::call_bulk); };
  cli::Command client{.name = "client", .summary = "Load a server and print what it reached"};
  client.commands = {small, bulk};
  cli::Command idle{.name = "idle", .summary = "Hold connections that do nothing until SIGTERM"};
  idle.options = {
      {.names = "--port",
       .target = &settings.load.port,
       .help = "port of the server",
       .min = 1,
       .max = 65535,
       .required = true},
      {.names = "--connections", .target = &settings.load.connections, .help = "how many", .min = 1, .max = 1'000'000}};
  idle.run = [&settings] { return bench::run_idle(settings); };
  cli::Command root{.name = "rpc_bench", .summary = "Our remote calls under load"};
  root.commands = {server, client, idle};
  return cli::run({.root = root}, argc, argv);
}
