// Channel: one set of links and the loop that drives an algorithm over them; an engine has one or several.
//
// Waiting   While something moves, no waiting at all. Then a bounded spin on the sockets themselves (about 50 us; a
//           few tries and yields when ranks outnumber cores), then poll(2) in slices of 20 ms at most, 50 us while the
//           algorithm waits for input that another stage produces. Every turn looks at failure.failed(), every slice
//           at the deadline.
// Suspect   A timeout names the peer that has been silent longest among those that owe frames.
// Threads   One at a time, but traffic() from any.
#pragma once

#include <poll.h>

#include <atomic>
#include <vector>

#include "hfreduce/net/algorithm.hpp"
#include "hfreduce/net/listener.hpp"

namespace ff::hfreduce::net {

class Channel {
 public:
  // Both outlive the channel. Its lanes are 2 * number and 2 * number + 1 on the wire.
  Channel(const NetOptions& options, TcpListener& listener, int number);

  // `progress` may be null. After an error the links are in the middle of frames and must not be used again.
  Result<> drive(Algorithm& algorithm, const Job& job, const Deadline& deadline, Progress* progress);
  NetEngine::Traffic traffic() const noexcept {
    return {sent_.load(std::memory_order_relaxed), received_.load(std::memory_order_relaxed)};
  }

 private:
  Result<> connect_missing(const Deadline& deadline);
  Result<> loop(Algorithm& algorithm, const Deadline& deadline, Progress* progress);
  Result<bool> serve_links(Algorithm& algorithm);
  void count_traffic() noexcept;
  // One step of waiting; `idle` counts the turns without movement.
  void wait(int idle, Deadline::Clock::time_point idle_since, const Algorithm& algorithm, const Deadline& deadline);
  const Link* owing() const noexcept;
  std::unexpected<Error> timed_out();
  std::unexpected<Error> broken(const Algorithm& algorithm, const Link& link, Link::Io io);
  std::unexpected<Error> report(Trouble::Kind kind, int peer, std::string what);
  int global(int peer) const { return peer < 0 ? -1 : options_.global_ranks[static_cast<std::size_t>(peer)]; }

  const NetOptions& options_;
  TcpListener& listener_;
  int number_;
  Job job_;
  LinkTable links_;
  std::vector<LinkId> needs_;
  std::vector<Link*> active_;
  std::vector<pollfd> polled_;
  std::uint64_t tick_ = 0;
  std::uint64_t past_sent_ = 0, past_received_ = 0;
  std::atomic<std::uint64_t> sent_{0}, received_{0};
};

}  // namespace ff::hfreduce::net
