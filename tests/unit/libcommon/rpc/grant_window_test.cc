// The window alone, and in a model of a switch with a small buffer: with and without grants.
#include "libcommon/rpc/grant_window.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <queue>
#include <vector>

#include "libcommon/base/rng.hpp"

namespace ff::rpc {
namespace {

using namespace std::chrono_literals;
using runtime::Duration;
using runtime::Time;
constexpr Time kStart{std::chrono::hours(1)};
constexpr std::uint64_t kMiB = 1u << 20;

// Nothing to tune, and nothing to probe.
GrantWindowOptions fixed(std::uint64_t bytes) {
  return {.window_bytes_min = bytes, .window_bytes_initial = bytes, .window_bytes_max = bytes};
}

TEST(GrantWindow, GrantsUpToItsWindowAndTheRestInOrderAsOthersEnd) {
  GrantWindow window(fixed(2 * kMiB));
  const auto a = window.ask(1, kMiB), b = window.ask(1, kMiB), c = window.ask(1, kMiB);
  EXPECT_EQ(window.next(kStart), a);
  EXPECT_EQ(window.next(kStart), b);
  EXPECT_EQ(window.next(kStart), std::nullopt);
  EXPECT_EQ(window.granted_bytes(), 2 * kMiB);
  window.done(b, kStart + 1ms);
  EXPECT_EQ(window.next(kStart + 1ms), c);
}

TEST(GrantWindow, OneIsLetThroughHoweverLarge) {
  GrantWindow window(fixed(kMiB));
  const auto large = window.ask(1, 100 * kMiB), small = window.ask(1, 1);
  EXPECT_EQ(window.next(kStart), large);
  EXPECT_EQ(window.next(kStart), std::nullopt);
  window.done(large, kStart + 1ms);
  EXPECT_EQ(window.next(kStart + 1ms), small);
}

TEST(GrantWindow, PeersShareByBytesWhateverEachAsksFor) {
  GrantWindow window(fixed(kMiB));
  std::map<GrantWindow::Ticket, std::uint64_t> peer_of;
  // Peer 1 floods with large pushes, peer 2 asks for small ones.
  for (int i = 0; i < 100; ++i) peer_of[window.ask(1, kMiB)] = 1;
  for (int i = 0; i < 400; ++i) peer_of[window.ask(2, kMiB / 4)] = 2;
  std::map<std::uint64_t, std::uint64_t> bytes;
  Time now = kStart;
  std::vector<GrantWindow::Ticket> running;
  for (int i = 0; i < 100; ++i) {
    while (const auto ticket = window.next(now)) {
      bytes[peer_of[*ticket]] += peer_of[*ticket] == 1 ? kMiB : kMiB / 4;
      running.push_back(*ticket);
    }
    now += 1ms;
    window.done(running.front(), now);
    running.erase(running.begin());
  }
  EXPECT_NEAR(static_cast<double>(bytes[1]) / static_cast<double>(bytes[2]), 1.0, 0.15);
}

TEST(GrantWindow, APeerThatWasAwayHasSavedNothingUp) {
  GrantWindow window(fixed(kMiB));
  Time now = kStart;
  for (int i = 0; i < 100; ++i) {
    const auto ticket = window.ask(1, kMiB);
    EXPECT_EQ(window.next(now), ticket);
    window.done(ticket, now += 1ms);
  }
  std::map<GrantWindow::Ticket, int> peer_of;
  for (int i = 0; i < 20; ++i) {
    peer_of[window.ask(1, kMiB)] = 1;
    peer_of[window.ask(2, kMiB)] = 2;
  }
  int second = 0;
  for (int i = 0; i < 10; ++i) {
    const auto ticket = window.next(now);
    ASSERT_TRUE(ticket);
    second += peer_of[*ticket] == 2;
    window.done(*ticket, now += 1ms);
  }
  EXPECT_GE(second, 4);
  EXPECT_LE(second, 6);
}

// Peers that have one push outstanding each, as servers do that answer one request after the other: which are waiting,
// since when, and what each has been granted.
class OneEach {
 public:
  static constexpr std::uint64_t kLeast = kGrantBytesMin, kMost = kGrantBytesMax;

  OneEach(std::uint64_t seed, std::size_t peers, std::uint64_t window)
      : rng_(seed), window_(fixed(window)), bytes_(peers), asked_at_(peers) {
    for (std::size_t peer = 0; peer < peers; ++peer) ask(peer);
  }

