// One connection of an ff test: joins it, holds the memory that the other end pushes into, asks and answers.
//
// Lifetime  Until on_closed() has run (closed() is set), or until its network has stopped.
// Threads   Those of the Env.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "ffbench/net/traffic.hpp"
#include "libcommon/metrics/histogram.hpp"
#include "libcommon/runtime/sync.hpp"

namespace ff::bench {

class FfLane final : public net::ConnectionHandler {
 public:
  struct Joining {
    std::uint32_t flow = 0;
    std::uint32_t index = 0;
  };
  // Finds the flow that a newcomer belongs to; null: none, and it is closed.
  using FindFlow = std::function<const NetFlow*(Joining)>;

  // One that we opened, for this flow; and one that came in.
  FfLane(runtime::Env& env, const NetTest& test, std::shared_ptr<net::Connection> connection, const NetFlow& flow,
         std::uint32_t index);
  FfLane(runtime::Env& env, const NetTest& test, std::shared_ptr<net::Connection> connection, FindFlow find);

  // Starts delivery, and joins when we opened it.
  Result<> begin();
  // Both ends know each other. An error: the connection was lost before.
  bool ready() const noexcept { return ready_; }
  const NetFlow* flow() const noexcept { return flow_; }
  std::uint32_t index() const noexcept { return joining_.index; }

  // Opens the way for bulk, which a connection does at its first push: one byte, before anything is measured.
  runtime::Task<Result<>> open_bulk();
  // What this end does in a run; cancelled with its context.
  runtime::Task<Result<>> drive();
  // Of the other end: after its last message (iterations only).
  bool peer_has_ended() const noexcept { return peer_ended_; }
  void set_window(runtime::Time from, runtime::Time until) noexcept {
    window_from_ = from;
    window_until_ = until;
    spanning_ = until == runtime::kNever ? 0 : in_flight_;
    if (until != runtime::kNever) return;
    pushed_bytes_ = 0;
    pushes_ended_ = 0;
  }
  // As many pushes have ended as are under way at a time: those that begin now wait for as many as all later ones do.
  bool is_steady() const noexcept { return !flow_->sends() || !pushes() || ended_ >= test_.depth(); }
  // Pushes that were under way when the window ended, and still are.
  bool spans_the_end() const noexcept { return spanning_ > 0; }
  // No more requests; answers still count. Then settle(): what has no answer has waited until now.
  void finish() noexcept { finishing_ = true; }
  bool waiting_for_answers() const noexcept { return !due_.empty(); }
  void settle(runtime::Time now);

  // Of pushes that have ended: then the other end has all of them. Those that reach over an edge of the window count by
  // the share of their time that lies within: whole ones would make the rate jump by a push.
  std::uint64_t pushed_bytes() const noexcept { return static_cast<std::uint64_t>(pushed_bytes_); }
  std::uint64_t pushes_ended() const noexcept { return pushes_ended_; }  // in the window
  std::uint64_t answered() const noexcept { return answered_; }
  std::uint64_t unanswered() const noexcept { return unanswered_; }
  std::uint64_t elapsed_ns() const noexcept { return elapsed_ns_; }
  const metrics::Histogram& round_trip() const noexcept { return round_trip_; }
  const std::optional<Error>& lost() const noexcept { return lost_; }

  // Takes the memory back and closes.
  runtime::Task<void> shut();
  bool closed() const noexcept { return lost_.has_value(); }

 private:
  void on_message(net::Connection& connection, std::span<const std::byte> message) override;
  void on_closed(net::Connection& connection, const Error& why) override;
  bool pushes() const noexcept { return test_.pattern() == NET_BANDWIDTH; }
  Result<> greet();
  void take_join(std::span<const std::byte> message);
  void take_greeting(std::span<const std::byte> message);
  void answer(std::span<const std::byte> message);
  void take_answer();
  bool in_window(runtime::Time at) const noexcept { return at >= window_from_ && at < window_until_; }
  Result<> ask(runtime::Time due);
  runtime::Time due_at(std::uint64_t k) const;  // open loop
  runtime::Task<Result<>> push_all();
  runtime::Task<Result<>> push_slot(std::size_t slot);
  void count_push(runtime::Time began, runtime::Time ended);
  runtime::Task<Result<>> ask_in_turn();
  runtime::Task<Result<>> ask_by_rate();

  runtime::Env& env_;
  const NetTest& test_;
  std::shared_ptr<net::Connection> connection_;
  FindFlow find_;
  const NetFlow* flow_ = nullptr;  // null until joined
  Joining joining_;
  bool opened_ = false;  // by us
  bool ready_ = false;
  std::vector<std::byte> memory_;  // pushed from, or into
  std::unique_ptr<net::Exposure> exposure_;
  net::RemoteMemory remote_;
  double pushed_bytes_ = 0;
  std::uint64_t pushes_ended_ = 0;
  std::uint64_t ended_ = 0;                   // pushes of this run
  std::size_t in_flight_ = 0, spanning_ = 0;  // pushes
  std::uint64_t begun_ = 0;                   // messages of this run
  bool peer_ended_ = false;
  bool finishing_ = false;
  std::deque<runtime::Time> due_;  // of the requests without answer
  runtime::Event all_answered_;
  runtime::Time rate_began_ = runtime::kNever;  // open loop: when request 0 was due
  std::uint64_t asked_ = 0;                     // and the first that was not sent
  runtime::Time window_from_ = runtime::kNever, window_until_ = runtime::kNever;
  metrics::Histogram round_trip_;
  std::uint64_t answered_ = 0, unanswered_ = 0, elapsed_ns_ = 0;
  std::optional<Error> lost_;
};

}  // namespace ff::bench
