#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "ffbench/view/gnuplot.hpp"
#include "libcommon/base/deadline.hpp"
#include "libcommon/base/defer.hpp"
#include "libcommon/base/pipe.hpp"
#include "libcommon/report/utf8.hpp"

extern char** environ;

namespace ff::bench {
namespace {

constexpr std::size_t kPictureBytesMax = 256u << 20, kComplaintBytesMax = 4096;

Result<pid_t> start(const std::string& program, int in, int out, int err) {
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  const Defer destroy([&] { ::posix_spawn_file_actions_destroy(&actions); });
  ::posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
  // "-d": without /etc/gnuplotrc and ~/.gnuplot, which may run anything.
  std::string name = program, plain = "-d";
  const std::array<char*, 3> arguments = {name.data(), plain.data(), nullptr};
  pid_t child = 0;
  const int refused = ::posix_spawnp(&child, program.c_str(), &actions, nullptr, arguments.data(), environ);
  if (refused == ENOENT)
    return fail(Errc::kUnsupported,
                fmt::format("{}: not installed (install gnuplot, or print the script with --script)", program));
  if (refused != 0) return fail(errno_error(program, refused));
  return child;
}

// Appends what is there; false at the end. Keeps reading beyond `bytes_max`, so that the child does not block.
bool drain(int fd, std::string& text, std::size_t bytes_max) {
  std::array<char, 65536> buffer;
  const ssize_t bytes = ::read(fd, buffer.data(), buffer.size());
  if (bytes < 0) return errno == EINTR;
  text.append(buffer.data(), std::min(static_cast<std::size_t>(bytes), bytes_max - text.size()));
  return bytes > 0;
}

// Reads both until their ends; false when the deadline passes before.
bool collect(const Pipe& out, const Pipe& err, std::string& picture, std::string& complaint, Deadline deadline) {
  std::array<pollfd, 2> waiting = {pollfd{.fd = out.read.get(), .events = POLLIN, .revents = 0},
                                   pollfd{.fd = err.read.get(), .events = POLLIN, .revents = 0}};
  while (waiting[0].fd >= 0 || waiting[1].fd >= 0) {
    if (deadline.expired()) return false;
    if (::poll(waiting.data(), waiting.size(), deadline.poll_timeout_ms(1000)) < 0 && errno != EINTR) return false;
    if (waiting[0].revents != 0 && !drain(waiting[0].fd, picture, kPictureBytesMax)) waiting[0].fd = -1;
    if (waiting[1].revents != 0 && !drain(waiting[1].fd, complaint, kComplaintBytesMax)) waiting[1].fd = -1;
  }
  return true;
}

}  // namespace

Result<std::string> run_gnuplot(std::string_view script, const std::string& program, std::chrono::nanoseconds limit) {
  const Deadline deadline = Deadline::after(limit);
  FF_TRY_ASSIGN(const UniqueFd in, text_file(script));
  FF_TRY_ASSIGN(Pipe out, make_pipe());
  FF_TRY_ASSIGN(Pipe err, make_pipe());
  FF_TRY_ASSIGN(const pid_t child, start(program, in.get(), out.write.get(), err.write.get()));
  out.write.reset();
  err.write.reset();
  std::string picture, complaint;
  const bool finished = collect(out, err, picture, complaint, deadline);
  // After both ends have closed nothing is left but its exit; a child that closed them and stays is killed as well.
  if (!finished) ::kill(child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    if (deadline.expired()) ::kill(child, SIGKILL);
    ::poll(nullptr, 0, 1);
  }
  if (!finished)
    return fail(Errc::kTimeout, fmt::format("{}: did not finish in {} s", program,
                                            std::chrono::duration_cast<std::chrono::seconds>(limit).count()));
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    return fail(Errc::kIo, fmt::format("{}: failed: {}", program, report::printable(complaint)));
  if (picture.empty())
    return fail(Errc::kIo, fmt::format("{}: drew nothing: {}", program, report::printable(complaint)));
  return picture;
}

}  // namespace ff::bench
