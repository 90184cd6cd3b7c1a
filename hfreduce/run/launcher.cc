// One poll loop over the agents, the signals and the two outputs.
//
//   connect: wait for every agent's hello -> bind: rank 0's agent binds the rendezvous -> run: all agents start their
//   ranks -> stopping: entered at the first failure, signal or the time limit -> done: every agent has ended or is lost

#include "hfreduce/run/launcher.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>

#include "hfreduce/run/agent.hpp"
#include "hfreduce/run/agent_link.hpp"
#include "hfreduce/run/netns.hpp"
#include "hfreduce/run/output.hpp"
#include "hfreduce/run/start_spec.hpp"
#include "libcommon/base/deadline.hpp"
#include "libcommon/base/duration.hpp"

namespace ff::hfreduce::run {
namespace {

// A launcher whose machine died sends no end of its connections. To agents elsewhere it shows that it lives, and how
// long it may be silent.
constexpr std::chrono::seconds kPingEvery{5};
constexpr std::chrono::seconds kSilenceMax{60};
// How long after the ranks' SIGKILL an agent may take to say that they are gone.
constexpr auto kAgentPatience = std::chrono::seconds(3);

Result<std::string> random_token() {
  std::array<unsigned char, 16> bytes;
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    return fail(errno_error("getrandom"));
  std::string token;
  for (const unsigned char byte : bytes) token += fmt::format("{:02x}", byte);
  return token;
}

// Takes the terminating signals for a scope, except those that are ignored from outside (nohup).
class SignalScope {
 public:
  SignalScope() {
    sigset_t taken;
    ::sigemptyset(&taken);
    for (const int signo : {SIGINT, SIGTERM, SIGHUP}) {
      struct sigaction action{};
      if (::sigaction(signo, nullptr, &action) == 0 && action.sa_handler != SIG_IGN) ::sigaddset(&taken, signo);
    }
    ::sigprocmask(SIG_BLOCK, &taken, &before_);
    old_pipe_ = ::signal(SIGPIPE, SIG_IGN);
    fd_.reset(::signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK));
  }
  SignalScope(const SignalScope&) = delete;
  SignalScope& operator=(const SignalScope&) = delete;
  ~SignalScope() {
    ::signal(SIGPIPE, old_pipe_);
    ::sigprocmask(SIG_SETMASK, &before_, nullptr);
  }
  int fd() const noexcept { return fd_.get(); }
  // 0 when there is none.
  int take() {
    signalfd_siginfo info{};
    return ::read(fd_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info) ? static_cast<int>(info.ssi_signo)
                                                                                      : 0;
  }

 private:
  sigset_t before_{};
  sighandler_t old_pipe_ = SIG_DFL;
  UniqueFd fd_;
};

// The host in ssh's USER@HOST.
std::string name_of(const std::string& host) { return host.substr(host.find('@') + 1); }

struct RankState {
  std::array<LineBuffer, 2> lines;
  bool ended = false;
};

class Launcher {
 public:
  explicit Launcher(const LaunchOptions& options) : options_(options) {}
  ~Launcher() { AgentLink::end(links_); }
  Result<int> run();

 private:
  Result<> connect();
  Result<> start_ranks();
  void make_rank_states();
  void poll_once();
  void on_message(AgentLink& link, const Message& message);
  Result<> handle(AgentLink& link, const Message& message);
  void on_exit(const AgentLink& link, int rank, int code, int signo);
  void on_signal(int signo);
  void on_deadlines();
  void ping();
  bool may_read() const { return !out_.full() && !err_.full(); }
  void check_lost();
  void forward_stdin();
  void write_outputs(const pollfd& out, const pollfd& err);
  void say(const std::string& text) { err_.append("hfreduce run: " + text + "\n"); }
  void fail_with(int code, const std::string& why);
  void stop_all(int signo);
  void kill_all();
  bool all_over() const;
  bool all_in(AgentLink::State state) const;
  StdinMode stdin_mode() const;

