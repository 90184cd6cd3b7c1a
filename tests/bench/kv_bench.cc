// 'Create file' transactions (create_shape.hpp) on our KvStore: `clients` tasks on one reactor, each waiting for its
// commit before the next. Reports as peers/rocksdb_txn does.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "libcommon/cli/app.hpp"
#include "libcommon/kv/kv_store.hpp"
#include "libcommon/kv/rocksdb_store.hpp"
#include "libcommon/runtime/real_env.hpp"
#include "tests/bench/create_shape.hpp"
#include "tests/bench/load.hpp"
#if defined(FF_BENCH_ETCD)
#include <ranges>

#include "libcommon/kv/etcd_store.hpp"
#endif

namespace ff::bench {
namespace {

using kv::KvStore;
using kv::Outcome;
using runtime::RealEnv;
using runtime::Task;

struct Settings {
  std::string engine = "rocksdb";
  std::string path;
  std::string endpoints = "127.0.0.1:2379";
  std::int64_t clients = 1;
  double seconds = 5;
  double spin_us = 0;
  bool no_sync = false;
};

struct Load {
  KvStore& store;
  std::uint64_t run = 0;  // tells the keys of runs on one store apart
  Clock::time_point end;
  LatencyHistogram latencies;
  std::uint64_t conflicts = 0;
  std::uint64_t in_doubt = 0;
};

// False after a conflict, empty when the outcome is not known.
Task<Result<std::optional<bool>>> create(KvStore& store, const CreateShape& shape, const std::string& value) {
  const auto transaction = store.begin();
  FF_CO_TRY_ASSIGN(const auto parent, co_await transaction->get(shape.parent));
  FF_CO_TRY_ASSIGN(const auto entry, co_await transaction->get(shape.entry));
  if (!parent || entry) co_return fail(Errc::kInternal, "kv_bench: a key is not as the setup left it");
  transaction->set(shape.entry, value);
  transaction->set(shape.inode, value);
  transaction->set(shape.times, value);
  FF_CO_TRY_ASSIGN(const kv::Commit commit, co_await transaction->commit());
  if (commit.outcome == Outcome::kMaybeCommitted) co_return std::optional<bool>();
  co_return std::optional(commit.outcome == Outcome::kCommitted);
}

Task<Result<>> run_client(Load& load, std::int64_t client) {
  const std::string value = create_value(static_cast<std::uint64_t>(client));
  auto begun = Clock::now();
  for (std::uint64_t sequence = 0; begun < load.end; ++sequence) {
    FF_CO_TRY_ASSIGN(const auto committed, co_await create(load.store, CreateShape(load.run, client, sequence), value));
    const auto now = Clock::now();
    if (committed == true) load.latencies.record(now - begun);
    if (committed == false) ++load.conflicts;
    if (!committed) ++load.in_doubt;
    begun = now;
  }
  co_return {};
}

Task<Result<>> make_parents(Load& load, std::int64_t clients) {
  for (std::int64_t i = 0; i < clients; ++i) {
    const auto transaction = load.store.begin();
    transaction->set(CreateShape::parent_of(load.run, i), create_value(0));
    FF_CO_TRY_ASSIGN(const kv::Commit commit, co_await transaction->commit());
    if (commit.outcome != Outcome::kCommitted) co_return fail(Errc::kUnavailable, "kv_bench: the setup failed");
  }
  co_return {};
}

Task<Result<std::unique_ptr<KvStore>>> open_store(RealEnv& env, const Settings& settings) {
  if (settings.engine == "etcd") {
#if defined(FF_BENCH_ETCD)
    kv::EtcdOptions options{.endpoints = {}, .prefix = "kv_bench/"};
    for (const auto part : std::views::split(settings.endpoints, ',')) {
      options.endpoints.emplace_back(part.begin(), part.end());
    }
    co_return co_await kv::open_etcd_store(env, std::move(options));
#else
    co_return fail(Errc::kUnsupported, "--engine: this build is without etcd (install what the build summary names)");
#endif
  }
  if (settings.path.empty()) co_return fail(Errc::kInvalidArgument, "--path: is missing (name the store's folder)");
  co_return co_await kv::open_rocksdb_store(
      env, {.path = settings.path, .create = true, .sync = !settings.no_sync, .write_buffer_bytes = 256u << 20});
}

Result<> report(const Settings& settings, const Load& load, double elapsed, double cpu) {
  report::JsonWriter json;
  json.begin_object()
      .field("engine", std::string_view(settings.engine))
      .field("clients", settings.clients)
      .field("synced", !settings.no_sync)
      .field("transactions", load.latencies.count())
      .field("conflicts", load.conflicts)
      .field("in_doubt", load.in_doubt)
      .field("seconds", elapsed)
      .field("transactions_per_second", static_cast<double>(load.latencies.count()) / elapsed)
      .field("cpu_seconds", cpu);
  write_latencies(json, load.latencies);
  json.end_object();
  return print_line(json.text());
}

Task<Result<>> measure(RealEnv& env, const Settings& settings) {
  FF_CO_TRY_ASSIGN(const auto store, co_await open_store(env, settings));
  Load load{.store = *store, .run = env.rng().next(), .end = {}, .latencies = {}};
  Result<> result = co_await make_parents(load, settings.clients);
  const double cpu_before = cpu_seconds();
  const auto start = Clock::now();
  load.end = start + std::chrono::nanoseconds(static_cast<std::int64_t>(settings.seconds * 1e9));
  if (result) {
    result = co_await runtime::with_scope([&](runtime::Scope& scope) -> Task<Result<>> {
      for (std::int64_t i = 0; i < settings.clients; ++i) scope.spawn(run_client(load, i));
      co_return {};
    });
  }
  const double elapsed = std::chrono::duration<double>(Clock::now() - start).count();
  const double cpu = cpu_seconds() - cpu_before;
  co_await store->stop();
  FF_CO_TRY(result);
  co_return report(settings, load, elapsed, cpu);
}

Result<int> run(const Settings& settings) {
  FF_TRY_ASSIGN(
      const auto env,
      RealEnv::create({.spin = std::chrono::nanoseconds(static_cast<std::int64_t>(settings.spin_us * 1000))}));
  FF_TRY(env->run(measure(*env, settings)));
  return cli::kExitOk;
}

}  // namespace
}  // namespace ff::bench

int main(int argc, char** argv) {
  using namespace ff;
  bench::Settings settings;
  cli::Command root{.name = "kv_bench", .summary = "'Create file' transactions on our KvStore"};
  root.options = {
      {.names = "--engine", .target = &settings.engine, .help = "which engine", .choices = {"rocksdb", "etcd"}},
      {.names = "--path", .target = &settings.path, .help = "folder of the rocksdb store", .complete = "dir"},
      {.names = "--endpoints", .target = &settings.endpoints, .help = "HOST:PORT,... of the etcd members"},
      {.names = "--clients", .target = &settings.clients, .help = "tasks that create files", .min = 1, .max = 1024},
      {.names = "--seconds", .target = &settings.seconds, .help = "duration of the load", .min = 0.01, .max = 3600},
      {.names = "--spin-us", .target = &settings.spin_us, .help = "microseconds that the reactor polls", .max = 1e6},
      {.names = "--no-sync", .target = &settings.no_sync, .help = "leave commits in the page cache"}};
  root.run = [&settings] { return bench::run(settings); };
  return cli::run({.root = root}, argc, argv);
}
