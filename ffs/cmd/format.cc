// format: makes the stores of a file system, once.
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>

#include "ffs/cmd/chain_plan.hpp"
#include "ffs/cmd/commands.hpp"
#include "ffs/cmd/session.hpp"
#include "ffs/daemon/daemon.hpp"
#include "ffs/mgmt/mgmt_service.hpp"
#include "libcommon/base/file.hpp"
#include "libcommon/cli/output.hpp"
#include "libcommon/net/cluster_key.hpp"
#include "libcommon/runtime/real_env.hpp"
#include "libcommon/runtime/stop_signal.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

namespace fs = std::filesystem;

struct Options {
  std::string cluster;
  std::int64_t node = 0;
  bool local = false;
  std::int64_t processes = 3;
  std::int64_t replicas = 3;
  std::int64_t chains = 4;
  std::int64_t spares = 0;
  std::int64_t port = 9601;
  std::int64_t metrics_port = 0;
  cli::ByteSize capacity{};
  cli::ByteSize chunk{1u << 20};
  bool plan = false;
  bool yes = false;
  cli::OutputOptions output;
};

std::string random_id() {
  // The network layer's source of keys; the first half of one is as random.
  const net::ClusterKey key = net::ClusterKey::generate();
  std::string text;
  for (const std::byte byte : key.bytes().first<16>()) text += fmt::format("{:02x}", static_cast<unsigned>(byte));
  return text;
}

// The description of a file system whose processes all run on this machine.
std::string local_description(const Options& o) {
  const std::int64_t replicas = std::min(o.replicas, o.processes);
  std::string text = fmt::format(
      "# A file system on one machine: {} processes with targets, {} copies of everything.\n"
      "# `ffs serve {}` runs it; FF_CLUSTER={} lets the other commands find it. man 5 ffs-cluster explains each key.\n"
      "cluster:\n  id: '{}'\n  key: cluster.key\n  replicas: {}\n  chains_per_folder: {}\n  spares_per_folder: {}\n"
      "  chunk: {}\n  one_host: true\n",
      o.processes, replicas, o.cluster, o.cluster, random_id(), replicas, o.chains, o.spares, o.chunk.bytes);
  text += "mgmtd:\n  store: rocksdb:mgmtd\nmetad:\n  store: rocksdb:metad\nstored:\n";
  text += fmt::format("  capacity: {}\nnodes:\n", o.capacity.bytes);
  for (std::int64_t i = 1; i <= o.processes; ++i) {
    const std::string page = o.metrics_port == 0 ? "" : fmt::format("metrics=127.0.0.1:{} ", o.metrics_port + i - 1);
    text += fmt::format("  - {} 127.0.0.1:{} {}stored {}node-{}\n", i, o.port + i - 1, i == 1 ? "mgmtd,metad," : "",
                        page, i);
  }
  return text;
}

Result<> make_local(const Options& o) {
  std::error_code error;
  if (fs::exists(o.cluster, error) && !(fs::is_directory(o.cluster, error) && fs::is_empty(o.cluster, error))) {
    return fail(Errc::kAlreadyExists, o.cluster + ": is not empty (name a new folder; nothing is ever formatted over)");
  }
  fs::create_directories(o.cluster, error);
  if (error) return fail(errno_error(o.cluster, error.value()));
  FF_TRY(net::ClusterKey::generate().create_file(o.cluster + "/cluster.key"));
  return write_file_atomic(o.cluster + "/cluster.yaml", local_description(o));
}

// Of the file system that holds a path, or will when it is made; nothing where even the root has none.
std::optional<dev_t> device_of(fs::path path) {
  while (true) {
    struct stat facts{};
    if (::stat(path.c_str(), &facts) == 0) return facts.st_dev;
    if (path == path.parent_path()) return std::nullopt;
    path = path.parent_path();
  }
}

// What one target may take: a fixed size, or its share of what is free where it lies. All targets of the nodes that run
// on this machine and lie on the same disk share it, and something stays free.
std::uint64_t capacity_of(const ClusterFile& cluster, const ClusterNode& node, const std::string& folder) {
  if (cluster.capacity_bytes != 0) return cluster.capacity_bytes;
  std::error_code error;
  const fs::space_info space = fs::space(folder, error);
  if (error) return 0;
  const std::optional<dev_t> device = device_of(folder);
  std::uint64_t sharing = 0;
  for (const ClusterNode& other : cluster.nodes) {
    if (other.id != node.id && !cluster.one_host) continue;
    for (const TargetFolder& target : target_folders(cluster, other)) {
      sharing += device_of(fs::path(target.path).parent_path()) == device ? 1 : 0;
    }
  }
  return space.available / 100 * 95 / std::max<std::uint64_t>(sharing, 1);
}

