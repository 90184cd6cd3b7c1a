#include "ffctl/cluster/local_cluster.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "ffctl/cluster/executables.hpp"
#include "ffctl/cluster/local_ffs.hpp"
#include "ffctl/cluster/local_folder.hpp"
#include "libcommon/base/file.hpp"
#include "libcommon/net/cluster_key.hpp"
#include "libcommon/report/json.hpp"
#include "libcommon/report/json_cursor.hpp"

namespace ff::ctl {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kPlanBytesMax = 64u << 10;

std::string plan_file(const std::string& folder) { return folder + "/local.json"; }

Result<> make_folder(const std::string& path, fs::perms mode) {
  std::error_code error;
  if (!fs::create_directories(path, error) && error) return fail(errno_error(path, error.value()));
  if (fs::permissions(path, mode, error); error) return fail(errno_error(path, error.value()));
  return {};
}

// So that jobs have `ffs`: where it was found may be a build folder.
std::string path_with(const std::string& folder) {
  const char* const given = std::getenv("PATH");
  const std::string path = given == nullptr ? "/usr/local/bin:/usr/bin:/bin" : given;
  return (":" + path + ":").find(":" + folder + ":") == std::string::npos ? path + ":" + folder : path;
}

}  // namespace

std::string node_name(std::uint32_t index) { return fmt::format("node{}", index + 1); }

Result<LocalPlan> load_plan(const std::string& folder) {
  const auto text = read_file(plan_file(folder), kPlanBytesMax);
  if (!text) {
    if (text.error().code() != Errc::kNotFound) return fail(text.error());
    return fail(Errc::kNotFound, fmt::format("{}: holds no local cluster (`ffctl up --local` makes one)", folder));
  }
  auto tree = report::JsonValue::parse(*text);
  if (!tree) return fail(std::move(tree).error().context(plan_file(folder)));
  const auto read = [&]() -> Result<LocalPlan> {
    const report::JsonCursor at(*tree);
    LocalPlan plan{.folder = folder};
    FF_TRY_ASSIGN(const std::int64_t nodes, at.integer("nodes"));
    FF_TRY_ASSIGN(const std::int64_t gpus, at.integer("gpus_per_node"));
    if (nodes < 1 || nodes > kLocalNodesMax || gpus < 0 || gpus > 1024) return at.error("has numbers out of range");
    plan.nodes = static_cast<std::uint32_t>(nodes);
    plan.gpus_per_node = static_cast<std::uint32_t>(gpus);
    FF_TRY_ASSIGN(plan.fake_gpus, at.boolean("fake_gpus"));
    FF_TRY_ASSIGN(plan.policy, at.text("policy"));
    FF_TRY_ASSIGN(plan.min_run, at.text("min_run"));
    // Absent from those of older versions, which had none.
    FF_TRY_ASSIGN(const auto ffs, at.optional_member("ffs_processes"));
    if (ffs) {
      FF_TRY_ASSIGN(const std::int64_t processes, ffs->integer());
      if (processes < 0 || processes > kLocalFfsProcessesMax) return ffs->error("is out of range");
      plan.ffs_processes = static_cast<std::uint32_t>(processes);
    }
    return plan;
  };
  auto plan = read();
  if (!plan) return fail(std::move(plan).error().context(plan_file(folder)));
  return plan;
}

Result<> save_plan(const LocalPlan& plan) {
  report::JsonWriter json(2);
  json.begin_object().field("schema", "ff.local-cluster/1").field("nodes", plan.nodes);
  json.field("gpus_per_node", plan.gpus_per_node).field("fake_gpus", plan.fake_gpus);
  json.field("policy", std::string_view(plan.policy)).field("min_run", std::string_view(plan.min_run));
  json.field("ffs_processes", plan.ffs_processes).end_object();
  return write_file_atomic(plan_file(plan.folder), json.take() + '\n');
}

Result<LocalLock> LocalLock::take(const std::string& folder, bool create) {
  // Ranks of other users pass through it, and may not list it.
  if (create) FF_TRY(make_folder(folder, static_cast<fs::perms>(0711)));
  // Not of the folder itself, which whoever listens in it locks.
  const std::string file = folder + "/lock";
  UniqueFd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return fail(errno_error(file));
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0)
    return fail(Errc::kUnavailable, folder + ": another ffctl brings it up or down (wait for that)");
  return LocalLock(std::move(fd));
}

Result<> prepare(const LocalPlan& plan) {
  FF_TRY(make_folder(plan.folder + "/nodes", static_cast<fs::perms>(0711)));
  const std::string key = plan.folder + "/key";
  if (const auto made = net::ClusterKey::generate().create_file(key);
      !made && made.error().code() != Errc::kAlreadyExists)
    return fail(made.error());
  FF_TRY(save_plan(plan));
  return plan.ffs_processes == 0 ? Result<>() : prepare_local_ffs(plan.folder, plan.ffs_processes);
}

Result<std::vector<DaemonCommand>> daemon_commands(const LocalPlan& plan) {
  FF_TRY_ASSIGN(const std::string ffctld, find_executable("ffctld"));
  FF_TRY_ASSIGN(const std::string ffnoded, find_executable("ffnoded"));
  const std::string socket = local_socket(plan.folder), key = plan.folder + "/key";
  std::vector<DaemonCommand> commands;
  if (plan.ffs_processes != 0) {
    FF_TRY_ASSIGN(commands.emplace_back(), local_ffs_command(plan.folder));
  }
  commands.push_back({.name = "ffctld",
                      .words = {ffctld, "--store", "rocksdb:" + plan.folder + "/ffctld", "--socket", socket, "--key",
                                key, "--name", "local", "--min-run", plan.min_run},
                      .pid_file = plan.folder + "/ffctld.pid",
                      .log_file = plan.folder + "/ffctld.log",
                      .folder = plan.folder,
                      .environment = {}});
  if (!plan.policy.empty()) {
    commands.back().words.emplace_back("--policy");
    commands.back().words.push_back(plan.policy);
  }
  for (std::uint32_t i = 0; i < plan.nodes; ++i) {
    const std::string name = node_name(i), base = plan.folder + "/nodes/" + name;
    DaemonCommand agent{.name = name,
                        .words = {ffnoded, "--master", "unix:" + socket, "--key", key, "--name", name, "--folder", base,
                                  "--gpus", std::to_string(plan.gpus_per_node)},
                        .pid_file = base + ".pid",
                        .log_file = base + ".log",
                        .folder = plan.folder,
                        .environment = {}};
    // Agents pass both on to jobs.
    if (plan.ffs_processes != 0) {
      agent.environment.emplace_back("FF_CLUSTER", local_ffs_folder(plan.folder));
      agent.environment.emplace_back("PATH", path_with(parent_folder(commands.front().words.front())));
    }
    if (plan.fake_gpus) agent.words.emplace_back("--fake-gpus");
    commands.push_back(std::move(agent));
  }
  return commands;
}

}  // namespace ff::ctl
