#include "hfreduce/run/agent.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <optional>
#include <string>
#include <vector>

#include "hfreduce/run/cores.hpp"
#include "hfreduce/run/message.hpp"
#include "hfreduce/run/rendezvous.hpp"
#include "hfreduce/run/spawn.hpp"
#include "hfreduce/run/start_spec.hpp"
#include "libcommon/base/deadline.hpp"

namespace ff::hfreduce::run {
namespace {

// After the last rank's end its output is read for this long: a stray process that left the group may hold the pipe.
// Only time in which the agent may read counts, so that a slow reader of the output loses none of it.
constexpr std::chrono::nanoseconds kDrainWait = std::chrono::seconds(1);

struct Rank {
  int number = 0;
  Child child;
  std::array<UniqueFd, 2> output;  // stdout, stderr; reset at end of file
  bool ended = false;              // its exit is known; it stays a zombie so that its group's number stays taken
};

class Agent {
 public:
  Agent(int in_fd, int out_fd) : in_fd_(in_fd), out_fd_(out_fd) { set_nonblocking(out_fd); }
  ~Agent() { kill_all(); }

  int serve();

 private:
  void send(const Message& message) { pending_ += encode_message(message); }
  Result<> handle(const Message& message);
  Result<> bind(const Message& message);
  Result<> start(const StartSpec& spec);
  Result<> start_rank(const StartSpec& spec, int number, int null_fd);
  void stop(int signo);
  void signal_all(int signo);
  void kill_all();

  bool may_read() const { return pending_.size() < kOutputMax; }
  void poll_once();
  void drain();
  bool flush();
  bool read_commands();
  void read_output(Rank& rank, std::size_t stream);
  void feed_stdin();
  void note_exit(Rank& rank);
  bool all_ended() const;
  bool outputs_ended() const;
  int poll_timeout_ms() const;