// Those that are not there: after the first time, what an operator wants for a new disk in an old one's place. An error
// when all are there.
Task<Result<>> format_targets(runtime::Env& env, const ClusterFile& cluster, const ClusterNode& node) {
  std::size_t made = 0;
  std::optional<Error> there;
  for (const TargetFolder& folder : target_folders(cluster, node)) {
    std::error_code error;
    const std::string above = fs::path(folder.path).parent_path().string();
    fs::create_directories(above, error);
    if (error) co_return fail(errno_error(above, error.value()));
    StoreIdentity identity{.cluster = cluster.id, .target = folder.target, .generation = env.rng().next()};
    StoreOptions options{.capacity_bytes = capacity_of(cluster, node, above),
                         .checksum_bytes = cluster.checksum_bytes,
                         .journal_bytes = cluster.journal_bytes};
    const Result<> formatted = co_await ChunkStore::format(env, folder.path, identity, options);
    if (!formatted && formatted.error().code() != Errc::kAlreadyExists) co_return formatted;
    made += formatted ? 1 : 0;
    if (!formatted) there = formatted.error();
    fmt::print("node {}: target {} in {}{}\n", number(node.id), number(folder.target), folder.path,
               formatted ? "" : ": is there, and stays as it is");
  }
  if (there && made == 0) co_return fail(std::move(*there));
  co_return {};
}

// False: there are chains already, which may have changed since they followed from the file.
Task<Result<bool>> install_if_first(MgmtClient& client, InstallChainsRequest request) {
  FF_CO_TRY_ASSIGN(const auto view, co_await client.fetch());
  if (view->latest_version(kDefaultTable) != 0) co_return false;
  FF_CO_TRY(co_await client.install_chains(std::move(request)));
  co_return true;
}

// Tells the manager's store of the chains, through a manager that runs for as long as that takes.
Task<Result<bool>> install_chains(runtime::RealEnv& env, const ClusterFile& cluster, const ClusterNode& node,
                                  InstallChainsRequest request) {
  RealStoreOpener stores(cluster, true);
  FF_CO_TRY_ASSIGN(const auto store, co_await stores.open(env, cluster.mgmtd_store, "mgmtd"));
  Manager manager(env, *store,
                  {.cluster = cluster_bytes(cluster), .node = number(node.id), .address = node.address.text()});
  Result<> done;
  bool first = false;
  {
    rpc::Server server(env);
    done = server.add(manager);
    MgmtClient client(env, {node.address}, {.cluster = cluster_bytes(cluster)});
    manager.start();
    if (done) {
      const auto bound = co_await server.listen(node.address.planes.front());
      done = bound ? Result<>() : Result<>(fail(bound.error()));
    }
    if (done) {
      const auto installed = co_await install_if_first(client, std::move(request));
      if (!installed) done = fail(installed.error());
      first = installed.value_or(false);
    }
    co_await client.stop();
    co_await manager.stop();
    co_await server.stop(std::chrono::seconds(1));
  }
  co_await store->stop();
  if (!done) co_return fail(std::move(done).error());
  co_return first;
}

// A namespace has nothing to begin with but its store; the first service makes the root.
Task<Result<>> make_names_store(runtime::RealEnv& env, const ClusterFile& cluster) {
  RealStoreOpener stores(cluster, true);
  FF_CO_TRY_ASSIGN(const auto store, co_await stores.open(env, cluster.metad_store, "metad"));
  co_await store->stop();
  co_return {};
}

Task<Result<>> format_nodes(runtime::RealEnv& env, const ClusterFile& cluster, std::vector<const ClusterNode*> nodes,
                            const ChainPlan& plan) {
  bool looked = false;
  Result<> done;
  for (const ClusterNode* const node : nodes) {
    if (done) done = co_await format_targets(env, cluster, *node);
    if (done && node->metad) done = co_await make_names_store(env, cluster);
    if (done && node->mgmtd && !looked) {
      const auto first = co_await install_chains(env, cluster, *node, install_request(cluster, plan));
      if (!first) {
        done = fail(first.error());
      } else if (*first) {
        fmt::print(
            "{} chains of {} targets; when one target fails, others take at most {:.2f} times the mean of its reads\n",
            plan.chains.size(), cluster.replicas, plan.quality);
      } else {
        fmt::print("chains: are there, and stay as they are\n");
      }
      looked = true;
    }
  }
  co_await env.network().stop();
  co_return done;
}

