#include "ffctl/node/launch_plan.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "ffctl/ffjob/page.hpp"

namespace ff::ctl {
namespace {

constexpr std::uint32_t kTorchSlotsMin = 16;

// Where the file system is (FF_CLUSTER, FF_FFS_*) is a fact of the node like its paths.
bool passed_on(std::string_view key) {
  return key == "FF_CLUSTER" || key.starts_with("FF_FFS_") || key == "PATH" || key == "LANG" || key == "TZ" ||
         key == "LD_LIBRARY_PATH" || key.starts_with("LC_");
}

std::string joined(const google::protobuf::RepeatedField<std::uint32_t>& numbers) {
  std::string out;
  for (const std::uint32_t number : numbers) out += (out.empty() ? "" : ",") + std::to_string(number);
  return out;
}

using Variables = std::map<std::string, std::string>;

void add_job(Variables& env, const DesiredAttempt& desired, const LaunchPaths& paths) {
  env["FF_JOB"] = std::to_string(desired.job());
  env["FF_JOB_NAME"] = desired.job_name();
  env["FF_ATTEMPT"] = std::to_string(desired.attempt());
  env["FF_CTL"] = paths.page;
  env["FF_RESUME_STEP"] = std::to_string(desired.resume_step());
  if (desired.spec().checkpoint().empty()) {
    env.erase("FF_CHECKPOINT_DIR");
  } else {
    env["FF_CHECKPOINT_DIR"] = desired.spec().checkpoint();
  }
  env["FF_NODE_RANK"] = std::to_string(desired.node_rank());
  env["FF_NODES"] = std::to_string(std::max(desired.nodes_size(), 1));
  std::string names;
  for (const std::string& name : desired.nodes()) names += (names.empty() ? "" : ",") + name;
  env["FF_NODE_LIST"] = names;
  if (desired.spec().array() != 0) {
    env["FF_ARRAY"] = std::to_string(desired.spec().array());
    env["FF_ARRAY_INDEX"] = std::to_string(desired.spec().array_index());
  }
  // None asked for: none to be seen.
  env["CUDA_VISIBLE_DEVICES"] = joined(desired.gpus());
}

void add_rendezvous(Variables& env, const DesiredAttempt& desired, std::uint32_t local, std::string_view token) {
  const std::uint32_t here = local_ranks(desired),
                      nodes = static_cast<std::uint32_t>(std::max(desired.nodes_size(), 1));
  env["MASTER_ADDR"] = desired.addresses_size() > 0 ? desired.addresses(0) : "127.0.0.1";
  env["MASTER_PORT"] = std::to_string(desired.rendezvous_port());
  const bool torchrun = desired.spec().run().launcher() == TORCHRUN;
  if (!torchrun) {
    env["FF_RANK"] = std::to_string(first_rank(desired) + local);
    env["FF_RANKS"] = std::to_string(here * nodes);
    env["FF_LOCAL_RANK"] = std::to_string(local);
  }
  if (desired.spec().run().launcher() == PER_RANK) {
    env["RANK"] = std::to_string(first_rank(desired) + local);
    env["WORLD_SIZE"] = std::to_string(here * nodes);
    env["LOCAL_RANK"] = std::to_string(local);
    env["LOCAL_WORLD_SIZE"] = std::to_string(here);
    env["HFR_TOKEN"] = token;
  } else {
    env["NODE_RANK"] = std::to_string(desired.node_rank());
    env["NNODES"] = std::to_string(nodes);
    if (torchrun) env["NPROC_PER_NODE"] = std::to_string(std::max(desired.spec().run().ranks_per_node(), 1u));
  }
}

}  // namespace

std::string attempt_name(std::uint64_t job, std::uint32_t attempt) { return fmt::format("{}-{}", job, attempt); }

std::uint32_t local_ranks(const DesiredAttempt& desired) {
  return desired.spec().run().launcher() == PER_RANK ? std::max(desired.spec().run().ranks_per_node(), 1u) : 1;
}

std::uint32_t first_rank(const DesiredAttempt& desired) { return desired.node_rank() * local_ranks(desired); }

std::uint32_t page_slots(const DesiredAttempt& desired) {
  if (desired.spec().run().launcher() != TORCHRUN) return local_ranks(desired);
  return std::max(
      {kTorchSlotsMin, desired.spec().run().ranks_per_node(), static_cast<std::uint32_t>(desired.gpus_size())});
}

Result<> check_desired(const DesiredAttempt& desired) {
  const RunSpec& run = desired.spec().run();
  if (run.command().empty() && run.script().empty()) return fail(Errc::kInvalidArgument, "command: is empty");
  if (desired.nodes_size() > 0 && desired.node_rank() >= static_cast<std::uint32_t>(desired.nodes_size()))
    return fail(Errc::kInvalidArgument,
                fmt::format("node rank {}: the attempt has {} nodes", desired.node_rank(), desired.nodes_size()));
  if (page_slots(desired) > kSlotsMax)
    return fail(Errc::kInvalidArgument,
                fmt::format("ranks on a node: {} (at most {})", page_slots(desired), kSlotsMax));
  if (!run.workdir().empty() && run.workdir().front() != '/')
    return fail(Errc::kInvalidArgument, fmt::format("workdir '{}': is not absolute", run.workdir()));
  const auto holds_nul = [](const std::string& text) { return text.find('\0') != std::string::npos; };
  for (const std::string& word : run.command())
    if (holds_nul(word)) return fail(Errc::kInvalidArgument, "command: holds a zero byte");
  for (const auto& [key, value] : run.environment())
    if (key.empty() || key.find('=') != std::string::npos || holds_nul(key) || holds_nul(value))
      return fail(Errc::kInvalidArgument, fmt::format("environment: '{}' cannot be a variable", key));
  return {};
}

RankStart launch_plan(const DesiredAttempt& desired, std::uint32_t local, const LaunchPaths& paths,
                      const UserFacts& user, const std::map<std::string, std::string>& inherited,
                      std::string_view token) {
  const RunSpec& run = desired.spec().run();
  Variables env;
  env["PATH"] = "/usr/local/bin:/usr/bin:/bin";
  for (const auto& [key, value] : inherited)
    if (passed_on(key)) env[key] = value;
  for (const auto& [key, value] : {std::pair("USER", user.name), std::pair("LOGNAME", user.name),
                                   std::pair("HOME", user.home), std::pair("SHELL", user.shell)})
    if (!value.empty()) env[key] = value;
  for (const auto& [key, value] : run.environment()) env[key] = value;
  env.erase("HFR_LISTEN_FD");
  add_job(env, desired, paths);
  add_rendezvous(env, desired, local, token);

  RankStart start;
  for (const std::string& word : run.command()) start.add_command(word);
  if (!paths.script.empty()) {
    if (start.command().empty()) start.add_command();
    start.set_command(0, paths.script);
  }
  for (const auto& [key, value] : env) start.add_environment(key + "=" + value);
  start.set_workdir(run.workdir());
  start.set_uid(desired.uid());
  start.set_gid(desired.gid());
  start.set_user(user.name);
  for (const std::uint32_t cpu : desired.cpus()) start.add_cpus(cpu);
  return start;
}

}  // namespace ff::ctl
