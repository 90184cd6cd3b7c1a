// doctor: what is wrong, how that was seen, and what to do.
#include <fmt/core.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <chrono>
#include <cstdlib>
#include <memory>

#include "ffctl/cluster/child.hpp"
#include "ffctl/cluster/executables.hpp"
#include "ffctl/cluster/local_cluster.hpp"
#include "ffctl/cluster/local_ffs.hpp"
#include "ffctl/cluster/local_folder.hpp"
#include "ffctl/cmd/commands.hpp"
#include "ffctl/cmd/master_session.hpp"
#include "ffctl/cmd/text.hpp"
#include "libcommon/base/duration.hpp"
#include "libcommon/net/cluster_key.hpp"

namespace ff::ctl {

using namespace std::chrono_literals;
using report::Format;
using runtime::Task;

namespace {

constexpr std::uint64_t kFilesMin = 1024;
constexpr std::uint64_t kFreeMin = 1u << 30;
constexpr double kFreeShareMin = 0.05;
constexpr auto kAnswerMax = 500ms;
constexpr std::size_t kSaidMax = 120;
constexpr double kPassMaxMs = 1000;
constexpr auto kSilentMax = 10s;
constexpr auto kProgramPatience = 5s;
constexpr auto kFfsPatience = 3s;

enum class Verdict : std::uint8_t { kOk, kWarning, kWrong };

struct Finding {
  std::string area, object, measured, threshold;
  Verdict verdict = Verdict::kOk;
  std::string fix;  // of what is not ok
};

struct Options {
  cli::OutputOptions output;
  MasterChoice master;
};

class Findings {
 public:
  void add(Finding finding) {
    if (finding.verdict == Verdict::kOk) finding.fix.clear();
    all_.push_back(std::move(finding));
  }
  void no_master() { no_master_ = true; }
  int exit_code() const {
    if (no_master_) return kExitNoMaster;
    for (const Finding& one : all_)
      if (one.verdict == Verdict::kWrong) return cli::kExitFailed;
    return cli::kExitOk;
  }
  Result<> show(Format format) const {
    report::Table table("ff.doctor/1", {{.key = "area", .title = "AREA"},
                                        {.key = "object", .title = "OBJECT"},
                                        {.key = "verdict", .title = "VERDICT"},
                                        {.key = "measured", .title = "MEASURED"},
                                        {.key = "threshold", .title = "THRESHOLD"},
                                        {.key = "fix", .title = "FIX"}});
    std::int64_t wrong = 0, warnings = 0;
    for (const Finding& one : all_) {
      const char* const word = one.verdict == Verdict::kOk        ? "ok"
                               : one.verdict == Verdict::kWarning ? "warning"
                                                                  : "wrong";
      wrong += one.verdict == Verdict::kWrong ? 1 : 0;
      warnings += one.verdict == Verdict::kWarning ? 1 : 0;
      table.add_row({one.area, one.object, std::string(word), one.measured, one.threshold, one.fix});
    }
    table.set_header("wrong", wrong);
    table.set_header("warnings", warnings);
    return print(table.render(format));
  }

