#include "ffctl/master/ffctld.hpp"

#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "ffctl/master/master.hpp"
#include "ffctl/master/pages.hpp"
#include "libcommon/kv/etcd_store.hpp"
#include "libcommon/kv/rocksdb_store.hpp"
#include "libcommon/log/log.hpp"
#include "libcommon/net/tcp_network.hpp"
#include "libcommon/rpc/server.hpp"
#include "libcommon/runtime/real_env.hpp"
#include "libcommon/runtime/stop_signal.hpp"

namespace ff::ctl {

using namespace std::chrono_literals;
using runtime::Task;

namespace {

constexpr runtime::Duration kDrain = 2s;
// Submissions of many jobs at once.
constexpr std::size_t kRequestBytesMax = 4u << 20;

struct Options {
  std::string store, listen, socket, key, metrics, name;
  std::string policy = "slice";
  cli::Duration failure_timeout = 60s, launch_timeout = 60s, min_run = 15min, keep_age = 168h;
  std::int64_t keep_jobs = 20'000, keep_events = 50'000;
};

struct Store {
  bool etcd = false;
  std::string folder;
  std::vector<std::string> endpoints;
};

Result<Store> parse_store(const std::string& text) {
  Store store;
  const std::size_t colon = text.find(':');
  const std::string engine = text.substr(0, colon), rest = colon == std::string::npos ? "" : text.substr(colon + 1);
  if (engine == "rocksdb" && !rest.empty()) {
    store.folder = rest;
    return store;
  }
  if (engine == "etcd" && !rest.empty()) {
    store.etcd = true;
    for (std::size_t at = 0; at <= rest.size();) {
      const std::size_t comma = std::min(rest.find(',', at), rest.size());
      store.endpoints.push_back(rest.substr(at, comma - at));
      at = comma + 1;
    }
    return store;
  }
  return fail(Errc::kInvalidArgument,
              fmt::format("--store: {}: is neither rocksdb:FOLDER nor etcd:HOST:PORT[,HOST:PORT...]", text));
}

Task<Result<std::unique_ptr<kv::KvStore>>> open_store(runtime::Env& env, Store store) {
  if (store.etcd) co_return co_await kv::open_etcd_store(env, {.endpoints = store.endpoints, .prefix = "ff.ctl"});
  co_return co_await kv::open_rocksdb_store(env, {.path = store.folder, .create = true});
}

// Nodes prove that they hold the cluster key; root and our own user may do without.
Result<> only_agents(const net::PeerIdentity& peer) {
  if (peer.authenticated) return {};
  if (peer.local && (peer.local->uid == 0 || peer.local->uid == ::geteuid())) return {};
  return fail(Errc::kPermission, "reports: only those who hold the cluster key send them");
}

struct Daemon {
  Daemon(runtime::RealEnv& e, const Options& o) : env(e), options(o), registry({.shards = 1}) {}

  Task<Result<>> start() {
    FF_CO_TRY_ASSIGN(const Store place, parse_store(options.store));
    FF_CO_TRY_ASSIGN(store, co_await open_store(env, place));
    FF_CO_TRY_ASSIGN(Scheduling scheduling, Scheduling::create(options.policy, ms(options.min_run)));
    rpc::ServerOptions server_options;
    server_options.request_bytes_max = kRequestBytesMax;
    server_options.registry = &registry;
    server = std::make_unique<rpc::Server>(env, server_options);
    MasterOptions master_options;
    master_options.engine.failure_timeout_ms = ms(options.failure_timeout);
    master_options.engine.launch_timeout_ms = ms(options.launch_timeout);
    master_options.engine.done_jobs_max = static_cast<std::size_t>(options.keep_jobs);
    master_options.engine.done_age_ms = ms(options.keep_age);
    master_options.engine.events_max = static_cast<std::size_t>(options.keep_events);
    master_options.uid = ::geteuid();
    std::string where;
    // Where it is reached is known before it leads: others are told.
    FF_CO_TRY(co_await bind(master_options, where));
    master = std::make_unique<Master>(env, *store, std::move(scheduling), master_options);
    FF_CO_TRY(server->add(*master));
    FF_CO_TRY(server->add(master->reports(), only_agents));
    for (auto& listener : listeners) server->serve(std::move(listener));
    listeners.clear();
    pages = std::make_unique<MasterPages>(env, registry, *master, *server);
    if (!options.metrics.empty()) {
      FF_CO_TRY_ASSIGN(const net::Address at, net::parse_address(options.metrics));
      if (const auto served = pages->start(at); !served)
        log::warn("--metrics: {}, ignoring", served.error().message());
      else
        where += fmt::format(", pages at http://{}/", *served);
    }
    master->start();
    fmt::print(stderr, "ffctld: {} serves at {}\n", master_options.name, where);
    co_return {};
  }

