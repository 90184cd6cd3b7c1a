#include "ffctl/rank/cgroup.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <sstream>

#include "ffctl/rank/process_tree.hpp"
#include "libcommon/base/file.hpp"

namespace ff::ctl {
namespace {

constexpr std::size_t kTextMax = 1u << 20;

std::string text_of(const std::string& path) { return read_file(path, kTextMax).value_or(std::string()); }

Result<> put(const std::string& path, const std::string& text) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return fail(errno_error(path));
  if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) return fail(errno_error(path));
  return {};
}

// Where cgroup v2 is mounted, also beside version 1.
std::string mount_point() {
  std::istringstream lines(text_of("/proc/self/mountinfo"));
  for (std::string line; std::getline(lines, line);) {
    const auto dash = line.find(" - cgroup2 ");
    if (dash == std::string::npos) continue;
    std::istringstream words(line);
    std::string word;
    for (int i = 0; i < 5; ++i) words >> word;
    return word;
  }
  return {};
}

std::string own_path() {
  std::istringstream lines(text_of("/proc/self/cgroup"));
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("0::")) return line.substr(3);
  return {};
}

bool has_word(const std::string& text, std::string_view word) {
  std::istringstream words(text);
  for (std::string each; words >> each;)
    if (each == word) return true;
  return false;
}

}  // namespace

std::optional<Cgroups> Cgroups::open(const std::string& name, const std::string& base) {
  std::string at = base;
  if (at.empty()) {
    const std::string mount = mount_point(), own = own_path();
    if (mount.empty() || own.empty()) return std::nullopt;
    at = own == "/" ? mount : mount + own;
    // A group with controllers may hold no processes, so those that are there, this one among them, move down.
    if (own != "/" && !text_of(at + "/cgroup.controllers").empty()) {
      const std::string leaf = at + "/ffnoded-agents";
      if (::mkdir(leaf.c_str(), 0755) == 0 || errno == EEXIST) {
        for (const pid_t pid : members(at)) (void)put(leaf + "/cgroup.procs", std::to_string(pid));
      }
    }
  }
  Cgroups made;
  made.folder_ = at + "/ffnoded-" + name;
  for (const char* controller : {"+cpu", "+memory", "+pids"}) (void)put(at + "/cgroup.subtree_control", controller);
  if (::mkdir(made.folder_.c_str(), 0755) != 0 && errno != EEXIST) return std::nullopt;
  for (const char* controller : {"+cpu", "+memory", "+pids"})
    (void)put(made.folder_ + "/cgroup.subtree_control", controller);
  const std::string enabled = text_of(made.folder_ + "/cgroup.subtree_control");
  made.limits_ = has_word(enabled, "cpu") && has_word(enabled, "memory") && has_word(enabled, "pids");
  // That folders can be made says little: a process must be able to enter.
  if (::access((made.folder_ + "/cgroup.procs").c_str(), W_OK) != 0) {
    ::rmdir(made.folder_.c_str());
    return std::nullopt;
  }
  return made;
}

Result<std::string> Cgroups::create(const std::string& name, const CgroupLimits& wanted) const {
  const std::string group = folder_ + "/" + name;
  if (::mkdir(group.c_str(), 0755) != 0 && errno != EEXIST) return fail(errno_error(group));
  const auto limit = [&](const char* file, std::uint64_t value, std::string text) -> Result<> {
    if (value == 0 || ::access((group + "/" + file).c_str(), W_OK) != 0) return {};
    return put(group + "/" + file, std::move(text));
  };
  FF_TRY(limit("cpu.max", wanted.cpus, fmt::format("{} 100000", std::uint64_t{wanted.cpus} * 100000)));
  FF_TRY(limit("memory.max", wanted.memory_bytes, std::to_string(wanted.memory_bytes)));
  // Without this a job would swap instead of ending.
  if (wanted.memory_bytes != 0) (void)put(group + "/memory.swap.max", "0");
  FF_TRY(limit("pids.max", wanted.pids, std::to_string(wanted.pids)));
  return group;
}

void Cgroups::kill(const std::string& group) {
  if (put(group + "/cgroup.kill", "1")) return;
  for (const pid_t pid : members(group)) ::kill(pid, SIGKILL);
}

Result<> Cgroups::remove(const std::string& group) {
  if (::rmdir(group.c_str()) != 0 && errno != ENOENT) return fail(errno_error(group));
  return {};
}

std::uint64_t Cgroups::oom_kills(const std::string& group) {
  std::istringstream lines(text_of(group + "/memory.events"));
  std::string key;
  for (std::uint64_t value = 0; lines >> key >> value;)
    if (key == "oom_kill") return value;
  return 0;
}

}  // namespace ff::ctl
