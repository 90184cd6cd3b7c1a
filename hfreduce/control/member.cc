#include "hfreduce/control/member.hpp"

#include <fmt/core.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "libcommon/net/socket.hpp"

namespace ff::hfreduce::control {

Result<std::unique_ptr<Member>> Member::connect(const net::Address& coordinator, const Deadline& deadline) {
  auto fd = net::connect_to(coordinator, deadline);
  if (!fd)
    return fail(Error(fd.error().code(),
                      fmt::format("reach rank 0 at {}: {} (is rank 0 running, is MASTER_ADDR right?)",
                                  coordinator.text(), fd.error().message()),
                      fd.error().sys_errno()));
  FF_TRY_ASSIGN(const net::Address local, net::local_address(fd->get()));
  UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return fail(errno_error("control: eventfd"));
  return std::unique_ptr<Member>(new Member(std::move(*fd), std::move(wake), local.host));
}

Member::Member(UniqueFd fd, UniqueFd wake, std::string local)
    : fd_(std::move(fd)), wake_(std::move(wake)), local_address_(std::move(local)) {}

Member::~Member() {
  if (thread_.joinable()) {
    send(MessageType::kBye, encode(recorder_->state(), 0));
    stop_.store(true);
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(wake_.get(), &one, sizeof one);
    thread_.join();
  }
}

Result<std::vector<Hello>> Member::join(const Hello& hello, FlightRecorder* recorder, const Deadline& deadline) {
  rank_ = hello.rank;
  recorder_ = recorder;
  send(MessageType::kHello, encode(hello));
  // The coordinator's own deadline names the missing ranks; leave its answer the time to arrive.
  auto answer = receive(Deadline(deadline.when() + std::chrono::milliseconds(500)));
  if (!answer) return fail(std::move(answer).error().context("join as rank " + std::to_string(hello.rank)));
  if (answer->type == MessageType::kReject) {
    FF_TRY_ASSIGN(const Report why, decode_report(answer->body));
    return fail(why.kind == 1 ? Errc::kTimeout : Errc::kInvalidArgument,
                fmt::format("rank {} cannot join: {}", rank_, why.detail));
  }
  if (answer->type != MessageType::kWelcome) return fail(Errc::kCorrupt, "rank 0 answered a hello with something else");
  FF_TRY_ASSIGN(table_, decode_table(answer->body));
  if (table_.size() != static_cast<std::size_t>(hello.size)) return fail(Errc::kCorrupt, "rank table of another size");
  thread_ = std::thread([this] { serve(); });
  return table_;
}

// Blocking receive of one message, before the thread serves.
Result<Message> Member::receive(const Deadline& deadline) {
  for (;;) {
    FF_TRY_ASSIGN(auto message, reader_.next());
    if (message) return std::move(*message);
    pollfd p{fd_.get(), POLLIN, 0};
    if (::poll(&p, 1, deadline.poll_timeout_ms(60'000)) < 0 && errno != EINTR) return fail(errno_error("poll"));
    if (p.revents == 0) {
      if (deadline.expired()) return fail(Errc::kTimeout, "rank 0 did not answer in time");
      continue;
    }
    char block[65536];
    const ssize_t n = ::recv(fd_.get(), block, sizeof block, 0);
    if (n == 0) return fail(Errc::kUnavailable, "rank 0 closed the connection");
    if (n < 0 && errno != EAGAIN && errno != EINTR) return fail(errno_error("receive from rank 0"));
    if (n > 0) reader_.append({block, static_cast<std::size_t>(n)});
  }
}

Result<std::vector<std::string>> Member::exchange(std::string mine, const Deadline& deadline) {
  std::uint64_t round = 0;
  {
    const std::lock_guard lock(mutex_);
    round = round_;
    exchanged_ready_ = false;
  }
  send(MessageType::kExchange, encode_strings(round, {std::move(mine)}));
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, deadline.when(), [&] { return exchanged_ready_ || failed(); });
  if (exchanged_ready_) {
    ++round_;
    return std::move(exchanged_);
  }
  lock.unlock();
  if (failed()) return fail(verdict());
  return fail(report({Trouble::Kind::kTimeout, -1, "setup exchange not complete in time"}));
}

void Member::cut() { ::shutdown(fd_.get(), SHUT_RDWR); }

void Member::serve() {
  for (;;) {
    pollfd fds[2] = {{wake_.get(), POLLIN, 0}, {fd_.get(), POLLIN, 0}};
    if (::poll(fds, 2, 60'000) < 0 && errno != EINTR) return coordinator_gone("poll failed");
    if (stop_.load()) return;
    if (fds[1].revents == 0) continue;
    char block[65536];
    const ssize_t n = ::recv(fd_.get(), block, sizeof block, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (n <= 0) return coordinator_gone("the process ended or its connection was cut");
    reader_.append({block, static_cast<std::size_t>(n)});
    for (;;) {
      auto message = reader_.next();
      if (!message) return coordinator_gone(message.error().message());
      if (!*message) break;
      if (!handle(std::move(**message))) return coordinator_gone("it sent a malformed message");
    }
  }
}

bool Member::handle(Message message) {
  switch (message.type) {
    case MessageType::kProbe: {
      const auto probe = decode_number(message.body);
      if (!probe) return false;
      send(MessageType::kState, encode(recorder_->state(), *probe));
      return true;
    }
    case MessageType::kVerdict: {
      auto verdict = decode_verdict(message.body);
      if (!verdict) return false;
      settle(std::move(*verdict));
      return true;
    }
    case MessageType::kExchanged: {
      auto strings = decode_strings(message.body);
      if (!strings) return false;
      const std::lock_guard lock(mutex_);
      exchanged_ = std::move(strings->strings);
      exchanged_ready_ = true;
      changed_.notify_all();
      return true;
    }
    case MessageType::kBye: {
      const std::lock_guard lock(mutex_);
      coordinator_left_ = true;
      return true;
    }
    default: return false;
  }
}

void Member::coordinator_gone(std::string_view how) {
  {
    const std::lock_guard lock(mutex_);
    if (coordinator_left_) return;
  }
  const Hello& zero = table_[0];
  settle({Errc::kUnavailable,
          fmt::format("rank 0 (host {}, pid {}), which coordinates, is gone: {}", zero.host, zero.pid, how),
          {0}});
}

void Member::settle(Verdict verdict) {
  const std::lock_guard lock(mutex_);
  if (failed_.load(std::memory_order_relaxed)) return;
  verdict_ = std::move(verdict);
  failed_.store(true, std::memory_order_release);
  changed_.notify_all();
}

Error Member::verdict() const {
  const std::lock_guard lock(mutex_);
  return Error(verdict_.code, verdict_.message);
}

std::vector<int> Member::lost_ranks() const {
  const std::lock_guard lock(mutex_);
  return verdict_.lost;
}

Error Member::report(const Trouble& trouble) {
  if (!failed()) {
    send(MessageType::kReport,
         encode(Report{static_cast<std::uint8_t>(trouble.kind), trouble.suspect, trouble.detail}));
    std::unique_lock lock(mutex_);
    if (!coordinator_left_) changed_.wait_for(lock, kVerdictWait, [this] { return failed(); });
    const bool orphan = coordinator_left_;
    lock.unlock();
    if (!failed() && orphan) {
      // Rank 0 has left in good order, so there is no judge any more: say what we saw ourselves.
      const bool aborted = trouble.kind == Trouble::Kind::kAborted;
      settle({aborted ? Errc::kCancelled : Errc::kUnavailable,
              fmt::format("{}{} (rank 0 had left the communicator before)", trouble.detail,
                          trouble.suspect >= 0 ? fmt::format(", rank {} suspected", trouble.suspect) : ""),
              {}});
    } else if (!failed()) {
      const Hello& zero = table_[0];
      settle({Errc::kUnavailable,
              fmt::format(
                  "rank 0 (host {}, pid {}), which coordinates, does not answer: stopped or cut off; seen here: {}",
                  zero.host, zero.pid, trouble.detail),
              {0}});
    }
  }
  return verdict();
}

void Member::send(MessageType type, std::string_view body) {
  const std::string frame = encode_frame(type, body);
  const std::lock_guard lock(send_mutex_);
  const Deadline deadline = Deadline::after(std::chrono::seconds(1));
  std::string_view rest = frame;
  while (!rest.empty()) {
    const ssize_t n = ::send(fd_.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
    if (n > 0) {
      rest.remove_prefix(static_cast<std::size_t>(n));
      continue;
    }
    if (errno == EINTR) continue;
    // A broken connection is noticed by the reader; a coordinator that does not read for a second counts as silent.
    if (errno != EAGAIN || deadline.expired()) return;
    pollfd p{fd_.get(), POLLOUT, 0};
    ::poll(&p, 1, deadline.poll_timeout_ms(1000));
  }
}

}  // namespace ff::hfreduce::control