  int in_fd_, out_fd_;
  MessageReader reader_;
  std::string pending_;  // for the launcher
  std::vector<Rank> ranks_;
  std::optional<Rendezvous> rendezvous_;
  UniqueFd stdin_pipe_;
  std::string stdin_pending_;
  bool stdin_ended_ = false;
  bool started_ = false;
  bool launcher_gone_ = false;
  std::chrono::milliseconds grace_{0};
  bool draining_ = false;
  std::chrono::nanoseconds drain_left_ = kDrainWait;
  std::optional<Deadline> kill_at_, silence_until_;
};

// As a shell says it: 127 for a command that is not there, 126 for one that may not be run.
int exit_code_for(Errc code) { return code == Errc::kNotFound ? 127 : code == Errc::kPermission ? 126 : 1; }

int Agent::serve() {
  send({"hello", kProtocolVersion});
  while (!launcher_gone_ && !(started_ && all_ended())) {
    poll_once();
    if (kill_at_ && kill_at_->expired()) {
      signal_all(SIGKILL);
      kill_at_.reset();
    }
  }
  signal_all(SIGKILL);  // what the ranks left behind in their groups
  drain();
  send({"end"});
  while (!launcher_gone_ && !pending_.empty()) poll_once();
  return launcher_gone_ ? 1 : 0;
}

void Agent::drain() {
  draining_ = true;
  while (!launcher_gone_ && !outputs_ended() && drain_left_.count() > 0) {
    const auto begin = std::chrono::steady_clock::now();
    const bool reads = may_read();
    poll_once();
    if (reads) drain_left_ -= std::chrono::steady_clock::now() - begin;
  }
  for (Rank& rank : ranks_)
    for (UniqueFd& fd : rank.output) fd.reset();
}

Result<> Agent::handle(const Message& message) {
  const std::string& verb = message[0];
  if (verb == "bind") return bind(message);
  if (verb == "start") {
    FF_TRY_ASSIGN(const StartSpec spec, start_spec_from(message));
    return start(spec);
  }
  if (verb == "stop") {
    FF_TRY_ASSIGN(const int signo, message_int(message, 1, 1, SIGRTMAX));
    stop(signo);
    return {};
  }
  if (verb == "ping") {
    FF_TRY_ASSIGN(const int silence_ms, message_int(message, 1, 1, 1 << 30));
    silence_until_ = Deadline::after(std::chrono::milliseconds(silence_ms));
    return {};
  }
  if (verb == "kill") {
    signal_all(SIGKILL);
    if (!started_) launcher_gone_ = true;
    return {};
  }
  if (verb == "stdin" && message.size() == 2) {
    if (stdin_pipe_) stdin_pending_ += message[1];
    return {};
  }
  if (verb == "stdin_end") {
    stdin_ended_ = true;
    return {};
  }
  return fail(Errc::kCorrupt, fmt::format("unknown message '{}'", verb));
}

Result<> Agent::bind(const Message& message) {
  if (message.size() != 3) return fail(Errc::kCorrupt, "bind message: not two fields");
  FF_TRY_ASSIGN(rendezvous_, bind_rendezvous(message[1], message[2] == "1"));
  send({"bound", rendezvous_->address, std::to_string(rendezvous_->port)});
  return {};
}

Result<> Agent::start(const StartSpec& spec) {
  if (started_) return fail(Errc::kCorrupt, "start message: started already");
  if (spec.pass_listener && !rendezvous_) return fail(Errc::kCorrupt, "start message: no socket was bound");
  started_ = true;
  grace_ = spec.grace;
  const UniqueFd null_fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!null_fd) return fail(errno_error("open '/dev/null'"));
  for (int i = 0; i < spec.count; ++i)
    FF_TRY_CTX(start_rank(spec, spec.first_rank + i, null_fd.get()), fmt::format("rank {}", spec.first_rank + i));
  rendezvous_.reset();  // rank 0 holds the socket now; when it dies, connecting is refused instead of hanging
  return {};
}

Result<> Agent::start_rank(const StartSpec& spec, int number, int null_fd) {
  const bool first = number == 0;
  FF_TRY_ASSIGN(FdPair out, make_pipe());
  FF_TRY_ASSIGN(FdPair err, make_pipe());
  FdPair in;
  SpawnSpec child{.command = spec.command, .folder = spec.folder};
  child.stdin_fd = null_fd;
  if (first && spec.stdin_mode == StdinMode::kInherit) child.stdin_fd = -1;
  if (first && spec.stdin_mode == StdinMode::kForward) {
    FF_TRY_ASSIGN(in, make_pipe());
    child.stdin_fd = in.first.get();
  }
  child.stdout_fd = out.second.get();
  child.stderr_fd = err.second.get();
  std::vector<std::string> env = spec.env;
  env.push_back(fmt::format("RANK={}", number));
  env.push_back(fmt::format("WORLD_SIZE={}", spec.world_size));
  env.push_back(fmt::format("LOCAL_RANK={}", number - spec.first_rank));
  env.push_back(fmt::format("LOCAL_WORLD_SIZE={}", spec.count));
  env.push_back(fmt::format("MASTER_ADDR={}", spec.master_address));
  env.push_back(fmt::format("MASTER_PORT={}", spec.master_port));
  if (first && spec.pass_listener) {
    child.keep_fd = rendezvous_->listener.get();
    env.push_back(fmt::format("HFR_LISTEN_FD={}", child.keep_fd));
  }
  child.env = merged_environment(env);
  if (spec.bind) child.cores = core_block(allowed_cores(), number - spec.first_rank, spec.count);
  // Inherited from an outer launcher, it would name a descriptor that is not ours.
  if (child.keep_fd < 0) std::erase_if(child.env, [](const std::string& e) { return e.starts_with("HFR_LISTEN_FD="); });
  FF_TRY_ASSIGN(Child process, spawn(child));
  if (in.second) {
    stdin_pipe_ = std::move(in.second);
    set_nonblocking(stdin_pipe_.get());
  }
  set_nonblocking(out.first.get());
  set_nonblocking(err.first.get());
  ranks_.push_back(Rank{number, std::move(process), {std::move(out.first), std::move(err.first)}});
  return {};
}

void Agent::stop(int signo) {
  if (!started_) {
    launcher_gone_ = true;
    return;
  }
  signal_all(signo);
  const Deadline kill_at = Deadline::after(grace_);
  kill_at_ = kill_at_ ? kill_at_->earlier(kill_at) : kill_at;
}

void Agent::signal_all(int signo) {
  for (const Rank& rank : ranks_) {
    // A rank that already ended has only strays in its group; those get the final signal, not the polite ones.
    if (rank.ended && signo != SIGKILL) continue;
    ::kill(-rank.child.pid, signo);
    // A stopped process only sees the signal once it runs again.
    if (signo != SIGKILL) ::kill(-rank.child.pid, SIGCONT);
  }
}

void Agent::kill_all() {
  signal_all(SIGKILL);
  for (const Rank& rank : ranks_) ::waitpid(rank.child.pid, nullptr, 0);
  ranks_.clear();
}

void Agent::poll_once() {
  const bool room = may_read();
  std::vector<pollfd> fds = {{in_fd_, POLLIN, 0},
                             {pending_.empty() ? -1 : out_fd_, POLLOUT, 0},
                             {stdin_pending_.empty() ? -1 : stdin_pipe_.get(), POLLOUT, 0}};
  const std::size_t fixed = fds.size();
  for (const Rank& rank : ranks_) {
    fds.push_back({rank.ended ? -1 : rank.child.pidfd.get(), POLLIN, 0});
    for (const UniqueFd& fd : rank.output) fds.push_back({room ? fd.get() : -1, POLLIN, 0});
  }
  const int ready = ::poll(fds.data(), fds.size(), poll_timeout_ms());
  // Only when nothing came: this process may itself have been stopped for long, with pings waiting to be read.
  if (ready == 0 && silence_until_ && silence_until_->expired()) launcher_gone_ = true;
  if (ready <= 0) return;
  if (fds[1].revents != 0 && !flush()) launcher_gone_ = true;
  if (fds[2].revents != 0) feed_stdin();
  // Before commands: `start` adds ranks, and then the list no longer matches what was polled.
  for (std::size_t i = 0; i < ranks_.size(); ++i) {
    const pollfd* polled = &fds[fixed + 3 * i];
    for (std::size_t stream = 0; stream < 2; ++stream)
      if (polled[1 + stream].revents != 0) read_output(ranks_[i], stream);
    if (polled[0].revents != 0) note_exit(ranks_[i]);
  }
  if (fds[0].revents != 0 && !read_commands()) launcher_gone_ = true;
  if (stdin_ended_ && stdin_pending_.empty()) stdin_pipe_.reset();
}

bool Agent::flush() {
  const ssize_t n = ::write(out_fd_, pending_.data(), pending_.size());
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  pending_.erase(0, static_cast<std::size_t>(n));
  return true;
}

// False when the launcher is gone or talks nonsense.
bool Agent::read_commands() {
  char block[65536];
  const ssize_t n = ::read(in_fd_, block, sizeof block);
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  if (n == 0) return false;
  reader_.feed({block, static_cast<std::size_t>(n)});
  for (;;) {
    auto message = reader_.next();
    if (message && !*message) return true;
    Result<> handled = message ? handle(**message) : Result<>(fail(message.error()));
    if (handled) continue;
    send({"error", handled.error().message(), std::to_string(exit_code_for(handled.error().code()))});
    signal_all(SIGKILL);
    if (ranks_.empty()) started_ = true;  // nothing to wait for: end now
    return true;
  }
}

void Agent::read_output(Rank& rank, std::size_t stream) {
  char block[32768];
  const ssize_t n = ::read(rank.output[stream].get(), block, sizeof block);
  if (n > 0) {
    send(
        {"out", std::to_string(rank.number), stream == 0 ? "1" : "2", std::string(block, static_cast<std::size_t>(n))});
  } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
    rank.output[stream].reset();
  }
}

