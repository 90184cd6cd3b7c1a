// Each connection is in one of four states, each with a deadline:
//
//   reading --head complete--> handling --answer--> writing --kept alive--> reading
//                                                      `------closing----> draining --> closed
//
// Draining: after the last answer the sending side is shut and input is thrown away for a moment. Closing at once with
// input unread would send a reset, which may destroy the answer before the client has read it (RFC 9112, 9.6).
// Workers know a connection by its id only; the answer for one that is gone is dropped.
#include "libcommon/metrics/http_loop.hpp"

#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <list>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "libcommon/base/assert.hpp"
#include "libcommon/base/unique_fd.hpp"
#include "libcommon/metrics/http_listen.hpp"

namespace ff::metrics {
namespace {

using Clock = Deadline::Clock;

constexpr std::size_t kReadBytes = 4096;
constexpr unsigned kRequestsMax = 1000;  // of one connection
constexpr auto kAcceptPause = std::chrono::milliseconds(100);
constexpr auto kDrainTime = std::chrono::seconds(1);
constexpr std::size_t kDrainBytesMax = 256 << 10;
constexpr std::string_view kHeadEnd = "\r\n\r\n";

enum class State : std::uint8_t { kReading, kHandling, kWriting, kDraining };

struct Connection {
  std::uint64_t id;
  UniqueFd fd;
  State state;
  Clock::time_point deadline;
  Clock::time_point since;  // when it began to wait for its client
  std::string in;           // what came and was not handled; more than one head only if the client sends ahead
  std::string out;          // what is left to send begins at out_done
  std::size_t out_done = 0;
  bool close = false;  // after `out`
  unsigned requests = 0;
  std::size_t drained = 0;  // bytes
};

struct Job {
  std::uint64_t id;
  std::string head;
  bool last;
};

struct Finished {
  std::uint64_t id;
  HttpAnswer answer;
};

Result<> check(const HttpLoopOptions& options) {
  const auto refuse = [](std::string_view name, std::string_view range) {
    return fail(Errc::kInvalidArgument, fmt::format("http server: {} is out of range (give {})", name, range));
  };
  if (options.workers < 1 || options.workers > 64) return refuse("workers", "1 to 64");
  if (options.connections_max < 1 || options.connections_max > 1024) return refuse("connections_max", "1 to 1024");
  if (options.head_bytes_max < 256 || options.head_bytes_max > 1 << 20)
    return refuse("head_bytes_max", "256 bytes to 1 MiB");
  for (const auto timeout : {options.head_timeout, options.idle_timeout, options.handle_timeout, options.write_timeout})
    if (timeout <= std::chrono::nanoseconds(0) || timeout > std::chrono::hours(1))
      return refuse("a timeout", "more than 0 and up to 1 h");
  return {};
}

}  // namespace

class HttpLoop::Impl {
 public:
  Impl(HttpLoopOptions options, std::function<HttpReply(const HttpRequest&)> handler, UniqueFd listener, UniqueFd wake,
       std::uint16_t port)
      : options_(std::move(options)),
        endpoint_(endpoint_text(options_.address, port)),
        port_(port),
        messages_(std::move(handler)),
        listener_(std::move(listener)),
        wake_(std::move(wake)),
        accept_after_(Clock::time_point::min()) {}
  ~Impl() {
    // The deadline is kept by what waits; what does not end by then is waited for below.
    (void)stop(Deadline::after(std::chrono::seconds(2)));
    for (std::thread& worker : workers_) worker.join();
  }

  // Once. After an error only the destructor may follow.
  Result<> launch() {
    try {
      for (unsigned i = 0; i < options_.workers; ++i) workers_.emplace_back([this] { work(); });
      poller_ = std::thread([this] { poll_until_stopped(); });
    } catch (const std::system_error& thrown) {
      {
        const std::lock_guard lock(mutex_);
        stopped_ = true;
      }
      work_.notify_all();
      return fail(Errc::kExhausted,
                  fmt::format("http server {}: cannot start a thread: {} (raise the limit of processes)", endpoint_,
                              thrown.what()));
    }
    return {};
  }

