#include "ffbench/net/agent_process.hpp"

#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>

#include "ffbench/net/serve.hpp"
#include "hfreduce/run/start_spec.hpp"

namespace ff::bench {

namespace run = hfreduce::run;

namespace {

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> out;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(separator, begin), text.size());
    out.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

}  // namespace

Result<std::optional<AgentReady>> parse_ready_line(const std::string& line) {
  const std::vector<std::string> words = split(line, ' ');
  if (words.front() != kReadyWord) return std::optional<AgentReady>();
  if (words.size() < 2 || words[1] != kReadyVersion)
    return fail(Errc::kUnsupported, "another version of ffbench runs there (install the same on all hosts)");
  AgentReady ready;
  const std::string port = words.size() == 4 ? words[2] : "";
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), ready.port);
  if (error != std::errc() || end != port.data() + port.size() || ready.port == 0)
    return fail(Errc::kCorrupt, fmt::format("the agent says '{}'", line));
  if (words[3] != "-") ready.addresses = split(words[3], ',');
  return ready;
}

Result<AgentProcess> AgentProcess::start(std::string name, std::vector<std::string> command) {
  AgentProcess out(std::move(name));
  FF_TRY_ASSIGN(run::FdPair in, run::make_socket_pair());  // no pipe: writing to one that is dead would end us
  FF_TRY_ASSIGN(run::FdPair from, run::make_pipe());
  run::SpawnSpec spec{.command = std::move(command), .env = run::merged_environment({})};
  spec.stdin_fd = in.first.get();
  spec.stdout_fd = from.second.get();
  auto child = run::spawn(spec);
  if (!child) return fail(std::move(child).error().context(fmt::format("peer {}", out.name_)));
  out.child_ = std::move(*child);
  out.to_ = std::move(in.second);
  out.from_ = std::move(from.first);
  return out;
}

AgentProcess AgentProcess::adopt(std::string name, UniqueFd socket, std::vector<std::string> command) {
  AgentProcess out(name);
  out.command_ = std::move(command);
  out.link_ = run::AgentLink::adopt({.host = std::move(name), .first_rank = 0, .count = 1}, std::move(socket));
  return out;
}

void AgentProcess::release() noexcept {
  to_.reset();
  from_.reset();
  if (link_) run::AgentLink::end({&*link_, 1});
}

AgentProcess::~AgentProcess() { end({this, 1}); }

void AgentProcess::end(std::span<AgentProcess> processes) noexcept {
  for (AgentProcess& process : processes) process.release();
  const Deadline deadline = Deadline::after(kEndWait);
  for (AgentProcess& process : processes) {
    run::Child& child = process.child_;
    if (child.pid <= 0 || !child.pidfd) continue;
    pollfd ended{child.pidfd.get(), POLLIN, 0};
    int ready = 0;
    while ((ready = ::poll(&ended, 1, deadline.poll_timeout_ms(60'000))) < 0 && errno == EINTR) {
    }
    // Its process group is its own: ssh's helpers go with it.
    if (ready == 0) ::kill(-child.pid, SIGKILL);
    while (::waitpid(child.pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    child = {};
  }
}

void AgentProcess::send_key(const std::string& key_line) noexcept {
  // A socket takes the one line at once; who does not read it, or is gone, shows later.
  if (!link_) (void)::send(to_.get(), key_line.data(), key_line.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

Result<std::string> AgentProcess::read_some() {
  char block[4096];
  const ssize_t n = ::read(from_.get(), block, sizeof block);
  if (n > 0) return std::string(block, static_cast<std::size_t>(n));
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return std::string();
  return fail(Errc::kUnavailable,
              "ended before it listened (what it said is above; does the same ffbench exist there?)");
}

Result<std::string> AgentProcess::read_from_link(const std::string& key_line) {
  std::string text;
  for (const run::Message& message : link_->read_some()) {
    if (message.front() == "hello") {
      run::StartSpec spec;
      spec.stdin_mode = run::StdinMode::kForward;
      spec.bind = false;
      spec.command = command_;
      spec.master_address = "127.0.0.1";
      spec.master_port = 1;
      link_->send(run::to_message(spec));
      link_->send({"stdin", key_line});
      while (link_->wants_write() && !link_->over()) link_->write_some();
    } else if (message.front() == "out" && message.size() > 3) {
      text += message[3];
    } else if (message.front() == "error" && message.size() > 1) {
      return fail(Errc::kUnavailable, message[1]);
    } else if (message.front() == "exit") {
      return fail(Errc::kUnavailable, "ended before it listened");
    }
  }
  if (link_->over()) return fail(Errc::kUnavailable, link_->lost_reason());
  return text;
}

Result<AgentReady> AgentProcess::wait_until_ready(const std::string& key_line, const Deadline& deadline,
                                                  const std::stop_token& stop) {
  const std::string object = fmt::format("peer {}", name_);
  std::string text;
  for (;;) {
    for (std::size_t end; (end = text.find('\n')) != std::string::npos; text.erase(0, end + 1)) {
      auto ready = parse_ready_line(text.substr(0, end));
      if (!ready) return fail(std::move(ready).error().context(object));
      if (*ready) return std::move(**ready);
    }
    if (stop.stop_requested()) return fail(Errc::kCancelled, "stopped on request");
    if (deadline.expired()) return fail(Errc::kTimeout, object + ": does not listen in time (see --timeout)");
    pollfd waiting{link_ ? link_->read_fd() : from_.get(), POLLIN, 0};
    if (::poll(&waiting, 1, deadline.poll_timeout_ms(50)) <= 0) continue;
    auto more = link_ ? read_from_link(key_line) : read_some();
    if (!more) return fail(std::move(more).error().context(object));
    text += *more;
    if (text.size() > (1u << 20)) return fail(Errc::kCorrupt, object + ": talks without end (a login script?)");
  }
}

}  // namespace ff::bench