Result<int> run_format(const Options& o) {
  FF_TRY_ASSIGN(const report::Format format, o.output.format());
  if (o.local) FF_TRY(make_local(o));
  FF_TRY_ASSIGN(const ClusterFile cluster, load_cluster_file(cluster_path(o.cluster)));
  FF_TRY_ASSIGN(const ChainPlan plan, plan_chains(cluster));
  if (o.plan) {
    FF_TRY(print(plan_table(cluster, plan).render(format)));
    return 0;
  }
  std::vector<const ClusterNode*> nodes;
  for (const ClusterNode& node : cluster.nodes) {
    if (o.local || number(node.id) == static_cast<std::uint64_t>(o.node)) nodes.push_back(&node);
  }
  if (nodes.empty()) {
    return fail(Errc::kInvalidArgument,
                o.node == 0 ? std::string("--node: which of the nodes is this machine's (give its number)")
                            : fmt::format("--node: {}: the cluster file has no such node", o.node));
  }
  FF_TRY_ASSIGN(const auto env, make_cluster_env(cluster, "format", 0));
  const runtime::StopOnSignals signals(*env);
  FF_TRY(env->run(format_nodes(*env, cluster, nodes, plan)));
  return 0;
}

}  // namespace

cli::Command format_command() {
  const auto options = std::make_shared<Options>();
  Options& o = *options;
  cli::Command command;
  command.name = "format";
  command.summary = "Make the stores of a file system";
  command.description =
      "With --local: a new folder with everything that a file system on this machine needs: description, key, stores, "
      "targets. "
      "Without: the stores of one node of CLUSTER (run it once on each machine; on a node with the role mgmtd it also "
      "lays down "
      "the chains, which follow from the file alone). Existing data is never formatted over: for a new disk in the "
      "place "
      "of an old one, or for more spare targets, run it again on that node. A node that was added to the file is "
      "formatted "
      "in the same way, and its targets are spare: what is drained or replaced moves to them.";
  command.options = {
      {.names = "cluster",
       .target = &o.cluster,
       .help = "description of the file system, or with --local the folder to make",
       .value_name = "CLUSTER",
       .required = true,
       .complete = "file"},
      {.names = "--node",
       .target = &o.node,
       .help = "number of the node to format",
       .value_name = "N",
       .min = 0,
       .max = 4294967295},
      {.names = "--plan", .target = &o.plan, .help = "show the chains and format nothing"},
      {.names = "--local", .target = &o.local, .help = "make a file system whose processes all run here"},
      {.names = "--processes",
       .target = &o.processes,
       .help = "with --local: processes with targets",
       .value_name = "N",
       .min = 1,
       .max = 64},
      {.names = "--replicas",
       .target = &o.replicas,
       .help = "with --local: copies of each chunk, at most one for each process",
       .value_name = "N",
       .min = 1,
       .max = 16},
      {.names = "--chains",
       .target = &o.chains,
       .help = "with --local: chains that each process takes part in",
       .value_name = "N",
       .min = 1,
       .max = 256},
      {.names = "--spares",
       .target = &o.spares,
       .help = "with --local: further targets of each process, in no chain, for what is drained or replaced",
       .value_name = "N",
       .min = 0,
       .max = 256},
      {.names = "--capacity",
       .target = &o.capacity,
       .help = "with --local: most that one target may take; 0: its share of what is free"},
      {.names = "--chunk",
       .target = &o.chunk,
       .help = "with --local: size of chunks, a power of two",
       .min = kChunkBytesMin,
       .max = kChunkBytesMax},
      {.names = "--port",
       .target = &o.port,
       .help = "with --local: port of the first process; the others take those after it",
       .value_name = "PORT",
       .min = 1024,
       .max = 65000},
      {.names = "--metrics-port",
       .target = &o.metrics_port,
       .help = "with --local: port of the first process's metrics page, the others take those after it; 0: no pages",
       .value_name = "PORT",
       .min = 0,
       .max = 65000}};
  o.output.add_to(command);
  command.examples = {{"ffs format --local /tmp/demo", "three processes and three copies on this machine"},
                      {"ffs format site.yaml --plan", "what would be laid out, and how well it spreads"},
                      {"ffs format site.yaml --node 4", "on the machine of node 4"}};
  command.run = [options]() -> Result<int> { return run_format(*options); };
  return command;
}

}  // namespace ff::ffs
