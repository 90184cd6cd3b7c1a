#include "ffctl/rank/process_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <set>

#include "libcommon/base/unique_fd.hpp"

namespace ff::ctl {
namespace {

constexpr std::string_view kShm = "/dev/shm/";

std::string content(const std::string& path, std::size_t most) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string out;
  if (!fd) return out;
  char block[16384];
  while (out.size() < most) {
    const ssize_t got = ::read(fd.get(), block, sizeof block);
    if (got <= 0) break;
    out.append(block, static_cast<std::size_t>(got));
  }
  return out;
}

template <class F>
void for_each_pid(F visit) {
  DIR* const folder = ::opendir("/proc");
  if (folder == nullptr) return;
  while (const dirent* entry = ::readdir(folder)) {
    pid_t pid = 0;
    const char* end = entry->d_name + std::strlen(entry->d_name);
    if (const auto [at, error] = std::from_chars(entry->d_name, end, pid); error == std::errc() && at == end)
      visit(pid);
  }
  ::closedir(folder);
}

std::string proc(pid_t pid, const char* name) { return "/proc/" + std::to_string(pid) + "/" + name; }

// Everything behind the command's closing bracket is numbers; the command may hold anything.
bool parse_stat(const std::string& text, ProcessInfo& info) {
  const auto close = text.rfind(')');
  if (close == std::string::npos || close + 2 >= text.size()) return false;
  info.state = text[close + 2];
  const char* at = text.c_str() + close + 3;
  std::uint64_t fields[22] = {};
  for (auto& field : fields) {
    char* end = nullptr;
    field = std::strtoull(at, &end, 10);
    if (end == at) return false;
    at = end;
  }
  // fields[0] is the fourth of proc(5): the parent.
  info.parent = static_cast<pid_t>(fields[0]);
  info.cpu_ticks = fields[10] + fields[11];
  info.start_ticks = fields[18];
  info.memory_bytes = fields[20] * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return true;
}

std::string command_of(pid_t pid, const std::string& stat) {
  std::string line = content(proc(pid, "cmdline"), 4096);
  line.resize(std::min<std::size_t>(line.size(), 4096));
  while (!line.empty() && line.back() == '\0') line.pop_back();
  std::ranges::replace(line, '\0', ' ');
  if (!line.empty()) return line;
  const auto open = stat.find('('), close = stat.rfind(')');
  return open == std::string::npos || close == std::string::npos ? "?"
                                                                 : "[" + stat.substr(open + 1, close - open - 1) + "]";
}

// Separated by anything else.
std::vector<pid_t> numbers(const std::string& text) {
  std::vector<pid_t> out;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    pid_t pid = 0;
    const auto [next, error] = std::from_chars(at, end, pid);
    if (error == std::errc() && pid > 0) out.push_back(pid);
    at = next == at ? at + 1 : next;
  }
  return out;
}

bool ended(pid_t pid) {
  ProcessInfo info;
  return !parse_stat(content(proc(pid, "stat"), 4096), info) || info.state == 'Z' || info.state == 'X';
}

}  // namespace

std::map<pid_t, ProcessInfo> processes(bool commands) {
  std::map<pid_t, ProcessInfo> all;
  for_each_pid([&](pid_t pid) {
    const std::string stat = content(proc(pid, "stat"), 4096);
    ProcessInfo info{.pid = pid};
    if (!parse_stat(stat, info)) return;
    if (commands) info.command = command_of(pid, stat);
    all.emplace(pid, std::move(info));
  });
  return all;
}

std::vector<pid_t> descendants(const std::map<pid_t, ProcessInfo>& all, pid_t root) {
  std::multimap<pid_t, pid_t> children;
  for (const auto& [pid, info] : all) children.emplace(info.parent, pid);
  std::vector<pid_t> below, out;
  std::set<pid_t> known{root};
  below.push_back(root);
  while (!below.empty()) {
    const pid_t parent = below.back();
    below.pop_back();
    for (auto [at, end] = children.equal_range(parent); at != end; ++at) {
      if (!known.insert(at->second).second) continue;
      below.push_back(at->second);
      if (const char state = all.at(at->second).state; state != 'Z' && state != 'X') out.push_back(at->second);
    }
  }
  return out;
}

std::vector<pid_t> own_descendants() {
  std::vector<pid_t> out;
  std::set<pid_t> known{::getpid()};
  std::vector<pid_t> todo{::getpid()};
  while (!todo.empty()) {
    const std::string tasks = proc(todo.back(), "task");
    const bool self = todo.back() == ::getpid();
    todo.pop_back();
    DIR* const folder = ::opendir(tasks.c_str());
    if (folder == nullptr) continue;
    while (const dirent* entry = ::readdir(folder)) {
      if (entry->d_name[0] == '.') continue;
      const std::string list = tasks + "/" + entry->d_name + "/children";
      if (self && ::access(list.c_str(), R_OK) != 0) {
        ::closedir(folder);
        return descendants(processes(), ::getpid());
      }
      for (const pid_t child : numbers(content(list, 1u << 20))) {
        if (!known.insert(child).second) continue;
        todo.push_back(child);
        if (!ended(child)) out.push_back(child);
      }
    }
    ::closedir(folder);
  }
  return out;
}

bool childless() {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD;
}

std::vector<pid_t> marked(std::string_view entry) {
  std::vector<pid_t> out;
  const std::string needle = '\0' + std::string(entry) + '\0';
  for_each_pid([&](pid_t pid) {
    if (pid == ::getpid()) return;
    const std::string environment = '\0' + content(proc(pid, "environ"), 4u << 20) + '\0';
    if (environment.find(needle) != std::string::npos && !ended(pid)) out.push_back(pid);
  });
  return out;
}

std::vector<pid_t> members(const std::string& cgroup_folder) {
  std::vector<pid_t> out = numbers(content(cgroup_folder + "/cgroup.procs", 16u << 20));
  std::erase_if(out, ended);
  return out;
}

std::vector<SharedFile> shared_files(pid_t pid) {
  std::set<std::string> paths;
  const std::string maps = content(proc(pid, "maps"), 64u << 20);
  for (std::size_t at = maps.find(kShm); at != std::string::npos; at = maps.find(kShm, at + 1)) {
    const auto end = maps.find('\n', at);
    paths.insert(maps.substr(at, end == std::string::npos ? end : end - at));
  }
  const std::string fds = proc(pid, "fd");
  if (DIR* const folder = ::opendir(fds.c_str()); folder != nullptr) {
    while (const dirent* entry = ::readdir(folder)) {
      char target[4096];
      const ssize_t got = ::readlink((fds + "/" + entry->d_name).c_str(), target, sizeof target);
      if (got > 0 && std::string_view(target, static_cast<std::size_t>(got)).starts_with(kShm))
        paths.emplace(target, static_cast<std::size_t>(got));
    }
    ::closedir(folder);
  }
  std::vector<SharedFile> out;
  for (const std::string& path : paths) {
    struct stat info{};
    if (::lstat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode)) out.push_back({path, info.st_ino});
  }
  return out;
}

bool in_use(const SharedFile& file) {
  bool found = false;
  for_each_pid([&](pid_t pid) {
    if (found) return;
    for (const SharedFile& other : shared_files(pid)) found = found || other.path == file.path;
  });
  return found;
}

}  // namespace ff::ctl
