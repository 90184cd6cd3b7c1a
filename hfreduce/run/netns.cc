// The order of things: the launcher makes the sockets and forks the hub. The hub enters its own (user and) network
// namespace, makes the bridge, and forks the agents; each leaves for a network namespace of its own and says so. Then
// the hub puts one end of a veth pair into each, the agents configure theirs, and the hub reports success. From then on
// the hub only waits for the agents' end, which follows the launcher's end through their sockets.

#include "hfreduce/run/netns.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "hfreduce/run/agent.hpp"
#include "hfreduce/run/spawn.hpp"
#include "libcommon/base/deadline.hpp"
#include "libcommon/base/file.hpp"

namespace ff::hfreduce::run {
namespace {

constexpr auto kSetupTimeout = std::chrono::seconds(30);

Result<> write_text(const char* path, const std::string& text) {
  const UniqueFd fd(::open(path, O_WRONLY | O_CLOEXEC));
  if (!fd) return fail(errno_error(fmt::format("open '{}'", path)));
  FF_TRY_CTX(write_all(fd.get(), std::as_bytes(std::span(text))), path);
  return {};
}

// A network namespace, inside a user namespace where the caller is not privileged.
Result<> enter_namespace() {
  if (::unshare(CLONE_NEWNET) == 0) return {};
  const uid_t uid = ::getuid();
  const gid_t gid = ::getgid();
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
    return fail(Errc::kUnsupported,
                fmt::format("network namespaces: {} (run as root, or allow unprivileged user namespaces: sysctl "
                            "kernel.unprivileged_userns_clone=1, user.max_user_namespaces>0)",
                            errno_error("unshare").message()));
  // Root inside, so that `ip` keeps its capabilities through exec; outside it is the same user as before.
  FF_TRY(write_text("/proc/self/setgroups", "deny"));
  FF_TRY(write_text("/proc/self/uid_map", fmt::format("0 {} 1\n", uid)));
  return write_text("/proc/self/gid_map", fmt::format("0 {} 1\n", gid));
}

// Runs `ip -batch -` over the lines.
Result<> run_ip(const std::string& lines) {
  FF_TRY_ASSIGN(FdPair in, make_pipe());
  FF_TRY_ASSIGN(FdPair err, make_pipe());
  const char* path = std::getenv("PATH");  // a user's often lacks the folders of administrators' tools
  SpawnSpec spec{
      .command = {"ip", "-batch", "-"},
      .env = merged_environment({fmt::format("PATH={}:/usr/sbin:/sbin", path ? path : "/usr/bin:/bin"), "LC_ALL=C"}),
      .stdin_fd = in.first.get(),
      .stdout_fd = err.second.get(),
      .stderr_fd = err.second.get()};
  auto child = spawn(spec);
  if (!child) return fail(Errc::kUnsupported, child.error().message() + " (install the package iproute2)");
  in.first.reset();
  err.second.reset();
  const Result<> written = write_all(in.second.get(), std::as_bytes(std::span(lines)));
  in.second.reset();
  std::string text;
  const Deadline deadline = Deadline::after(kSetupTimeout);
  char block[4096];
  for (;;) {
    pollfd readable{err.first.get(), POLLIN, 0};
    if (::poll(&readable, 1, deadline.poll_timeout_ms(60'000)) <= 0) {
      if (errno == EINTR && !deadline.expired()) continue;
      ::kill(child->pid, SIGKILL);
      break;
    }
    const ssize_t n = ::read(err.first.get(), block, sizeof block);
    if (n <= 0) break;
    text.append(block, static_cast<std::size_t>(n));
  }
  int status = 0;
  ::waitpid(child->pid, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && written) return {};
  while (text.ends_with('\n')) text.pop_back();
  return fail(Errc::kUnsupported,
              fmt::format("virtual network: ip: {} (needs the kernel modules bridge and veth: modprobe bridge veth)",
                          text.empty() ? "failed" : text.substr(0, text.find('\n'))));
}

// Pipes between the hub and one agent: "I left" and "go on".
struct Gate {
  FdPair left, go;
};

Result<> configure_agent(int index, Gate& gate) {
  if (::unshare(CLONE_NEWNET) != 0) return fail(errno_error("unshare the network of an agent"));
  gate.left.second.reset();
  char byte = 0;
  if (::read(gate.go.first.get(), &byte, 1) != 1) return fail(Errc::kCancelled, "the hub is gone");
  return run_ip(fmt::format("link set lo up\naddr add {}/24 dev eth0\nlink set eth0 up\n", netns_address(index)));
}

// Status pipes carry an error's text, or nothing and an end of file.
void tell(int fd, const Result<>& result) {
  if (result) return;
  const std::string& text = result.error().message();
  [[maybe_unused]] const ssize_t n = ::write(fd, text.data(), text.size());
}

std::string read_until_end(int fd, const Deadline& deadline) {
  std::string text;
  char block[1024];
  for (;;) {
    pollfd readable{fd, POLLIN, 0};
    const int ready = ::poll(&readable, 1, deadline.poll_timeout_ms(60'000));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return "virtual network: not ready in time";
    const ssize_t n = ::read(fd, block, sizeof block);
    if (n <= 0) return text;
    text.append(block, static_cast<std::size_t>(n));
  }
}

[[noreturn]] void run_agent(int index, UniqueFd& socket, Gate& gate, UniqueFd& status) {
  ::setpgid(0, 0);
  gate.left.first.reset();
  gate.go.second.reset();
  const Result<> ready = configure_agent(index, gate);
  tell(status.get(), ready);
  if (!ready) ::_exit(1);
  // Only the own socket stays: the others' must close when the launcher does.
  const int fd = ::dup2(socket.get(), 3);
  ::close_range(4, ~0u, 0);
  ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  ::_exit(serve_agent(fd, fd));
}

Result<> run_hub(std::vector<UniqueFd>& sockets, UniqueFd& status) {
  FF_TRY(enter_namespace());
  FF_TRY(run_ip("link set lo up\nlink add hfr0 type bridge\nlink set hfr0 up\n"));
  for (std::size_t i = 0; i < sockets.size(); ++i) {
    Gate gate;
    FF_TRY_ASSIGN(gate.left, make_pipe());
    FF_TRY_ASSIGN(gate.go, make_pipe());
    const pid_t pid = ::fork();
    if (pid < 0) return fail(errno_error("fork"));
    if (pid == 0) run_agent(static_cast<int>(i), sockets[i], gate, status);
    gate.left.second.reset();
    if (!read_until_end(gate.left.first.get(), Deadline::after(kSetupTimeout)).empty())
      return fail(Errc::kTimeout, "virtual network: an agent did not answer");
    FF_TRY(
        run_ip(fmt::format("link add veth{0} type veth peer name eth0 netns {1}\nlink set veth{0} master hfr0\n"
                           "link set veth{0} up\n",
                           i, pid)));
    FF_TRY_CTX(write_all(gate.go.second.get(), std::as_bytes(std::span("g", 1))), "virtual network");
  }
  return {};
}

}  // namespace

std::string netns_address(int index) { return fmt::format("10.77.0.{}", index + 1); }

Result<std::vector<UniqueFd>> start_netns_agents(int count) {
  std::vector<UniqueFd> ours, theirs;
  for (int i = 0; i < count; ++i) {
    FF_TRY_ASSIGN(FdPair pair, make_socket_pair());
    ours.push_back(std::move(pair.first));
    theirs.push_back(std::move(pair.second));
  }
  FF_TRY_ASSIGN(FdPair status, make_pipe());
  const pid_t pid = ::fork();
  if (pid < 0) return fail(errno_error("fork"));
  if (pid == 0) {
    // The hub leaves the launcher's process table behind by a second fork, so that nobody has to wait for it.
    if (::fork() != 0) ::_exit(0);
    ::setpgid(0, 0);
    reset_signals();
    ours.clear();
    status.first.reset();
    const Result<> ready = run_hub(theirs, status.second);
    tell(status.second.get(), ready);
    theirs.clear();
    status.second.reset();
    if (!ready) ::_exit(1);
    ::close_range(0, ~0u, 0);  // not to keep the launcher's terminal or pipes open
    while (::wait(nullptr) > 0 || errno == EINTR) {
    }
    ::_exit(0);
  }
  ::waitpid(pid, nullptr, 0);
  theirs.clear();
  status.second.reset();
  if (std::string text = read_until_end(status.first.get(), Deadline::after(kSetupTimeout)); !text.empty())
    return fail(Errc::kUnsupported, text);
  return ours;
}

}  // namespace ff::hfreduce::run
