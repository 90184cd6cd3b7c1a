// serve: the processes of a file system.
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>

#include <cerrno>

#include <memory>

#include "ffs/cmd/commands.hpp"
#include "ffs/cmd/session.hpp"
#include "ffs/cmd/supervisor.hpp"
#include "ffs/daemon/daemon.hpp"
#include "ffs/daemon/metrics_pages.hpp"
#include "libcommon/base/unique_fd.hpp"
#include "libcommon/log/log.hpp"
#include "libcommon/runtime/real_env.hpp"
#include "libcommon/runtime/stop_signal.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

struct Options {
  std::string cluster;
  std::int64_t node = 0;
};

Task<Result<>> serve(runtime::RealEnv& env, const ClusterFile& cluster, const ClusterNode& node) {
  RealStoreOpener stores(cluster, false);
  Daemon daemon(env, cluster, node, stores);
  MetricsPages pages(env, daemon);
  Result<> result = co_await daemon.start();
  if (result) {
    // Data must not wait for a page: without it the node serves all the same.
    if (node.metrics) {
      if (const auto at = pages.start(*node.metrics); !at)
        log::warn("metrics page: {}, ignoring", at.error().message());
    }
    fmt::print(stderr, "ffs: serve: {}\n", daemon.about());
    const Error why = co_await daemon.ended();
    if (why.code() != Errc::kCancelled) result = fail(why);
  }
  co_await pages.stop();
  co_await daemon.stop();
  co_await env.network().stop();
  co_return result;
}

// Two processes over one folder would ruin it; the manager, too, trusts that a new process of a node means the end of
// the old one. Held until this process ends, however it ends.
Result<std::vector<UniqueFd>> lock_folders(const ClusterNode& node) {
  std::vector<UniqueFd> locks;
  for (const std::string& folder : node.folders) {
    UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return fail(errno_error(folder));
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return fail(errno_error(folder));
      return fail(Errc::kUnavailable, folder + ": another process serves it (stop that one first)");
    }
    locks.push_back(std::move(fd));
  }
  return locks;
}

Result<int> serve_node(const ClusterFile& cluster, const ClusterNode& node) {
  FF_TRY_ASSIGN(const std::vector<UniqueFd> locks, lock_folders(node));
  FF_TRY_ASSIGN(const auto env, make_cluster_env(cluster, "ffs-node", number(node.id)));
  if (!env->fallback_reason().empty()) log::warn("{}, ignoring", env->fallback_reason());
  const runtime::StopOnSignals signals(*env);
  const Result<> served = env->run(serve(*env, cluster, node));
  // Asked to stop: that is how it ends.
  if (signals.caught() != 0) return 0;
  if (!served) return fail(Error(served.error()).context(fmt::format("node {}", number(node.id))));
  return 0;
}

Result<int> run_serve(const Options& o) {
  FF_TRY_ASSIGN(const ClusterFile cluster, load_cluster_file(cluster_path(o.cluster)));
  if (o.node == 0) return supervise(cluster);
  const ClusterNode* const node = cluster.node(NodeId{static_cast<std::uint64_t>(o.node)});
  if (node == nullptr)
    return fail(Errc::kInvalidArgument, fmt::format("--node: {}: the cluster file has no such node", o.node));
  return serve_node(cluster, *node);
}

}  // namespace

cli::Command serve_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "serve";
  command.summary = "Run the processes of a file system";
  command.description =
      "With --node: this process becomes that node, in the foreground, until SIGTERM or Ctrl-C. Without: a process is "
      "started for each node of the file, and started again, after a pause, whenever it ends: for file systems on one "
      "machine. When the supervisor ends, they end: in order within 15 s, at once when it is asked a second time.";
  command.options = {{.names = "cluster",
                      .target = &options->cluster,
                      .help = "description of the file system, or its folder",
                      .value_name = "CLUSTER",
                      .required = true,
                      .environment = "FF_CLUSTER",
                      .complete = "file"},
                     {.names = "--node",
                      .target = &options->node,
                      .help = "run this node alone; 0 runs all",
                      .value_name = "N",
                      .min = 0,
                      .max = 4294967295}};
  command.examples = {{"ffs serve /tmp/demo", "a whole file system on this machine"},
                      {"ffs serve site.yaml --node 4", "on the machine of node 4"}};
  command.exit_codes = {{0, "asked to stop"}};
  command.run = [options]() -> Result<int> { return run_serve(*options); };
  return command;
}

}  // namespace ff::ffs