  void ask(std::size_t peer) {
    const std::uint64_t bytes = kLeast + rng_.below(kMost - kLeast + 1);
    waiting_[window_.ask(peer + 1, bytes)] = {peer, bytes};
    asked_at_[peer] = grants_;
  }
  // Grants what may go; gives the longest wait among them, in grants of others.
  std::size_t grant() {
    std::size_t longest = 0;
    while (const auto ticket = window_.next(now_)) {
      const auto push = waiting_.extract(*ticket).mapped();
      bytes_[push.peer] += push.bytes;
      longest = std::max(longest, grants_++ - asked_at_[push.peer]);
      running_.emplace_back(*ticket, push.peer);
    }
    for (const auto& [ticket, push] : waiting_) longest = std::max(longest, grants_ - asked_at_[push.peer]);
    return longest;
  }
  // One of those granted ends; gives its peer.
  std::size_t end_one() {
    const std::size_t at = rng_.below(running_.size());
    const auto [ticket, peer] = running_[at];
    running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(at));
    window_.done(ticket, now_ += 1ms);
    return peer;
  }
  std::uint64_t apart() const {
    const auto [least, most] = std::ranges::minmax(bytes_);
    return most - least;
  }

 private:
  struct Push {
    std::size_t peer = 0;
    std::uint64_t bytes = 0;
  };
  Rng rng_;
  GrantWindow window_;
  std::vector<std::uint64_t> bytes_;
  std::vector<std::size_t> asked_at_;
  std::map<GrantWindow::Ticket, Push> waiting_;
  std::vector<std::pair<GrantWindow::Ticket, std::size_t>> running_;
  std::size_t grants_ = 0;
  Time now_ = kStart;
};

TEST(GrantWindow, EveryPeerWithOnePushOutstandingIsServedSoon) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    Rng rng(seed);
    const std::size_t peers = 2 + rng.below(11);
    const std::uint64_t window = OneEach::kLeast << rng.below(8);  // of one push, or of several
    OneEach all(seed, peers, window);
    // Who asks stands at most one push behind virtual time, and each other gets there in so many of the smallest.
    const std::size_t bound = (peers - 1) * (OneEach::kMost / OneEach::kLeast + 1);
    for (int i = 0; i < 2000; ++i) {
      ASSERT_LE(all.grant(), bound) << "seed " << seed << ", " << peers << " peers, window of " << window;
      const std::size_t peer = all.end_one();
      // Mostly its next request comes when the window has moved on; sometimes it is there at once.
      if (rng.below(4) != 0) ASSERT_LE(all.grant(), bound) << "seed " << seed << ", " << peers << " peers";
      all.ask(peer);
    }
  }
}

TEST(GrantWindow, PeersWithOnePushOutstandingShareByBytes) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    const std::size_t peers = 2 + seed % 11;
    OneEach all(seed, peers, OneEach::kLeast);
    for (int i = 0; i < 2000; ++i) {
      all.grant();
      // All are waiting whenever the next one is chosen: start-time fair queueing keeps two within one push of each.
      ASSERT_LE(all.apart(), 2 * OneEach::kMost) << "seed " << seed << ", " << peers << " peers, grant " << i;
      all.ask(all.end_one());
    }
  }
}

TEST(GrantWindow, ThreePeersThatTakeTurnsAreAllServed) {
  GrantWindow window(fixed(kMiB));
  std::map<GrantWindow::Ticket, std::uint64_t> peer_of;
  std::map<std::uint64_t, int> served;
  for (std::uint64_t peer = 1; peer <= 3; ++peer) peer_of[window.ask(peer, kMiB)] = peer;
  Time now = kStart;
  auto running = window.next(now);
  for (int i = 0; i < 30; ++i) {
    ASSERT_TRUE(running);
    const std::uint64_t peer = peer_of[*running];
    ++served[peer];
    window.done(*running, now += 1ms);
    running = window.next(now);
    peer_of[window.ask(peer, kMiB)] = peer;
  }
  EXPECT_EQ(served, (std::map<std::uint64_t, int>{{1, 10}, {2, 10}, {3, 10}}));
}

TEST(GrantWindow, ASenderThatDiesHoldsOthersUpNoLongerThanItsPatience) {
  GrantWindow window(fixed(kMiB));
  const auto dead = window.ask(1, kMiB), next = window.ask(2, kMiB);
  EXPECT_EQ(window.next(kStart), dead);
  EXPECT_EQ(window.next(kStart + 499ms), std::nullopt);
  EXPECT_EQ(window.next_overdue(), kStart + 500ms);
  EXPECT_EQ(window.next(kStart + 500ms), next);
  // Its end, if it ever comes, does no harm.
  window.done(dead, kStart + 2s);
  EXPECT_EQ(window.granted_bytes(), kMiB);
}

TEST(GrantWindow, DroppedOnesAreForgottenGrantedOrNot) {
  GrantWindow window(fixed(kMiB));
  const auto a = window.ask(1, kMiB), b = window.ask(2, kMiB), c = window.ask(2, kMiB);
  EXPECT_EQ(window.next(kStart), a);
  window.drop(b);
  window.drop(a);
  EXPECT_EQ(window.granted_bytes(), 0u);
  EXPECT_EQ(window.next(kStart), c);
  window.drop(c);
  EXPECT_EQ(window.waiting(), 0u);
  EXPECT_EQ(window.next_overdue(), runtime::kNever);
  window.done(a, kStart);
  window.drop(12345);
}