  Task<Result<>> bind(MasterOptions& master_options, std::string& where) {
    if (!options.listen.empty()) {
      FF_CO_TRY_ASSIGN(const net::Address at, net::parse_address(options.listen));
      if (at.is_unix())
        co_return fail(Errc::kInvalidArgument, "--listen: is not HOST:PORT (for Unix sockets: --socket)");
      FF_CO_TRY_ASSIGN(auto listener, co_await env.network().listen(at));
      where = listener->address().text();
      master_options.name = where;
      listeners.push_back(std::move(listener));
    }
    if (!options.socket.empty()) {
      const std::string path = std::filesystem::absolute(options.socket).string();
      FF_CO_TRY_ASSIGN(auto listener, co_await env.network().listen(net::Address::unix_path(path)));
      // Who connects is asked of the kernel: everybody may.
      if (::chmod(path.c_str(), 0666) != 0) co_return fail(errno_error(path));
      if (master_options.name.empty()) master_options.name = listener->address().text();
      where += (where.empty() ? "" : " and ") + listener->address().text();
      listeners.push_back(std::move(listener));
    }
    if (!options.name.empty()) master_options.name = options.name;
    co_return {};
  }

  Task<void> stop_all() {
    if (pages) co_await pages->stop();
    if (master) co_await master->stop();
    if (server) co_await server->stop(kDrain);
    listeners.clear();
    if (store) co_await store->stop();
  }
  // Under a context of its own: ours is cancelled.
  Task<void> stop() {
    runtime::Scope scope(env);
    scope.spawn(stop_all());
    (void)co_await scope.join();
  }

  static std::uint64_t ms(cli::Duration time) { return static_cast<std::uint64_t>(time / 1ms); }

