#include "ffctl/rank/rank_process.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <utility>
#include <vector>

#include "libcommon/base/pipe.hpp"

namespace ff::ctl {
namespace {

constexpr int kExecTimeoutMs = 30'000;  // a command on a dead network mount must not hold the agent for ever

enum class Stage : int { kCgroup, kUser, kWorkdir, kCommand };

struct Failure {
  Stage stage;
  int sys_errno;
};

struct Prepared {
  std::vector<char*> argv, envp;
  std::vector<gid_t> groups;
  std::string cgroup_procs;
};

std::vector<char*> pointers(const google::protobuf::RepeatedPtrField<std::string>& words) {
  std::vector<char*> out;
  for (const std::string& word : words) out.push_back(const_cast<char*>(word.c_str()));
  out.push_back(nullptr);
  return out;
}

std::vector<gid_t> groups_of(const RankStart& start) {
  if (start.user().empty()) return {start.gid()};
  std::vector<gid_t> groups(64);
  int count = static_cast<int>(groups.size());
  if (::getgrouplist(start.user().c_str(), start.gid(), groups.data(), &count) < 0) {
    groups.resize(static_cast<std::size_t>(std::max(count, 1)));
    if (::getgrouplist(start.user().c_str(), start.gid(), groups.data(), &count) < 0) return {start.gid()};
  }
  groups.resize(static_cast<std::size_t>(count));
  return groups;
}

bool enter_cgroup(const std::string& procs) {
  if (procs.empty()) return true;
  const int fd = ::open(procs.c_str(), O_WRONLY | O_CLOEXEC);
  const bool done = fd >= 0 && ::write(fd, "0", 1) == 1;
  const int error = errno;
  if (fd >= 0) ::close(fd);
  errno = error;
  return done;
}

bool become_user(const RankStart& start, const std::vector<gid_t>& groups) {
  return !start.change_user() ||
         (::setgroups(groups.size(), groups.data()) == 0 && ::setgid(start.gid()) == 0 && ::setuid(start.uid()) == 0);
}

void bind_to(const RankStart& start) {
  if (start.cpus().empty()) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const std::uint32_t cpu : start.cpus())
    if (cpu < CPU_SETSIZE) CPU_SET(cpu, &set);
  // Best effort: a core that has gone offline meanwhile is no reason not to start.
  ::sched_setaffinity(0, sizeof set, &set);
}

void default_signals() {
  for (int signo = 1; signo < NSIG; ++signo) ::signal(signo, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

[[noreturn]] void become_rank(const RankStart& start, const Prepared& prepared, pid_t parent, const int (&fds)[3],
                              int failure_fd) {
  const auto give_up = [&](Stage stage) {
    const Failure failure{stage, errno};
    [[maybe_unused]] const ssize_t wrote = ::write(failure_fd, &failure, sizeof failure);
    ::_exit(127);
  };
  ::setsid();
  if (!enter_cgroup(prepared.cgroup_procs)) give_up(Stage::kCgroup);
  for (int target = 0; target < 3; ++target) ::dup2(fds[target], target);
  ::close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
  bind_to(start);
  if (!become_user(start, prepared.groups)) give_up(Stage::kUser);
  // After the change of user, which takes it back.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  ::umask(022);
  if (!start.workdir().empty() && ::chdir(start.workdir().c_str()) != 0) give_up(Stage::kWorkdir);
  default_signals();
  environ = const_cast<char**>(prepared.envp.data());  // so that PATH is looked up in what the rank is given
  ::execvp(prepared.argv[0], const_cast<char**>(prepared.argv.data()));
  give_up(Stage::kCommand);
  ::_exit(127);
}

Error describe(const RankStart& start, const Failure& failure) {
  switch (failure.stage) {
    case Stage::kCgroup: return errno_error(fmt::format("enter cgroup '{}'", start.cgroup()), failure.sys_errno);
    case Stage::kUser: return errno_error(fmt::format("become user {}", start.uid()), failure.sys_errno);
    case Stage::kWorkdir: return errno_error(fmt::format("workdir '{}'", start.workdir()), failure.sys_errno);
    case Stage::kCommand: break;
  }
  return errno_error(fmt::format("start '{}'", start.command(0)), failure.sys_errno);
}

}  // namespace

Result<RankProcess> start_rank(const RankStart& start) {
  if (start.command().empty() || start.command(0).empty()) return fail(Errc::kInvalidArgument, "command: is empty");
  FF_TRY_ASSIGN(Pipe out, make_pipe());
  FF_TRY_ASSIGN(Pipe failure_pipe, make_pipe());
  const UniqueFd null_fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!null_fd) return fail(errno_error("/dev/null"));
  Prepared prepared{pointers(start.command()), pointers(start.environment()), groups_of(start), {}};
  if (!start.cgroup().empty()) prepared.cgroup_procs = start.cgroup() + "/cgroup.procs";
  const int fds[3] = {null_fd.get(), out.write.get(), out.write.get()};
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return fail(errno_error("fork"));
  if (pid == 0) become_rank(start, prepared, parent, fds, failure_pipe.write.get());
  failure_pipe.write.reset();
  const auto give_up = [&](Error error) -> Result<RankProcess> {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return fail(std::move(error));
  };
  pollfd readable{failure_pipe.read.get(), POLLIN, 0};
  int ready = 0;
  while ((ready = ::poll(&readable, 1, kExecTimeoutMs)) < 0 && errno == EINTR) {
  }
  if (ready == 0)
    return give_up(Error(Errc::kTimeout, fmt::format("start '{}': not started in 30s", start.command(0))));
  Failure failure{};
  if (::read(failure_pipe.read.get(), &failure, sizeof failure) == static_cast<ssize_t>(sizeof failure))
    return give_up(describe(start, failure));
  ::fcntl(out.read.get(), F_SETFL, O_NONBLOCK);
  return RankProcess{pid, std::move(out.read)};
}

}  // namespace ff::ctl
