#include "hfreduce/run/spawn.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>
#include <map>

namespace ff::hfreduce::run {
namespace {

constexpr int kExecTimeoutMs = 30'000;  // a command on a dead network mount must not hold the launcher for ever

// What the child says before it gives up; nothing when exec worked.
struct Failure {
  int sys_errno;
  bool in_chdir;
};

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> out;
  for (const std::string& word : words) out.push_back(const_cast<char*>(word.c_str()));
  out.push_back(nullptr);
  return out;
}

// A target below 3 may itself be a source (2>&1 style), so sources move out of the way first.
bool place_fds(const SpawnSpec& spec) noexcept {
  int sources[3] = {spec.stdin_fd, spec.stdout_fd, spec.stderr_fd};
  for (int& source : sources)
    if (source >= 0 && source < 3 && (source = ::fcntl(source, F_DUPFD_CLOEXEC, 3)) < 0) return false;
  for (int target = 0; target < 3; ++target)
    if (sources[target] >= 0 && ::dup2(sources[target], target) < 0) return false;
  return spec.keep_fd < 0 || ::fcntl(spec.keep_fd, F_SETFD, 0) == 0;
}

// Best effort: a core that has gone offline meanwhile is no reason not to start.
void bind_to(const std::vector<int>& cores) noexcept {
  if (cores.empty()) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int core : cores) CPU_SET(static_cast<unsigned>(core), &set);
  ::sched_setaffinity(0, sizeof set, &set);
}

[[noreturn]] void run_child(const SpawnSpec& spec, pid_t parent, int failure_fd, char** argv, char** envp) noexcept {
  ::setpgid(0, 0);
  if (!die_with_parent(parent)) ::_exit(127);
  Failure failure{0, false};
  if (!place_fds(spec)) {
    failure.sys_errno = errno;
  } else if (!spec.folder.empty() && ::chdir(spec.folder.c_str()) != 0) {
    failure = {errno, true};
  } else {
    reset_signals();
    bind_to(spec.cores);
    environ = envp;  // so that PATH is looked up in what the rank is given
    ::execvp(argv[0], argv);
    failure.sys_errno = errno;
  }
  [[maybe_unused]] const ssize_t written = ::write(failure_fd, &failure, sizeof failure);
  ::_exit(127);
}

}  // namespace

bool die_with_parent(pid_t expected) noexcept {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The parent may have died before the request was made; then nobody would ever send the signal.
  return ::getppid() == expected;
}

void reset_signals() noexcept {
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
}

Result<Child> spawn(const SpawnSpec& spec) {
  FF_TRY_ASSIGN(FdPair failure_pipe, make_pipe());
  const std::vector<char*> argv = pointers(spec.command);
  const std::vector<char*> envp = pointers(spec.env);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return fail(errno_error("fork"));
  if (pid == 0) {
    run_child(spec, parent, failure_pipe.second.get(), const_cast<char**>(argv.data()),
              const_cast<char**>(envp.data()));
  }
  ::setpgid(pid, pid);  // also here: whoever comes first, the group exists before it is signalled
  failure_pipe.second.reset();
  Child child{pid, UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)))};
  auto give_up = [&](Error error) -> Result<Child> {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return fail(std::move(error));
  };
  if (!child.pidfd) return give_up(errno_error("pidfd_open (Linux 5.4 or newer is needed)"));
  pollfd readable{failure_pipe.first.get(), POLLIN, 0};
  int ready = 0;
  while ((ready = ::poll(&readable, 1, kExecTimeoutMs)) < 0 && errno == EINTR) {
  }
  if (ready == 0) return give_up(Error(Errc::kTimeout, fmt::format("start '{}': not started in 30s", spec.command[0])));
  Failure failure{};
  if (::read(failure_pipe.first.get(), &failure, sizeof failure) == static_cast<ssize_t>(sizeof failure)) {
    if (!failure.in_chdir) return give_up(errno_error(fmt::format("start '{}'", spec.command[0]), failure.sys_errno));
    // Not kNotFound: that would mean the command.
    const Error error = errno_error(fmt::format("enter folder '{}'", spec.folder), failure.sys_errno);
    return give_up(Error(Errc::kIo, error.message(), error.sys_errno()));
  }
  return child;
}

std::vector<std::string> merged_environment(const std::vector<std::string>& changes) {
  std::map<std::string, std::string> merged;
  auto lay = [&](std::string_view entry) {
    const auto equals = entry.find('=');
    if (equals != std::string_view::npos) merged[std::string(entry.substr(0, equals))] = entry.substr(equals + 1);
  };
  for (char** entry = environ; *entry != nullptr; ++entry) lay(*entry);
  for (const std::string& entry : changes) lay(entry);
  std::vector<std::string> out;
  for (const auto& [key, value] : merged) out.push_back(key + "=" + value);
  return out;
}

Result<FdPair> make_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return fail(errno_error("pipe"));
  return FdPair{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

Result<FdPair> make_socket_pair() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) return fail(errno_error("socketpair"));
  return FdPair{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

void set_nonblocking(int fd) noexcept { ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK); }

Result<std::string> own_executable() {
  char path[PATH_MAX];
  const ssize_t n = ::readlink("/proc/self/exe", path, sizeof path);
  if (n < 0) return fail(errno_error("read link '/proc/self/exe'"));
  return std::string(path, static_cast<std::size_t>(n));
}

std::string signal_name(int signo) {
  const char* name = ::sigabbrev_np(signo);
  return name != nullptr ? fmt::format("SIG{}", name) : fmt::format("signal {}", signo);
}

}  // namespace ff::hfreduce::run