  const std::string& endpoint() const noexcept { return endpoint_; }
  std::uint16_t port() const noexcept { return port_; }

  Result<> stop(Deadline deadline) {
    if (poller_.joinable()) {
      {
        const std::lock_guard lock(mutex_);
        stop_at_ = deadline.when();
        stopping_ = true;
      }
      wake();
      poller_.join();
    }
    std::unique_lock lock(mutex_);
    jobs_.clear();
    work_.notify_all();
    if (!idle_.wait_until(lock, deadline.when(), [&] { return working_ == 0; }))
      return fail(Errc::kTimeout,
                  fmt::format("http server {}: {} page(s) still being made (does a check or a source hang?)", endpoint_,
                              working_));
    return {};
  }

 private:
  // --- workers

  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      work_.wait(lock, [&] { return stopped_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      const Job job = std::move(jobs_.front());
      jobs_.pop_front();
      ++working_;
      lock.unlock();
      HttpAnswer answer = messages_.answer(job.head, job.last);
      lock.lock();
      finished_.push_back({job.id, std::move(answer)});
      if (--working_ == 0) idle_.notify_all();
      wake();
    }
  }

  void wake() noexcept {
    const std::uint64_t one = 1;
    // A full eventfd wakes as well.
    [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof one);
  }

  // --- the polling thread

  void poll_until_stopped() {
    std::vector<pollfd> polled;
    while (!finish_stopping()) {
      const bool accepting = listener_ && Clock::now() >= accept_after_ && has_room();
      polled.clear();
      polled.push_back({wake_.get(), POLLIN, 0});
      if (accepting) polled.push_back({listener_.get(), POLLIN, 0});
      const std::size_t first = polled.size();
      for (const Connection& c : connections_) polled.push_back({c.fd.get(), events_of(c), 0});
      // Fails for EINTR or for want of kernel memory only; the next round tries again.
      if (::poll(polled.data(), polled.size(), poll_timeout_ms()) < 0) std::this_thread::sleep_for(kAcceptPause / 100);
      if (polled[0].revents != 0) drain_wake();
      std::size_t i = first;
      for (auto c = connections_.begin(); c != connections_.end();) {
        const short ready = polled[i++].revents;
        const bool open = ready == 0 || serve(*c, ready);
        c = open ? std::next(c) : connections_.erase(c);
      }
      take_answers();
      expire();
      if (accepting && polled[1].revents != 0 && has_room()) accept_new();
    }
    connections_.clear();
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    work_.notify_all();
  }

  // Closes the listener and what is idle when a stop was asked for; true when nothing is left to do.
  bool finish_stopping() {
    Clock::time_point stop_at;
    {
      const std::lock_guard lock(mutex_);
      if (!stopping_) return false;
      stop_at = stop_at_;
    }
    listener_.reset();
    std::erase_if(connections_, [](const Connection& c) { return c.state == State::kReading; });
    for (Connection& c : connections_) {
      c.close = true;
      c.deadline = std::min(c.deadline, stop_at);
    }
    return connections_.empty() || Clock::now() >= stop_at;
  }

  static short events_of(const Connection& c) noexcept {
    switch (c.state) {
      case State::kReading:
      case State::kDraining: return POLLIN;
      case State::kWriting: return POLLOUT;
      case State::kHandling: break;
    }
    return 0;  // hang-ups are told all the same
  }

