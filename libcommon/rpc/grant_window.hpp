// GrantWindow: how many bytes a receiver lets others push towards it at once, and who is next. Pure: bytes and times
// in, decisions out.
//
// Problem    Many servers that answer one client at the same moment overflow the last switch's buffer (incast): packets
//            are lost, TCP waits for its retransmission timer, goodput collapses. The receiver alone sees all of them.
//            Hence request-to-send: a sender asks before it pushes much, and the receiver grants.
// Window     Bytes granted and not yet done. It grows by kStepBytes for each window's worth of bytes that arrives in
//            time, and shrinks in proportion when pushes take long (at most to half, once for each window's worth):
//            additive increase, multiplicative decrease on delay.
// In time    Within `slack` times what the push would take alone: base + bytes / peak, where peak is the highest
//            goodput of the last seconds and base the smallest rest, time - bytes / peak, of the last seconds.
//            A window that is larger than bandwidth x delay shows as time and adds no goodput; `slack` above 1 keeps
//            several senders granted, so that one that is slow to answer does not leave the link idle.
// Probing    A queue that stands long enough would pass for base. So each time the memory turns over, and at the start,
//            the window is held at its minimum until a push that was granted so has ended (as BBR does for its RTT).
// Why this   Delay tells of a queue before it overflows, and needs no help of switches; loss would come too late, for
//            the harm is done then. A fixed number of slots (the predecessor's 64) is right for one link speed and
//            one size of push only.
// Sources    Fire-Flyer AI-HPC (arXiv 2408.14158), request-to-send against incast; Swift (Kumar et al., SIGCOMM 2020),
//            the decrease by (delay - target) / delay; BBR (Cardwell et al., ACM Queue 2016); Homa (Montazeri et al.,
//            SIGCOMM 2018), grants by the receiver and overcommitment against idle links.
// Fairness   Among peers by bytes granted (start-time fair queueing with equal weights, Goyal et al., SIGCOMM 1996);
//            first in, first out within a peer. A peer's turn is remembered while it has nothing to ask for, until the
//            others have caught up with it: those who ask for one push after the other share with those who queue many.
// Lost       A sender that does not finish within `patience` no longer counts: others go on.
// Threads    One at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <unordered_map>

#include "libcommon/runtime/time.hpp"

namespace ff::rpc {

inline constexpr std::uint64_t kGrantBytesMin = 64u << 10;  // smaller pushes do not ask
inline constexpr std::uint64_t kGrantBytesMax = 4u << 20;   // larger ones ask for each such piece

struct GrantWindowOptions {
  std::uint64_t window_bytes_min = 512u << 10;
  std::uint64_t window_bytes_initial = 2u << 20;
  std::uint64_t window_bytes_max = 256u << 20;
  double slack = 2.5;
  runtime::Duration memory = std::chrono::seconds(5);  // of peak and base
  runtime::Duration patience = std::chrono::milliseconds(500);
};

class GrantWindow {
 public:
  using Ticket = std::uint64_t;  // never 0

  explicit GrantWindow(GrantWindowOptions options) noexcept
      : options_(options), window_(static_cast<double>(options.window_bytes_initial)) {}

  // `peer` tells askers apart for fairness.
  Ticket ask(std::uint64_t peer, std::uint64_t bytes);
  // The next that may push now; ask again until there is none.
  std::optional<Ticket> next(runtime::Time now);
  // Pushed. Unknown tickets are ignored.
  void done(Ticket ticket, runtime::Time now);
  // Given up, granted or not.
  void drop(Ticket ticket);
  // When next() may give something without done() or drop() having been called: a grant's patience ends. kNever when
  // nobody waits.
  runtime::Time next_overdue() const noexcept;

  // Without regard to probing.
  std::uint64_t window_bytes() const noexcept { return static_cast<std::uint64_t>(window_); }
  std::uint64_t granted_bytes() const noexcept { return granted_bytes_; }
  std::size_t waiting() const noexcept { return waiting_; }

 private:
  static constexpr double kStepBytes = 256u << 10;

  struct Asked {
    std::uint64_t peer = 0;
    std::uint64_t bytes = 0;
    bool granted = false;
    bool counted = false;  // in granted_bytes_
    bool probe = false;    // granted while the window was at its minimum
    runtime::Time since{};
  };
  struct Peer {
    std::deque<Ticket> queue;
    std::uint64_t served = 0;  // where its next push starts, in bytes of virtual time
  };
  // The push with the smallest rest.
  struct Quickest {
    double took_s = 0;
    double bytes = 0;
  };
  // The best of each of the last two half memories.
  template <class T>
  struct Extreme {
    T current{};
    T last{};
    bool current_set = false;
    bool last_set = false;
  };

  void forget(Ticket ticket);
  void forget_caught_up();
  void uncount(Asked& asked) noexcept;
  void let_go_overdue(runtime::Time now);
  void measure(const Asked& asked, runtime::Time now);
  void adapt(double took_s, double target_s, std::uint64_t bytes);
  void rotate(runtime::Time now);

  GrantWindowOptions options_;
  std::unordered_map<Ticket, Asked> asked_;
  std::map<std::uint64_t, Peer> peers_;                  // with somebody waiting, or ahead of virtual_time_
  std::deque<std::pair<runtime::Time, Ticket>> grants_;  // oldest first; may name tickets that are done
  Ticket last_ticket_ = 0;
  std::size_t waiting_ = 0;
  std::uint64_t virtual_time_ = 0;  // the start of the last push granted
  std::uint64_t granted_bytes_ = 0;
  double window_;
  double since_decrease_bytes_ = 0;
  bool probing_ = true;
  // Goodput is measured over the time in which something was granted.
  runtime::Time busy_since_{};
  runtime::Duration span_busy_{};
  double span_bytes_ = 0;
  runtime::Time rotated_{};
  Extreme<double> peak_;
  Extreme<Quickest> base_;
};

}  // namespace ff::rpc
