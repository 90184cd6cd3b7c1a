#include "ffbench/compute/child_output.hpp"

#include <fmt/core.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "hfreduce/run/spawn.hpp"
#include "libcommon/base/byte_size.hpp"
#include "libcommon/base/deadline.hpp"
#include "libcommon/base/duration.hpp"

namespace ff::bench {
namespace {

namespace run = ff::hfreduce::run;

constexpr std::size_t kOutputMax = 64 * kMiB;
constexpr std::size_t kErrorsKept = 4 * kKiB;
constexpr auto kGrace = std::chrono::seconds(2);
constexpr int kLookMs = 50;  // how soon a stop is seen

// Reads what is there; false at the end of file.
bool drain(int fd, std::string& into) {
  std::array<char, 16 * kKiB> buffer;
  const ssize_t got = ::read(fd, buffer.data(), buffer.size());
  if (got > 0) into.append(buffer.data(), static_cast<std::size_t>(got));
  return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

int exit_code_of(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return 1;
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

// The child and the two pipes from it.
class Running {
 public:
  static Result<Running> start(const std::vector<std::string>& command) {
    FF_TRY_ASSIGN(run::FdPair out, run::make_pipe());
    FF_TRY_ASSIGN(run::FdPair errors, run::make_pipe());
    run::SpawnSpec spec;
    spec.command = command;
    spec.env = run::merged_environment({});
    spec.stdout_fd = out.second.get();
    spec.stderr_fd = errors.second.get();
    Running running;
    FF_TRY_ASSIGN(running.child_, run::spawn(spec));
    running.out_ = std::move(out.first);
    running.errors_ = std::move(errors.first);
    run::set_nonblocking(running.out_.get());
    run::set_nonblocking(running.errors_.get());
    return running;
  }
  Running(Running&&) = default;
  Running& operator=(Running&&) = delete;
  // Whatever ended this early, nothing of the child is left.
  ~Running() {
    if (!child_.pidfd || reaped_) return;
    ::kill(-child_.pid, SIGTERM);
    const Deadline grace = Deadline::after(kGrace);
    while (!ended(20) && !grace.expired()) {
    }
    ::kill(-child_.pid, SIGKILL);
    exit_code_of(child_.pid);
  }

  // Waits a moment for output or the end. False when the child has ended and both pipes are empty.
  bool step(ChildOutput& output) {
    std::array<pollfd, 3> fds = {pollfd{out_.get(), POLLIN, 0}, pollfd{errors_.get(), POLLIN, 0},
                                 pollfd{child_.pidfd.get(), POLLIN, 0}};
    ::poll(fds.data(), fds.size(), kLookMs);
    if (fds[0].revents != 0 && !drain(out_.get(), output.out)) out_.reset();
    if (fds[1].revents != 0 && !drain(errors_.get(), output.errors)) errors_.reset();
    if (output.errors.size() > 2 * kErrorsKept) output.errors.erase(0, output.errors.size() - kErrorsKept);
    // A grandchild may hold the pipes open for ever; the child's own end counts, after what it left in them.
    const bool silent = (fds[0].revents | fds[1].revents) == 0;
    return !(fds[2].revents != 0 && (silent || (!out_ && !errors_)));
  }

  int reap() {
    reaped_ = true;
    return exit_code_of(child_.pid);
  }

 private:
  Running() = default;
  bool ended(int ms) const {
    pollfd end{child_.pidfd.get(), POLLIN, 0};
    return ::poll(&end, 1, ms) == 1;
  }

  run::Child child_;
  UniqueFd out_, errors_;
  bool reaped_ = false;
};

}  // namespace

Result<ChildOutput> run_child(const std::vector<std::string>& command, std::chrono::nanoseconds timeout,
                              const std::stop_token& stop) {
  FF_TRY_ASSIGN(Running running, Running::start(command));
  const Deadline deadline = Deadline::after(timeout);
  ChildOutput output;
  while (running.step(output)) {
    if (stop.stop_requested()) return fail(Errc::kCancelled, fmt::format("{}: stopped", command.front()));
    if (deadline.expired())
      return fail(Errc::kTimeout,
                  fmt::format("{}: not done after {} (raise --timeout)", command.front(), format_duration(timeout)));
    if (output.out.size() > kOutputMax)
      return fail(Errc::kExhausted,
                  fmt::format("{}: printed more than {}", command.front(), format_byte_size(kOutputMax)));
  }
  output.exit_code = running.reap();
  if (output.errors.size() > kErrorsKept) output.errors.erase(0, output.errors.size() - kErrorsKept);
  return output;
}

}  // namespace ff::bench