 private:
  std::vector<Finding> all_;
  bool no_master_ = false;
};

Verdict wrong_if(bool wrong) { return wrong ? Verdict::kWrong : Verdict::kOk; }
Verdict warning_if(bool wrong) { return wrong ? Verdict::kWarning : Verdict::kOk; }

// What `NAME --version` says, without the name.
std::string version_of(const std::string& name) {
  const auto path = find_executable(name);
  if (!path) return "";
  const auto said = run_child(
      {.name = name, .words = {*path, "--version"}, .input = "", .patience = kProgramPatience, .environment = {}});
  if (!said || said->code != 0) return "";
  const std::string text = said->output.substr(0, said->output.find('\n'));
  return text.starts_with(name + " ") ? text.substr(name.size() + 1) : text;
}

void look_at_client(Findings& found, const std::string& key_file) {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  found.add({"client", "open files", std::to_string(files.rlim_cur), fmt::format("at least {}", kFilesMin),
             warning_if(files.rlim_cur < kFilesMin), "ulimit -n 65536, or LimitNOFILE= of the unit"});
  const std::string own = version_of("ffctl");
  for (const char* const name : {"ffctld", "ffnoded", "ffs"}) {
    const std::string version = version_of(name);
    found.add({"client", name, version.empty() ? "not installed here" : version, own,
               version.empty() || version == own ? Verdict::kOk : Verdict::kWarning,
               "install programs of one version (those beside ffctl are taken before those of PATH)"});
  }
  if (key_file.empty()) return;
  const auto key = net::ClusterKey::load(key_file);
  found.add({"client", key_file, key ? "a key that its owner alone reads" : key.error().message(), "mode 0600",
             wrong_if(!key), fmt::format("chmod 600 {}, or copy it from the master's host", key_file)});
}

void look_at_space(Findings& found, const std::string& area, const std::string& folder) {
  struct statvfs about{};
  if (::statvfs(folder.c_str(), &about) != 0) return;
  const std::uint64_t free = std::uint64_t{about.f_bavail} * about.f_frsize;
  const double share =
      static_cast<double>(about.f_bavail) / static_cast<double>(std::max<fsblkcnt_t>(about.f_blocks, 1));
  found.add({area, folder, fmt::format("{} MiB free, {:.0f} %", free >> 20, share * 100),
             fmt::format("{} MiB, {:.0f} %", kFreeMin >> 20, kFreeShareMin * 100),
             free < kFreeMin ? Verdict::kWrong : warning_if(share < kFreeShareMin),
             "make room: old logs of jobs are deleted after ffnoded --log-keep"});
}

// The daemons, disks and leftovers of a cluster on this machine.
void look_at_local(Findings& found, const LocalPlan& plan) {
  look_at_space(found, "disk", plan.folder);
  const auto commands = daemon_commands(plan);
  if (!commands) {
    found.add({"local", plan.folder, commands.error().message(), "installed", Verdict::kWrong, "install it"});
    return;
  }
  bool agents = true;
  for (const DaemonCommand& one : *commands) {
    const auto pid = running(one.pid_file);
    agents = agents && pid.has_value();
    const std::string said = pid ? "" : log_tail(one.log_file).substr(0, kSaidMax);
    found.add({"local", one.name,
               pid ? fmt::format("process {}", *pid) : "does not run" + (said.empty() ? "" : ": " + said), "runs",
               wrong_if(!pid), fmt::format("ffctl up --local (its log: {})", one.log_file)});
  }
  const std::size_t ranks = ranks_below(plan.folder).size();
  if (!agents && ranks != 0)
    found.add({"local", "processes of jobs", fmt::format("{} without their agent", ranks), "0", Verdict::kWarning,
               "ffctl up --local takes them back, ffctl down --force ends them"});
}

void look_at_ffs(Findings& found, const std::string& name, const Result<std::string>& state) {
  const bool healthy = state && *state == "healthy";
  found.add({"ffs", name, state ? *state : state.error().message(), "healthy",
             healthy ? Verdict::kOk
             : state ? Verdict::kWarning
                     : Verdict::kWrong,
             "ffs status, ffs chain list, and ffs chain explain of those that are not whole"});
}

void look_at_node(Findings& found, const NodeInfo& node, const std::string& version, std::uint64_t now_ms) {
  const std::string& name = node.facts().name();
  const std::uint64_t silent = now_ms > node.last_report_ms() ? now_ms - node.last_report_ms() : 0;
  const bool lost = node.state() == NodeInfo::LOST;
  found.add({"node", name, fmt::format("silent for {:.1f} s", static_cast<double>(silent) / 1000),
             fmt::format("{} s", std::chrono::seconds(kSilentMax).count()), wrong_if(lost),
             fmt::format("look whether ffnoded runs on {} and reaches the master; ffctl node forget {} when it is gone "
                         "for good",
                         node.facts().host().empty() ? name : node.facts().host(), name)});
  if (node.draining())
    found.add({"node", name,
               fmt::format("drained by {}: {}", node.drained_by().empty() ? "itself" : node.drained_by(),
                           node.drain_reason()),
               "in use", Verdict::kWarning, fmt::format("ffctl node undrain {} when that is mended", name)});
  if (!node.trouble().empty())
    found.add({"node", name, node.trouble(), "no trouble", Verdict::kWrong,
               fmt::format("mend it; ffctl node check {} looks again", name)});
  if (!node.facts().version().empty() && node.facts().version() != version)
    found.add({"node", name, "version " + node.facts().version(), "the master's: " + version, Verdict::kWarning,
               "install one version everywhere, and restart ffnoded: ranks go on"});
  if (!lost && !node.facts().cgroups())
    found.add({"node", name, "cgroups cannot be made: limits of jobs are not enforced", "delegated", Verdict::kWarning,
               "run ffnoded with Delegate=yes (configs/systemd), or as root with cgroup v2"});
}

Task<Result<int>> look_at_master(MasterSession& master, Findings& found, std::uint64_t now_ms) {
  const runtime::Time asked = master.env().now();
  const auto status = co_await master.ask(&MasterClient::get_status, StatusRequest());
  if (!status) {
    found.no_master();
    found.add({"master", "answer", status.error().message(), "a leader", Verdict::kWrong,
               "look whether ffctld runs, and at its log; ffctl up --local for a cluster on this machine"});
    co_return cli::kExitOk;
  }
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(master.env().now() - asked);
  found.add({"master", "answer", fmt::format("{} leads, {} ms", status->leader(), took.count()),
             fmt::format("{} ms", kAnswerMax.count()), warning_if(took > kAnswerMax),
             "look at the load of its host and the latency of its store"});
  found.add({"master", "scheduler's pass", fmt::format("{:.1f} ms", status->last_pass_ms()),
             fmt::format("{:.0f} ms", kPassMaxMs), warning_if(status->last_pass_ms() > kPassMaxMs),
             "fewer queued jobs, or a faster host"});
  const auto nodes = co_await master.ask(&MasterClient::list_nodes, ListNodesRequest());
  if (!nodes) co_return fail(nodes.error());
  if (nodes->nodes().empty())
    found.add({"node", "all", "none has reported", "at least 1", Verdict::kWrong,
               "start ffnoded on each node with --master and the cluster's key"});
  for (const NodeInfo& node : nodes->nodes()) look_at_node(found, node, status->version(), now_ms);
  co_return cli::kExitOk;
}

Result<int> doctor(const Options& o) {
  FF_TRY_ASSIGN(const Format format, o.output.format());
  Findings found;
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  const auto now_ms = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(wall).count());
  std::string key = o.master.key_file();
  std::optional<LocalPlan> plan;
  if (o.master.is_local()) {
    FF_TRY_ASSIGN(const std::string folder, local_folder(""));
    auto there = load_plan(folder);
    if (there) {
      plan = *std::move(there);
      if (key.empty()) key = folder + "/key";
    } else if (there.error().code() != Errc::kNotFound) {
      found.add({"local", folder, there.error().message(), "readable", Verdict::kWrong, "ffctl down --purge"});
    }
  }
  look_at_client(found, key);
  if (plan) look_at_local(found, *plan);
  auto target = o.master.target();
  if (!target) {
    if (target.error().code() != Errc::kUnavailable) return fail(target.error());
    found.no_master();
    found.add({"master", "answer", "no cluster runs on this machine, and none was named", "a leader", Verdict::kWrong,
               "ffctl up --local starts one; --master or FF_MASTER names another"});
  } else {
    FF_TRY_ASSIGN(const int code, with_master(std::move(target), format == Format::kJson,
                                              [&] [[clang::coro_wrapper]] (MasterSession & master) {
                                                return look_at_master(master, found, now_ms);
                                              }));
    if (code != cli::kExitOk) return code;
  }
  const char* const ffs = std::getenv("FF_CLUSTER");
  if (plan && plan->ffs_processes != 0)
    look_at_ffs(found, local_ffs_folder(plan->folder), ffs_state(local_ffs_folder(plan->folder), kFfsPatience));
  else if (ffs != nullptr && *ffs != '\0')
    look_at_ffs(found, ffs, ffs_state(ffs, kFfsPatience));
  FF_TRY(found.show(format));
  return found.exit_code();
}

}  // namespace

cli::Command doctor_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "doctor";
  command.summary = "Say what is wrong with the cluster, how that shows, and what to do";
  command.description =
      "Looks at this machine (key, versions of programs, open files), the master, every node as the master knows it "
      "(silent, drained and why, in trouble, other version, no cgroups), and the file system that is the local "
      "cluster's or FF_CLUSTER's; of a local cluster also at its daemons, the space for its logs, and processes of "
      "jobs that nobody looks after. Each with what was measured, the threshold, and what to do. Works also where "
      "nothing runs.";
  options->output.add_to(command);
  options->master.add_to(command);
  command.examples = {{"ffctl doctor", "for people"},
                      {"ffctl doctor --json | jq -r '.rows[] | select(.verdict != \"ok\") | .fix'", "what to do"}};
  command.exit_codes = {{cli::kExitFailed, "something is wrong; warnings alone are not"},
                        {kExitNoMaster, "no master answers"}};
  command.run = [options]() -> Result<int> { return doctor(*options); };
  return command;
}

}  // namespace ff::ctl