// A receiver behind one link of `rate`, with a switch buffer of `buffer`. When more than that is under way, packets are
// lost and what was hit waits for TCP's retransmission timer (200 ms) before it starts again: incast.
struct Incast {
  double rate = 1.25e9;
  double buffer = 4e6;
  Duration delay = 50us;
  Duration timer = 200ms;
  std::size_t senders = 128;
  std::uint64_t push = kMiB;
  std::size_t rounds = 8;  // of each sender, one after the other

  struct Outcome {
    double goodput = 0;
    Duration p99{};
    std::uint64_t window = 0;
  };

  // Without a window all push at once.
  Outcome run(GrantWindow* window) const {
    struct Arrival {
      Time when;
      std::size_t sender;
      GrantWindow::Ticket ticket;
      bool operator>(const Arrival& other) const { return when > other.when; }
    };
    std::priority_queue<Arrival, std::vector<Arrival>, std::greater<>> arrivals;
    std::map<GrantWindow::Ticket, std::size_t> asked;
    std::vector<std::size_t> left(senders, rounds);
    std::vector<Time> since(senders, kStart);
    std::vector<Duration> times;
    Time free = kStart;  // when the link has sent all that is queued
    Time now = kStart;
    const auto seconds = [](double s) {
      return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(s));
    };
    const auto inject = [&](std::size_t sender, GrantWindow::Ticket ticket) {
      const Time at = now + delay;
      const double queued = std::max(0.0, std::chrono::duration<double>(free - at).count()) * rate;
      const Time begins = std::max(free, at);
      if (queued + static_cast<double>(push) > buffer + static_cast<double>(push)) {
        arrivals.push({at + timer, sender, 0});  // lost: again after the timer
        asked[UINT64_MAX - sender] = ticket;
        return;
      }
      free = begins + seconds(static_cast<double>(push) / rate);
      arrivals.push({free, sender, ticket == 0 ? UINT64_MAX : ticket});
    };
    const auto pump = [&] {
      while (window != nullptr) {
        const auto ticket = window->next(now);
        if (!ticket) break;
        inject(asked[*ticket], *ticket);
      }
    };
    const auto begin = [&](std::size_t sender) {
      since[sender] = now;
      if (window == nullptr) {
        inject(sender, 0);
      } else {
        asked[window->ask(sender, push)] = sender;
      }
    };
    for (std::size_t i = 0; i < senders; ++i) begin(i);
    pump();
    while (!arrivals.empty()) {
      const Arrival arrival = arrivals.top();
      arrivals.pop();
      now = arrival.when;
      if (arrival.ticket == 0) {
        inject(arrival.sender, asked[UINT64_MAX - arrival.sender]);
        continue;
      }
      times.push_back(now - since[arrival.sender]);
      if (window != nullptr) window->done(arrival.ticket, now);
      if (--left[arrival.sender] > 0) begin(arrival.sender);
      pump();
    }
    std::ranges::sort(times);
    const double total = static_cast<double>(senders * rounds) * static_cast<double>(push);
    return {total / std::chrono::duration<double>(now - kStart).count(), times[times.size() * 99 / 100],
            window == nullptr ? 0 : window->window_bytes()};
  }
};

TEST(GrantWindow, KeepsGoodputUnderIncastWhereItCollapsesWithoutGrants) {
  const Incast incast;
  const auto without = incast.run(nullptr);
  GrantWindow window({});
  const auto with = incast.run(&window);
  RecordProperty("goodput_without", std::to_string(without.goodput / 1e6) + " MB/s");
  RecordProperty("goodput_with", std::to_string(with.goodput / 1e6) + " MB/s");
  RecordProperty("window", std::to_string(with.window));
  EXPECT_LT(without.goodput, 0.5 * incast.rate);
  EXPECT_GT(with.goodput, 0.95 * incast.rate);
  EXPECT_LT(with.p99, without.p99);
  EXPECT_LT(static_cast<double>(with.window), incast.buffer + 2.0 * kMiB);
}

TEST(GrantWindow, FindsAWindowForFastAndForSlowLinks) {
  for (const double rate : {0.125e9, 1.25e9, 12.5e9, 50e9}) {
    Incast incast;
    incast.rate = rate;
    incast.buffer = 64e6;
    incast.rounds = 64;
    GrantWindow window({});
    const auto with = incast.run(&window);
    EXPECT_GT(with.goodput, 0.9 * rate) << rate;
    EXPECT_LT(with.window, 32 * kMiB) << rate;
  }
}

}  // namespace
}  // namespace ff::rpc