  const LaunchOptions& options_;
  SignalScope signals_;
  std::vector<AgentLink> links_;
  std::vector<RankState> ranks_;
  OutputSink out_{STDOUT_FILENO}, err_{STDERR_FILENO};
  LogFolder logs_;
  std::string master_address_;
  int master_port_ = 0;
  bool bound_ = false, started_ = false;
  std::optional<int> exit_code_;
  int signals_seen_ = 0;
  std::optional<Deadline> limit_, connect_limit_, kill_at_, give_up_at_, ping_at_;
  bool forwarding_stdin_ = false;
  std::size_t stdin_in_flight_ = 0;
};

Result<int> Launcher::run() {
  if (!options_.log_folder.empty()) {
    const Block& last = options_.blocks.back();
    FF_TRY_ASSIGN(logs_, LogFolder::create(options_.log_folder, last.first_rank + last.count));
  }
  if (options_.timeout.count() > 0) limit_ = Deadline::after(options_.timeout);
  FF_TRY(connect());
  make_rank_states();
  connect_limit_ = Deadline::after(options_.connect_timeout);
  while (!all_over()) {
    poll_once();
    if (!started_ && !exit_code_) {
      if (auto ready = start_ranks(); !ready) return fail(ready.error());
    }
    check_lost();
    on_deadlines();
    ping();
  }
  for (RankState& rank : ranks_) {
    std::string rest[2];
    for (std::size_t stream = 0; stream < 2; ++stream) rank.lines[stream].finish(rest[stream]);
    out_.append(rest[0]);
    err_.append(rest[1]);
  }
  // The readers of the outputs set the pace; a signal ends the wait.
  while ((!out_.empty() || !err_.empty()) && signals_seen_ < 2) {
    pollfd fds[3] = {{signals_.fd(), POLLIN, 0},
                     {out_.empty() ? -1 : out_.fd(), POLLOUT, 0},
                     {err_.empty() ? -1 : err_.fd(), POLLOUT, 0}};
    if (::poll(fds, 3, -1) < 0 && errno != EINTR) break;
    if (fds[0].revents != 0 && signals_.take() != 0) break;
    if (fds[1].revents != 0 && !out_.write_some()) break;
    if (fds[2].revents != 0 && !err_.write_some()) break;
  }
  return exit_code_.value_or(0);
}

Result<> Launcher::connect() {
  if (options_.netns) {
    FF_TRY_ASSIGN(std::vector<UniqueFd> sockets, start_netns_agents(static_cast<int>(options_.blocks.size())));
    for (std::size_t i = 0; i < sockets.size(); ++i)
      links_.push_back(AgentLink::adopt(options_.blocks[i], std::move(sockets[i])));
    return {};
  }
  std::string remote_path = options_.remote_path;
  if (remote_path.empty()) {
    FF_TRY_ASSIGN(remote_path, own_executable());
  }
  for (const Block& block : options_.blocks) {
    const bool here = !options_.ssh_always && names_this_machine(block.host);
    auto link = here ? AgentLink::local(block) : AgentLink::remote(block, options_.ssh, remote_path);
    if (!link) return fail(std::move(link).error().context(fmt::format("host '{}'", block.host)));
    if (!here) ping_at_ = Deadline::after(kPingEvery);
    links_.push_back(std::move(*link));
  }
  return {};
}

void Launcher::make_rank_states() {
  const Block& last = options_.blocks.back();
  const bool many = last.first_rank + last.count > 1;
  for (const Block& block : options_.blocks) {
    for (int i = 0; i < block.count; ++i) {
      std::string prefix = options_.prefix;
      auto replace = [&](std::string_view what, const std::string& with) {
        for (auto at = prefix.find(what); at != std::string::npos; at = prefix.find(what, at + with.size()))
          prefix.replace(at, what.size(), with);
      };
      replace("{rank}", std::to_string(block.first_rank + i));
      replace("{host}", block.host);
      ranks_.push_back(RankState{{LineBuffer(many && options_.prefix_stdout ? prefix : "", !many),
                                  LineBuffer(many && options_.prefix_stderr ? prefix : "", !many)}});
    }
  }
}

StdinMode Launcher::stdin_mode() const {
  if (::fcntl(STDIN_FILENO, F_GETFD) < 0) return StdinMode::kNull;
  // Rank 0 is in a process group of its own, which may not read from the terminal: the launcher reads for it, unless it
  // is itself in the background.
  if (::isatty(STDIN_FILENO) != 0)
    return ::tcgetpgrp(STDIN_FILENO) == ::getpgrp() ? StdinMode::kForward : StdinMode::kNull;
  // Handed down where possible: then a rank that does not read leaves the input to whoever comes next.
  return links_[0].is_remote() ? StdinMode::kForward : StdinMode::kInherit;
}

// The steps from "agents are there" to "ranks run"; called until started_.
Result<> Launcher::start_ranks() {
  if (!all_in(AgentLink::State::kReady)) return {};
  if (!bound_) {
    const bool wide = links_.size() > 1;
    if (options_.master_port != 0 && !options_.master_address.empty()) {
      master_address_ = options_.master_address;
    } else {
      // With a given port too: only rank 0's machine knows by which address others reach it.
      const std::string host = wide ? name_of(options_.blocks[0].host) : std::string();
      links_[0].send({"bind", options_.master_address.empty() ? host : options_.master_address, wide ? "1" : "0"});
    }
    bound_ = true;
  }
  if (master_address_.empty()) return {};
  if (options_.master_port != 0) master_port_ = options_.master_port;
  FF_TRY_ASSIGN(const std::string token, random_token());
  std::vector<std::string> env = options_.env;
  env.push_back("HFR_TOKEN=" + token);
  const StdinMode mode = stdin_mode();
  for (AgentLink& link : links_) {
    StartSpec spec;
    spec.first_rank = link.block().first_rank;
    spec.count = link.block().count;
    spec.world_size = static_cast<int>(ranks_.size());
    spec.master_address = master_address_;
    spec.master_port = master_port_;
    spec.pass_listener = options_.master_port == 0 && spec.first_rank == 0;
    spec.stdin_mode = spec.first_rank == 0 ? mode : StdinMode::kNull;
    spec.folder = options_.folder;
    spec.bind = options_.bind;
    spec.grace = std::chrono::ceil<std::chrono::milliseconds>(options_.grace);
    spec.env = env;
    spec.command = options_.command;
    link.send(to_message(spec));
    link.set_state(AgentLink::State::kRunning);
  }
  started_ = true;
  connect_limit_.reset();
  forwarding_stdin_ = mode == StdinMode::kForward;
  return {};
}

void Launcher::poll_once() {
  // Output that nobody takes holds the ranks back, all the way: the agents stop reading, the ranks' pipes fill.
  const bool room = may_read();
  std::vector<pollfd> fds = {{signals_.fd(), POLLIN, 0},
                             {out_.empty() ? -1 : out_.fd(), POLLOUT, 0},
                             {err_.empty() ? -1 : err_.fd(), POLLOUT, 0},
                             {forwarding_stdin_ && stdin_in_flight_ < kStdinWindow ? STDIN_FILENO : -1, POLLIN, 0}};
  const std::size_t fixed = fds.size();
  for (const AgentLink& link : links_) {
    fds.push_back({room && !link.over() ? link.read_fd() : -1, POLLIN, 0});
    fds.push_back({link.wants_write() ? link.write_fd() : -1, POLLOUT, 0});
  }
  int timeout_ms = 60'000;
  for (const auto& deadline : {limit_, connect_limit_, kill_at_, give_up_at_, ping_at_})
    if (deadline) timeout_ms = deadline->poll_timeout_ms(timeout_ms);
  if (::poll(fds.data(), fds.size(), timeout_ms) <= 0) return;
  if (fds[0].revents != 0)
    if (const int signo = signals_.take(); signo != 0) on_signal(signo);
  write_outputs(fds[1], fds[2]);
  if (fds[3].revents != 0) forward_stdin();
  for (std::size_t i = 0; i < links_.size(); ++i) {
    if (fds[fixed + 2 * i + 1].revents != 0) links_[i].write_some();
    if (fds[fixed + 2 * i].revents == 0) continue;
    for (const Message& message : links_[i].read_some()) on_message(links_[i], message);
  }
}

void Launcher::write_outputs(const pollfd& out, const pollfd& err) {
  auto write = [&](OutputSink& sink) {
    const auto written = sink.write_some();
    if (written || exit_code_) return;
    const bool reader_gone = written.error().sys_errno() == EPIPE;  // `| head`: quiet, as a shell would say it
    fail_with(reader_gone ? 128 + SIGPIPE : 1, reader_gone ? "" : written.error().message());
  };
  if (out.revents != 0) write(out_);
  if (err.revents != 0) write(err_);
}

void Launcher::forward_stdin() {
  char block[32768];
  const ssize_t n = ::read(STDIN_FILENO, block, sizeof block);
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (n <= 0) {
    forwarding_stdin_ = false;
    links_[0].send({"stdin_end"});
    return;
  }
  stdin_in_flight_ += static_cast<std::size_t>(n);
  links_[0].send({"stdin", std::string(block, static_cast<std::size_t>(n))});
}

void Launcher::on_message(AgentLink& link, const Message& message) {
  if (auto handled = handle(link, message); !handled) link.lose(handled.error().message());
}

Result<> Launcher::handle(AgentLink& link, const Message& message) {
  const std::string& verb = message[0];
  const int first = link.block().first_rank, last = first + link.block().count - 1;
  if (verb == "hello") {
    if (message.size() != 2 || message[1] != kProtocolVersion)
      return fail(Errc::kUnsupported, "another version of hfreduce runs there (install the same on all hosts)");
    if (link.state() == AgentLink::State::kConnecting) link.set_state(AgentLink::State::kReady);
    return {};
  }
  if (verb == "bound") {
    FF_TRY_ASSIGN(master_port_, message_int(message, 2, 1, 65535));
    master_address_ = message[1];
    return {};
  }
  if (verb == "out" && message.size() == 4) {
    FF_TRY_ASSIGN(const int rank, message_int(message, 1, first, last));
    FF_TRY_ASSIGN(const int stream, message_int(message, 2, 1, 2));
    std::string text;
    ranks_[static_cast<std::size_t>(rank)].lines[static_cast<std::size_t>(stream - 1)].feed(message[3], text);
    (stream == 1 ? out_ : err_).append(text);
    if (logs_)
      if (auto written = logs_.write(rank, stream, message[3]); !written && !exit_code_)
        fail_with(1, fmt::format("log of rank {}: {}", rank, written.error().message()));
    return {};
  }
  if (verb == "exit") {
    FF_TRY_ASSIGN(const int rank, message_int(message, 1, first, last));
    FF_TRY_ASSIGN(const int code, message_int(message, 2, 0, 255));
    FF_TRY_ASSIGN(const int signo, message_int(message, 3, 0, 127));
    on_exit(link, rank, code, signo);
    return {};
  }
  if (verb == "stdin_taken") {
    FF_TRY_ASSIGN(const int bytes, message_int(message, 1, 0, 1 << 30));
    stdin_in_flight_ -= std::min(stdin_in_flight_, static_cast<std::size_t>(bytes));
    return {};
  }
  if (verb == "error" && message.size() == 3) {
    FF_TRY_ASSIGN(const int code, message_int(message, 2, 1, 255));
    if (!exit_code_) fail_with(code, fmt::format("host {}: {}", link.block().host, message[1]));
    return {};
  }
  if (verb == "end") {
    link.set_state(AgentLink::State::kEnded);
    return {};
  }
  return fail(Errc::kCorrupt, fmt::format("unknown message '{}' from the agent", verb.substr(0, 40)));
}

void Launcher::on_exit(const AgentLink& link, int rank, int code, int signo) {
  ranks_[static_cast<std::size_t>(rank)].ended = true;
  if (rank == 0) forwarding_stdin_ = false;
  if (code == 0 || exit_code_) return;
  if (signals_seen_ > 0) {
    // It does what it was told, as the others do: they have the signal, and the grace period runs.
    exit_code_ = code;
    return;
  }
  fail_with(code, signo == 0 ? fmt::format("rank {} on host {} exited with code {}", rank, link.block().host, code)
                             : fmt::format("rank {} on host {} was killed by {} ({})", rank, link.block().host,
                                           signal_name(signo), ::strsignal(signo)));
}

void Launcher::fail_with(int code, const std::string& why) {
  exit_code_ = code;
  const bool others = std::ranges::count_if(ranks_, [](const RankState& rank) { return !rank.ended; }) > 0;
  if (!why.empty()) say(why + (others && started_ ? "; ending the others" : ""));
  stop_all(SIGTERM);
}

void Launcher::on_signal(int signo) {
  ++signals_seen_;
  if (signals_seen_ > 1) {
    say(fmt::format("{} again: killing the ranks", signal_name(signo)));
    kill_all();
  } else if (!started_) {
    exit_code_ = 128 + signo;
    kill_all();
  } else {
    say(fmt::format("{}: sent to {} ranks, SIGKILL follows after {}", signal_name(signo), ranks_.size(),
                    format_duration(options_.grace)));
    stop_all(signo);
  }
}

void Launcher::stop_all(int signo) {
  for (AgentLink& link : links_)
    if (!link.over()) link.send({"stop", std::to_string(signo)});
  if (!kill_at_ && !give_up_at_) kill_at_ = Deadline::after(options_.grace);
}

void Launcher::kill_all() {
  for (AgentLink& link : links_)
    if (!link.over()) link.send({"kill"});
  kill_at_.reset();
  if (!give_up_at_) give_up_at_ = Deadline::after(kAgentPatience);
}

void Launcher::on_deadlines() {
  if (limit_ && limit_->expired()) {
    limit_.reset();
    if (!exit_code_)
      fail_with(kExitTimeout, fmt::format("not done in {} (--timeout)", format_duration(options_.timeout)));
  }
  if (connect_limit_ && connect_limit_->expired()) {
    connect_limit_.reset();
    for (AgentLink& link : links_)
      if (link.state() == AgentLink::State::kConnecting) link.lose("no answer from the agent in time");
  }
  // The agents count the grace period themselves; this is for one whose connection is slow.
  if (kill_at_ && kill_at_->expired()) kill_all();
  if (give_up_at_ && give_up_at_->expired()) {
    if (!may_read() && signals_seen_ == 0) {  // it is the reader of our output that does not answer
      give_up_at_ = Deadline::after(kAgentPatience);
      return;
    }
    give_up_at_.reset();
    for (AgentLink& link : links_) link.lose("the agent does not answer");
  }
}

void Launcher::ping() {
  if (!ping_at_ || !ping_at_->expired()) return;
  ping_at_ = Deadline::after(kPingEvery);
  // A link that is stuck keeps what it has; more pings would only pile up.
  for (AgentLink& link : links_)
    if (link.is_remote() && !link.over() && !link.wants_write())
      link.send({"ping", std::to_string(std::chrono::milliseconds(kSilenceMax).count())});
}

void Launcher::check_lost() {
  for (const AgentLink& link : links_) {
    if (link.state() != AgentLink::State::kLost || exit_code_) continue;
    fail_with(1, fmt::format("host {}: {}", link.block().host, link.lost_reason()));
  }
}

bool Launcher::all_over() const {
  return std::ranges::all_of(links_, [](const AgentLink& link) { return link.over(); });
}

bool Launcher::all_in(AgentLink::State state) const {
  return std::ranges::all_of(links_, [&](const AgentLink& link) { return link.state() == state; });
}

}  // namespace

Result<int> launch(const LaunchOptions& options) {
  if (options.command.empty()) return fail(Errc::kInvalidArgument, "run: no command (write it after --)");
  if (options.blocks.empty()) return fail(Errc::kInvalidArgument, "run: no ranks");
  return Launcher(options).run();
}

}  // namespace ff::hfreduce::run
