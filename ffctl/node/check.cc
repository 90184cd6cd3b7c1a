#include "ffctl/node/check.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "libcommon/base/deadline.hpp"
#include "libcommon/base/pipe.hpp"

namespace ff::ctl {
namespace {

constexpr std::size_t kOutputMax = 2u << 20;

}  // namespace

std::string ffbench_beside(const std::string& executable) {
  // In a build folder each program has a folder of its own.
  const std::string folder = executable.substr(0, executable.rfind('/'));
  for (const char* place : {"/ffbench", "/../ffbench/ffbench"})
    if (::access((folder + place).c_str(), X_OK) == 0) return folder + place;
  return "ffbench";
}

Result<CheckOutcome> run_node_check(const std::string& program, const std::string& level,
                                    std::chrono::milliseconds deadline) {
  if (level != "quick" && level != "full")
    return fail(Errc::kInvalidArgument, fmt::format("level '{}': no such level (quick or full)", level));
  FF_TRY_ASSIGN(Pipe pipe, make_pipe());
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, pipe.write.get(), 1);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  std::string words[] = {program, "node", "--level", level, "--json"};
  char* argv[] = {words[0].data(), words[1].data(), words[2].data(), words[3].data(), words[4].data(), nullptr};
  pid_t pid = 0;
  const int error = ::posix_spawnp(&pid, program.c_str(), &actions, &attributes, argv, environ);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    return fail(Errc::kNotFound,
                errno_error(program, error).message() + " (install ffbench beside ffnoded, or give --ffbench)");
  }
  pipe.write.reset();
  CheckOutcome outcome;
  const Deadline until = Deadline::after(deadline);
  char block[65536];
  bool timed_out = false;
  for (;;) {
    pollfd readable{pipe.read.get(), POLLIN, 0};
    const int ready = ::poll(&readable, 1, until.poll_timeout_ms(60'000));
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0 && until.poll_timeout_ms(1) > 0) continue;
    timed_out = ready <= 0;
    if (timed_out) break;
    const ssize_t got = ::read(pipe.read.get(), block, sizeof block);
    if (got <= 0) break;
    if (outcome.json.size() + static_cast<std::size_t>(got) <= kOutputMax)
      outcome.json.append(block, static_cast<std::size_t>(got));
  }
  if (timed_out) ::kill(-pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (timed_out) return fail(Errc::kTimeout, fmt::format("{} node: has not ended in {} ms", program, deadline.count()));
  outcome.exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return outcome;
}

}  // namespace ff::ctl