  runtime::RealEnv& env;
  const Options& options;
  metrics::Registry registry;
  std::unique_ptr<kv::KvStore> store;
  std::vector<std::unique_ptr<net::Listener>> listeners;
  std::unique_ptr<Master> master;
  std::unique_ptr<rpc::Server> server;
  std::unique_ptr<MasterPages> pages;
};

Task<Result<>> serve(runtime::RealEnv& env, const Options& options) {
  Result<> result;
  {
    Daemon daemon(env, options);
    result = co_await daemon.start();
    if (result) {
      runtime::Event forever;
      (void)co_await forever.wait();
    }
    co_await daemon.stop();
  }
  co_await env.network().stop();
  co_return result;
}

Result<int> run(const Options& options) {
  if (options.listen.empty() && options.socket.empty())
    return fail(Errc::kInvalidArgument, "--listen, --socket: give one of them at least");
  FF_TRY(parse_store(options.store));
  FF_TRY_ASSIGN(net::ClusterKey key, net::ClusterKey::load(options.key));
  FF_TRY_ASSIGN(auto env, runtime::RealEnv::create({}));
  net::TcpOptions tcp;
  tcp.endpoint.identity = {.role = "ffctld", .node_id = 0, .instance_id = env->rng().next()};
  tcp.endpoint.key = std::make_shared<const net::ClusterKey>(std::move(key));
  tcp.trusted_uids = {net::kAnyUser};
  FF_TRY_ASSIGN(auto network, net::make_tcp_network(*env, std::move(tcp)));
  env->attach_network(std::move(network));
  if (!env->fallback_reason().empty()) log::warn("{}, ignoring", env->fallback_reason());
  const runtime::StopOnSignals signals(*env);
  const Result<> served = env->run(serve(*env, options));
  // Asked to stop: that is how it ends.
  if (signals.caught() != 0) return 0;
  if (!served) return fail(served.error());
  return 0;
}

}  // namespace

cli::App ffctld_app() {
  const auto options = std::make_shared<Options>();
  Options& o = *options;
  cli::App app;
  app.root.name = "ffctld";
  app.root.summary = "Keep the state of a cluster and schedule its jobs";
  app.root.description =
      "Runs in the foreground until SIGTERM or Ctrl-C. Several over one etcd: one leads, the others refuse and name "
      "it; "
      "when it is gone another takes over within seconds, and what runs is not touched.";
  app.root.options = {
      {.names = "--store",
       .target = &o.store,
       .help = "where the state is kept: rocksdb:FOLDER (made if it is not there) or etcd:HOST:PORT[,HOST:PORT...]",
       .value_name = "STORE",
       .required = true,
       .environment = "FF_CTL_STORE"},
      {.names = "--listen",
       .target = &o.listen,
       .help = "where agents, and people with the cluster key, reach it; port 0: a free one",
       .value_name = "HOST:PORT"},
      {.names = "--socket",
       .target = &o.socket,
       .help = "Unix socket for people on this machine, who need no key",
       .value_name = "PATH",
       .complete = "file"},
      {.names = "--key",
       .target = &o.key,
       .help = "cluster key, as ffs key makes it",
       .value_name = "FILE",
       .required = true,
       .environment = "FF_KEY",
       .complete = "file"},
      {.names = "--name",
       .target = &o.name,
       .help = "what others say when they are asked who leads; empty: where it listens"},
      {.names = "--metrics",
       .target = &o.metrics,
       .help = "address of the pages /metrics, /healthz and /debug/requests; empty: none",
       .value_name = "IP:PORT"},
      {.names = "--policy", .target = &o.policy, .help = "how jobs are ordered", .choices = {"slice", "easy", "fifo"}},
      {.names = "--min-run",
       .target = &o.min_run,
       .help = "time that a job runs before it may be preempted",
       .min = 0,
       .max = 86400 * 30},
      {.names = "--failure-timeout",
       .target = &o.failure_timeout,
       .help = "silence after which a node is lost; after two thirds of it the node ends its ranks by itself",
       .min = 1,
       .max = 3600},
      {.names = "--launch-timeout",
       .target = &o.launch_timeout,
       .help = "time that nodes have to start the ranks of a job",
       .min = 1,
       .max = 3600},
      {.names = "--keep-jobs",
       .target = &o.keep_jobs,
       .help = "jobs that are done are kept up to this number",
       .value_name = "N",
       .min = 0,
       .max = 1'000'000},
      {.names = "--keep-events",
       .target = &o.keep_events,
       .help = "events are kept up to this number",
       .value_name = "N",
       .min = 100,
       .max = 10'000'000},
      {.names = "--keep-age",
       .target = &o.keep_age,
       .help = "and both up to this age",
       .min = 60,
       .max = 86400.0 * 3650}};
  app.root.examples = {
      {"ffctld --store rocksdb:/var/lib/ffctl --key /etc/ff.key --listen 10.0.0.1:9700 --socket /run/ffctl.sock",
       "the one ffctld of a cluster"},
      {"ffctld --store etcd:a:2379,b:2379,c:2379 --key /etc/ff.key --listen 10.0.0.2:9700", "one of several"}};
  app.root.exit_codes = {{0, "asked to stop"}};
  app.root.run = [options]() -> Result<int> { return run(*options); };
  return app;
}

}  // namespace ff::ctl
