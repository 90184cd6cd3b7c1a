#include "ffctl/cluster/daemon_process.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iterator>
#include <sstream>

#include "ffctl/cluster/child.hpp"
#include "libcommon/base/file.hpp"
#include "libcommon/base/pipe.hpp"
#include "libcommon/base/unique_fd.hpp"

namespace ff::ctl {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t kPidFileMax = 256;
constexpr std::size_t kTailBytes = 2000;
constexpr std::size_t kEnvironmentMax = 8u << 20;
constexpr auto kKillPatience = 5s;

struct Stat {
  char state = '?';
  std::uint64_t start = 0;
};

// Of /proc/PID/stat; the name in it may hold anything.
std::optional<Stat> stat_of(pid_t pid) {
  const auto text = read_file(fmt::format("/proc/{}/stat", pid), 4096);
  if (!text) return std::nullopt;
  const std::size_t name_end = text->rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields(text->substr(name_end + 1));
  Stat stat;
  fields >> stat.state;
  std::string skipped;
  // state is the third field, the start the 22nd.
  for (int i = 4; i < 22; ++i) fields >> skipped;
  if (!(fields >> stat.start)) return std::nullopt;
  return stat;
}

bool lives(pid_t pid, std::uint64_t start) {
  const auto stat = stat_of(pid);
  return stat && stat->start == start && stat->state != 'Z';
}

struct PidFile {
  pid_t pid = -1;
  std::uint64_t start = 0;
};

std::optional<PidFile> read_pid_file(const std::string& path) {
  const auto text = read_file(path, kPidFileMax);
  if (!text) return std::nullopt;
  PidFile out;
  std::istringstream fields(*text);
  if (!(fields >> out.pid >> out.start) || out.pid <= 1) return std::nullopt;
  return out;
}

// In the child: only calls that are safe after fork().
[[noreturn]] void become(const DaemonCommand& command, const std::vector<char*>& words, char* const* environment,
                         int log, int go, int report) {
  ::setsid();
  char byte = 0;
  ssize_t got = 0;
  do {
    got = ::read(go, &byte, 1);
  } while (got < 0 && errno == EINTR);
  if (got != 1) ::_exit(127);  // nobody would know of it
  const int null = ::open("/dev/null", O_RDONLY);
  int error = 0;
  if (null < 0 || ::dup2(null, 0) < 0 || ::dup2(log, 1) < 0 || ::dup2(log, 2) < 0 ||
      ::chdir(command.folder.c_str()) != 0) {
    error = errno;
  } else {
    ::execve(words[0], words.data(), environment);
    error = errno;
  }
  (void)!::write(report, &error, sizeof(error));
  ::_exit(127);
}

bool wait_gone(const PidFile& daemon, std::chrono::milliseconds patience) {
  const auto until = std::chrono::steady_clock::now() + patience;
  for (;;) {
    // Where it is our child.
    ::waitpid(daemon.pid, nullptr, WNOHANG);
    if (!lives(daemon.pid, daemon.start)) return true;
    if (std::chrono::steady_clock::now() >= until) return false;
    const timespec pause{.tv_sec = 0, .tv_nsec = 10'000'000};
    ::nanosleep(&pause, nullptr);
  }
}

}  // namespace

std::optional<pid_t> running(const std::string& pid_file) {
  const auto daemon = read_pid_file(pid_file);
  if (!daemon) return std::nullopt;
  // A child of ours that has ended counts as gone.
  ::waitpid(daemon->pid, nullptr, WNOHANG);
  if (!lives(daemon->pid, daemon->start)) return std::nullopt;
  return daemon->pid;
}

Result<pid_t> start_daemon(const DaemonCommand& command) {
  const UniqueFd log(::open(command.log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!log) return fail(errno_error(command.log_file));
  FF_TRY_ASSIGN(Pipe said, make_pipe());
  FF_TRY_ASSIGN(Pipe go, make_pipe());
  std::vector<char*> words;
  for (const std::string& word : command.words) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  const std::vector<std::string> variables = environment_with(command.environment);
  std::vector<char*> environment;
  for (const std::string& one : variables) environment.push_back(const_cast<char*>(one.c_str()));
  environment.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid < 0) return fail(errno_error(command.name + ": fork"));
  if (pid == 0) {
    // Its own copy of the other end would keep it waiting for us when we are gone.
    ::close(go.write.get());
    become(command, words, environment.data(), log.get(), go.read.get(), said.write.get());
  }
  said.write.reset();
  go.read.reset();
  const auto stat = stat_of(pid);
  const auto told = write_file_atomic(command.pid_file, fmt::format("{} {}\n", pid, stat ? stat->start : 0));
  const char byte = 1;
  if (told) (void)!::write(go.write.get(), &byte, 1);
  go.write.reset();
  int error = 0;
  ssize_t got = 0;
  do {
    got = ::read(said.read.get(), &error, sizeof(error));
  } while (got < 0 && errno == EINTR);
  if (!told || got > 0) {
    ::waitpid(pid, nullptr, 0);
    if (!told) return fail(told.error());
    ::unlink(command.pid_file.c_str());
    return fail(errno_error(fmt::format("{}: {}", command.name, command.words.front()), error));
  }
  return pid;
}

Result<bool> stop_daemon(const std::string& pid_file, std::chrono::milliseconds patience) {
  bool killed = false;
  if (const auto daemon = read_pid_file(pid_file); daemon && lives(daemon->pid, daemon->start)) {
    if (::kill(daemon->pid, SIGTERM) != 0 && errno != ESRCH)
      return fail(errno_error(fmt::format("process {}", daemon->pid)));
    if (!wait_gone(*daemon, patience)) {
      killed = true;
      ::kill(daemon->pid, SIGKILL);
      if (!wait_gone(*daemon, kKillPatience))
        return fail(Errc::kTimeout, fmt::format("process {}: lives although it was killed", daemon->pid));
    }
  }
  if (::unlink(pid_file.c_str()) != 0 && errno != ENOENT) return fail(errno_error(pid_file));
  return killed;
}

std::string log_tail(const std::string& log_file) {
  std::ifstream file(log_file, std::ios::binary | std::ios::ate);
  if (!file) return "";
  const auto size = static_cast<std::size_t>(file.tellg());
  file.seekg(static_cast<std::streamoff>(size - std::min(size, kTailBytes)));
  std::string text{std::istreambuf_iterator<char>(file), {}};
  while (text.ends_with('\n')) text.pop_back();
  // The last line says most.
  const std::size_t line = text.rfind('\n');
  return line == std::string::npos ? text : text.substr(line + 1);
}

std::vector<pid_t> ranks_below(const std::string& folder) {
  std::vector<pid_t> found;
  DIR* const proc = ::opendir("/proc");
  if (proc == nullptr) return found;
  const std::string entry = "FF_CTL=" + folder + "/";
  const std::string keeper = std::string("ffrank\0", 7) + folder + "/";
  while (const dirent* one = ::readdir(proc)) {
    const std::string_view name = one->d_name;
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error != std::errc() || end != name.data() + name.size() || pid == ::getpid()) continue;
    const auto environment = read_file(fmt::format("/proc/{}/environ", pid), kEnvironmentMax);
    const auto words = read_file(fmt::format("/proc/{}/cmdline", pid), kEnvironmentMax);
    const bool rank =
        environment && (environment->starts_with(entry) || environment->find('\0' + entry) != std::string::npos);
    if (rank || (words && words->find(keeper) != std::string::npos)) found.push_back(pid);
  }
  ::closedir(proc);
  return found;
}

}  // namespace ff::ctl