  int poll_timeout_ms() const noexcept {
    Clock::time_point next = Clock::now() + std::chrono::minutes(1);
    for (const Connection& c : connections_) next = std::min(next, c.deadline);
    if (listener_ && accept_after_ > Clock::now()) next = std::min(next, accept_after_);
    return Deadline(next).poll_timeout_ms(60'000);
  }

  void drain_wake() noexcept {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto bytes = ::read(wake_.get(), &count, sizeof count);
  }

  // False when the connection is done.
  bool serve(Connection& c, short ready) {
    switch (c.state) {
      case State::kReading: return read_head(c);
      case State::kHandling: return (ready & (POLLERR | POLLHUP | POLLNVAL)) == 0;
      case State::kWriting: return write_some(c);
      case State::kDraining: return drain(c);
    }
    return false;
  }

  bool read_head(Connection& c) {
    std::array<char, kReadBytes> bytes;
    // At most one head and a read more than that is kept.
    const ssize_t got = ::recv(c.fd.get(), bytes.data(), bytes.size(), 0);
    if (got < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
    if (got == 0) return false;
    if (c.in.empty()) c.deadline = Clock::now() + options_.head_timeout;
    c.in.append(bytes.data(), static_cast<std::size_t>(got));
    return next_request(c);
  }

  // Hands a complete head to the workers, or refuses one that is too long.
  bool next_request(Connection& c) {
    const std::size_t end = c.in.find(kHeadEnd);
    const std::size_t head_bytes = end == std::string::npos ? c.in.size() : end + kHeadEnd.size();
    if (head_bytes > options_.head_bytes_max)
      return begin_writing(
          c, {.bytes = refusal(431, "Request Header Fields Too Large",
                               fmt::format("request: head is longer than {} bytes", options_.head_bytes_max))});
    if (end == std::string::npos) return true;
    c.state = State::kHandling;
    c.deadline = Clock::now() + options_.handle_timeout;
    ++c.requests;
    {
      const std::lock_guard lock(mutex_);
      jobs_.push_back({c.id, c.in.substr(0, head_bytes), c.requests >= kRequestsMax});
    }
    work_.notify_one();
    c.in.erase(0, head_bytes);
    return true;
  }

  bool begin_writing(Connection& c, HttpAnswer answer) {
    c.state = State::kWriting;
    c.deadline = Clock::now() + options_.write_timeout;
    c.since = Clock::now();
    c.out = std::move(answer.bytes);
    c.out_done = 0;
    c.close = c.close || answer.close;
    return write_some(c);
  }

  bool write_some(Connection& c) {
    while (c.out_done < c.out.size()) {
      const ssize_t sent =
          ::send(c.fd.get(), c.out.data() + c.out_done, c.out.size() - c.out_done, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
      c.out_done += static_cast<std::size_t>(sent);
    }
    std::string().swap(c.out);  // an idle connection keeps no megabyte
    c.since = Clock::now();
    if (c.close) {
      ::shutdown(c.fd.get(), SHUT_WR);
      c.state = State::kDraining;
      c.deadline = Clock::now() + kDrainTime;
      return true;
    }
    c.state = State::kReading;
    c.deadline = Clock::now() + (c.in.empty() ? options_.idle_timeout : options_.head_timeout);
    return next_request(c);
  }

  bool drain(Connection& c) {
    std::array<char, kReadBytes> bytes;
    const ssize_t got = ::recv(c.fd.get(), bytes.data(), bytes.size(), 0);
    if (got > 0) return (c.drained += static_cast<std::size_t>(got)) <= kDrainBytesMax;
    return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
  }

  void take_answers() {
    std::vector<Finished> finished;
    {
      const std::lock_guard lock(mutex_);
      finished.swap(finished_);
    }
    for (Finished& done : finished) {
      const auto c = std::find_if(connections_.begin(), connections_.end(), [&](const Connection& candidate) {
        return candidate.id == done.id && candidate.state == State::kHandling;
      });
      if (c != connections_.end() && !begin_writing(*c, std::move(done.answer))) connections_.erase(c);
    }
  }

  void expire() {
    const auto now = Clock::now();
    for (auto c = connections_.begin(); c != connections_.end();) {
      const bool open = c->deadline > now || expired(*c);
      c = open ? std::next(c) : connections_.erase(c);
    }
  }

  // What a client is told when its time is up; false to close without a word.
  bool expired(Connection& c) {
    if (c.state == State::kReading && !c.in.empty())
      return begin_writing(c, {.bytes = refusal(408, "Request Timeout", "request: its head came too slowly")});
    if (c.state != State::kHandling) return false;
    {
      // Not begun yet: not worth beginning.
      const std::lock_guard lock(mutex_);
      std::erase_if(jobs_, [&](const Job& job) { return job.id == c.id; });
    }
    return begin_writing(
        c, {.bytes = refusal(503, "Service Unavailable", "page: takes too long (does a check or a source hang?)")});
  }

  void accept_new() {
    UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd) {
      // Out of descriptors or memory: the listener stays readable, so it is left alone for a while.
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
        accept_after_ = Clock::now() + kAcceptPause;
      return;
    }
    const int on = 1;
    // Only a delay is lost if this fails.
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const auto now = Clock::now();
    if (connections_.size() >= options_.connections_max) evict();
    connections_.emplace_back(Connection{.id = ++last_id_,
                                         .fd = std::move(fd),
                                         .state = State::kReading,
                                         .deadline = now + options_.head_timeout,
                                         .since = now,
                                         .in = {},
                                         .out = {}});
  }

  bool has_room() const noexcept {
    return connections_.size() < options_.connections_max ||
           std::any_of(connections_.begin(), connections_.end(), waits_for_client);
  }
  static bool waits_for_client(const Connection& c) noexcept { return c.state != State::kHandling; }

  // Closes the connection that has waited longest for its client, if any does.
  void evict() {
    auto longest = connections_.end();
    for (auto c = connections_.begin(); c != connections_.end(); ++c)
      if (waits_for_client(*c) && (longest == connections_.end() || c->since < longest->since)) longest = c;
    if (longest != connections_.end()) connections_.erase(longest);
  }

  const HttpLoopOptions options_;
  const std::string endpoint_;
  const std::uint16_t port_;
  const HttpMessages messages_;

  // The polling thread's own.
  UniqueFd listener_;
  UniqueFd wake_;  // written by all
  std::list<Connection> connections_;
  std::uint64_t last_id_ = 0;
  Clock::time_point accept_after_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable work_, idle_;
  std::deque<Job> jobs_;  // at most one for each connection
  std::vector<Finished> finished_;
  unsigned working_ = 0;
  bool stopping_ = false;
  bool stopped_ = false;  // the polling thread has ended
  Clock::time_point stop_at_;

  std::vector<std::thread> workers_;
  std::thread poller_;
};

HttpLoop::HttpLoop(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpLoop::~HttpLoop() = default;
const std::string& HttpLoop::endpoint() const noexcept { return impl_->endpoint(); }
std::uint16_t HttpLoop::port() const noexcept { return impl_->port(); }
Result<> HttpLoop::stop(Deadline deadline) { return impl_->stop(deadline); }

Result<std::unique_ptr<HttpLoop>> HttpLoop::start(HttpLoopOptions options,
                                                  std::function<HttpReply(const HttpRequest&)> handler) {
  FF_TRY(check(options));
  FF_ASSERT(handler != nullptr);
  FF_TRY_ASSIGN(UniqueFd listener, listen_on(options.address, options.port));
  FF_TRY_ASSIGN(const std::uint16_t port, port_of(listener.get()));
  UniqueFd wake(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!wake) return fail(errno_error("http server: eventfd"));
  auto impl =
      std::make_unique<Impl>(std::move(options), std::move(handler), std::move(listener), std::move(wake), port);
  FF_TRY(impl->launch());
  return std::unique_ptr<HttpLoop>(new HttpLoop(std::move(impl)));
}

}  // namespace ff::metrics
