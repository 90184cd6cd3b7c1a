#include "hfreduce/net/channel.hpp"

#include <fmt/core.h>
#include <sched.h>

#include <algorithm>
#include <ctime>

#include "hfreduce/net/connect.hpp"
#include "libcommon/base/assert.hpp"
#include "libcommon/base/duration.hpp"
#include "libcommon/net/socket.hpp"

namespace ff::hfreduce::net {
namespace {

constexpr auto kSpinTime = std::chrono::microseconds(50);
constexpr int kTriesBeforeYield = 4, kYields = 16;  // when ranks outnumber cores
constexpr int kPollSliceMs = 20;
constexpr long kGateSliceNs = 50000;
constexpr int kTurnsPerClock = 64;
constexpr auto kUserTimeoutMin = std::chrono::milliseconds(30000);

void pause_cpu() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

Channel::Channel(const NetOptions& options, TcpListener& listener, int number)
    : options_(options), listener_(listener), number_(number), links_(options.size, 2) {}

std::unexpected<Error> Channel::report(Trouble::Kind kind, int peer, std::string what) {
  // The first trouble anywhere decides; what follows from it (closed links) is not news.
  if (options_.failure->failed()) return fail(options_.failure->verdict());
  return fail(options_.failure->report({kind, global(peer), std::move(what)}));
}

std::unexpected<Error> Channel::broken(const Algorithm& algorithm, const Link& link, Link::Io io) {
  const std::string who = fmt::format("rank {}", global(link.peer()));
  if (io == Link::Io::kClosed)
    return report(Trouble::Kind::kLinkLost, link.peer(), fmt::format("link to {}: {}", who, link.error_text()));
  if (io == Link::Io::kCorrupt)
    return report(Trouble::Kind::kCorrupt, link.peer(), fmt::format("link to {}: {}", who, link.error_text()));
  return report(Trouble::Kind::kMismatch, link.peer(), fmt::format("{}: {}", who, algorithm.explain(link.header())));
}

const Link* Channel::owing() const noexcept {
  const Link* silent = nullptr;
  for (const Link* link : active_)
    if (link->expected() > 0 && !link->blocked() && (silent == nullptr || link->last_tick < silent->last_tick))
      silent = link;
  if (silent != nullptr) return silent;
  for (const Link* link : active_)
    if (link->sending() && (silent == nullptr || link->last_tick < silent->last_tick)) silent = link;
  return silent;
}

std::unexpected<Error> Channel::timed_out() {
  const Link* link = owing();
  if (link == nullptr)
    return report(Trouble::Kind::kTimeout, -1,
                  fmt::format("call {}: input of this rank did not become ready", job_.seq));
  return report(Trouble::Kind::kTimeout, link->peer(),
                fmt::format("{} rank {} by the deadline ({}, call {}, {} frames outstanding)",
                            link->expected() > 0 ? "no data from" : "data not taken by", global(link->peer()),
                            collective_name(job_.kind), job_.seq, link->expected()));
}

Result<> Channel::connect_missing(const Deadline& deadline) {
  const auto user_timeout = std::max(
      kUserTimeoutMin, std::chrono::ceil<std::chrono::milliseconds>(deadline.remaining()) + std::chrono::seconds(1));
  active_.clear();
  for (const LinkId& need : needs_)
    if (links_.find(need.peer, need.lane) == nullptr) {
      const auto made = make_links(options_, listener_, number_, needs_, links_, deadline);
      if (!made) return report(made.error().kind, made.error().peer, made.error().what);
      break;
    }
  for (const LinkId& need : needs_) {
    Link& link = links_.at(need.peer, need.lane);
    // A full receiver (busy before its call) is silent too: the kernel must not give up before the call does. Doubling
    // keeps the number of system calls small when deadlines move forward.
    if (link.user_timeout < user_timeout) {
      link.user_timeout = 2 * user_timeout;
      ff::net::set_user_timeout(link.fd(), link.user_timeout);
    }
    link.last_tick = tick_;
    active_.push_back(&link);
  }
  return {};
}

void Channel::count_traffic() noexcept {
  std::uint64_t sent = 0, received = 0;
  for (const Link* link : active_) {
    sent += link->bytes_sent();
    received += link->bytes_received();
  }
  sent_.fetch_add(sent - past_sent_, std::memory_order_relaxed);
  received_.fetch_add(received - past_received_, std::memory_order_relaxed);
}

Result<> Channel::drive(Algorithm& algorithm, const Job& job, const Deadline& deadline, Progress* progress) {
  job_ = job;
  needs_.clear();
  algorithm.plan(job, needs_);
  FF_TRY(connect_missing(deadline));
  past_sent_ = past_received_ = 0;
  for (const Link* link : active_) {
    past_sent_ += link->bytes_sent();
    past_received_ += link->bytes_received();
  }
  algorithm.start(links_);
  auto result = loop(algorithm, deadline, progress);
  count_traffic();
  if (progress != nullptr) progress->waiting_for.store(-1, std::memory_order_relaxed);
  return result;
}

Result<bool> Channel::serve_links(Algorithm& algorithm) {
  bool moved = false;
  for (Link* link : active_) {
    Link::Io out = Link::Io::kIdle, in = Link::Io::kIdle;
    if (link->sending()) out = link->flush(algorithm);
    if (out == Link::Io::kClosed) return broken(algorithm, *link, out);
    if (link->expected() > 0) in = link->receive(algorithm);
    if (in != Link::Io::kIdle && in != Link::Io::kProgress) return broken(algorithm, *link, in);
    if (in == Link::Io::kProgress) link->last_tick = ++tick_;
    moved = moved || out == Link::Io::kProgress || in == Link::Io::kProgress;
  }
  return moved;
}

Result<> Channel::loop(Algorithm& algorithm, const Deadline& deadline, Progress* progress) {
  int idle = 0;
  Deadline::Clock::time_point idle_since{};
  for (unsigned turn = 1;; ++turn) {
    const bool pumped = algorithm.pump();
    FF_TRY_ASSIGN(const bool moved, serve_links(algorithm));
    if (algorithm.done() &&
        std::none_of(active_.begin(), active_.end(), [](const Link* link) { return link->sending(); }))
      return {};
    if (options_.failure->failed()) return fail(options_.failure->verdict());
    if (pumped || moved) {
      idle = 0;
      if (turn % kTurnsPerClock == 0 && deadline.expired()) return timed_out();
      continue;
    }
    if (idle++ == 0) idle_since = Deadline::Clock::now();
    if (deadline.expired()) return timed_out();
    if (progress != nullptr) {
      const Link* link = owing();
      progress->waiting_for.store(link != nullptr ? global(link->peer()) : -1, std::memory_order_relaxed);
    }
    wait(idle, idle_since, algorithm, deadline);
  }
}

void Channel::wait(int idle, Deadline::Clock::time_point idle_since, const Algorithm& algorithm,
                   const Deadline& deadline) {
  if (options_.oversubscribed) {
    if (idle <= kTriesBeforeYield) return pause_cpu();
    if (idle <= kTriesBeforeYield + kYields) {
      sched_yield();
      return;
    }
  } else if (Deadline::Clock::now() - idle_since < kSpinTime) {
    // The peer may be waiting for this very core.
    if (idle % kTriesBeforeYield != 0) return pause_cpu();
    sched_yield();
    return;
  }
  polled_.clear();
  for (const Link* link : active_) {
    short events = 0;
    if (link->expected() > 0 && !link->blocked()) events |= POLLIN;
    if (link->sending()) events |= POLLOUT;
    // A link that nothing is wanted from stays out: its hang-up would wake us for ever.
    if (events != 0) polled_.push_back({link->fd(), events, 0});
  }
  const bool gate = algorithm.waits_for_input();
  const int slice_ms = deadline.poll_timeout_ms(kPollSliceMs);
  const timespec slice{0, gate ? kGateSliceNs : slice_ms * 1000000L};
  // Whatever it returns (also EINTR), the next turn looks at the sockets themselves.
  static_cast<void>(ppoll(polled_.data(), polled_.size(), &slice, nullptr));
}

}  // namespace ff::hfreduce::net