void Agent::feed_stdin() {
  const ssize_t n = ::write(stdin_pipe_.get(), stdin_pending_.data(), stdin_pending_.size());
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  // A rank that closed its input does not want the rest; the launcher need not know.
  const std::size_t taken = n < 0 ? stdin_pending_.size() : static_cast<std::size_t>(n);
  stdin_pending_.erase(0, taken);
  if (n < 0) stdin_pipe_.reset();
  send({"stdin_taken", std::to_string(taken)});
}

void Agent::note_exit(Rank& rank) {
  siginfo_t info{};
  if (::waitid(P_PID, static_cast<id_t>(rank.child.pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
    return;
  // Its last words travel before the news of its end.
  for (std::size_t stream = 0; stream < 2; ++stream)
    if (rank.output[stream]) read_output(rank, stream);
  rank.ended = true;
  const bool exited = info.si_code == CLD_EXITED;
  send({"exit", std::to_string(rank.number), std::to_string(exited ? info.si_status : 128 + info.si_status),
        std::to_string(exited ? 0 : info.si_status)});
}

bool Agent::all_ended() const {
  for (const Rank& rank : ranks_)
    if (!rank.ended) return false;
  return true;
}

bool Agent::outputs_ended() const {
  for (const Rank& rank : ranks_)
    if (rank.output[0] || rank.output[1]) return false;
  return true;
}

int Agent::poll_timeout_ms() const {
  int timeout_ms = 60'000;
  if (kill_at_ && !draining_) timeout_ms = kill_at_->poll_timeout_ms(timeout_ms);
  if (silence_until_) timeout_ms = silence_until_->poll_timeout_ms(timeout_ms);
  if (draining_ && may_read() && !outputs_ended()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(drain_left_).count();
    timeout_ms = static_cast<int>(std::clamp<std::int64_t>(left, 0, timeout_ms));
  }
  return timeout_ms;
}

}  // namespace

int serve_agent(int in_fd, int out_fd) {
  ::signal(SIGPIPE, SIG_IGN);
  return Agent(in_fd, out_fd).serve();
}

}  // namespace ff::hfreduce::run
