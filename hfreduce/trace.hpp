// Trace: begin/end of the stages of collectives, kept in memory and written as Chrome trace-event JSON, which
// Perfetto (ui.perfetto.dev) and chrome://tracing open. Off by default: a null Trace* costs one branch.
//
// Threads  record() from any thread (a lock, about 50 ns); to_json() when no op is running.
// Bound    At most kEventsMax events are kept; later ones are counted and reported in the JSON as "dropped".
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace ff::hfreduce {

// Lanes are the rows that a viewer shows under a rank.
enum class Lane : std::uint8_t { kCall, kIntra, kNetUp, kNetDown, kCopy, kCompute };

class Trace {
 public:
  static constexpr std::size_t kEventsMax = 1 << 20;
  struct Event {
    const char* name;  // static storage
    Lane lane;
    std::int64_t begin_ns;  // CLOCK_MONOTONIC
    std::int64_t end_ns;
    std::int64_t bytes;  // -1 if it has none
    std::int64_t index;  // chunk or call number, -1 if none
  };

  static std::int64_t now_ns() noexcept {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }
  void record(const Event& event);
  std::size_t size() const;
  // The "traceEvents" items of this rank, without the enclosing array, so that several ranks' can be joined by ",".
  std::string events_json(int rank) const;
  // A whole file: {"traceEvents":[...]} from the ranks' items.
  static std::string file_json(const std::vector<std::string>& items);

 private:
  mutable std::mutex mutex_;
  std::vector<Event> events_;
  std::uint64_t dropped_ = 0;
};

// Records the life of a scope.
class TraceSpan {
 public:
  TraceSpan(Trace* trace, const char* name, Lane lane, std::int64_t bytes = -1, std::int64_t index = -1) noexcept
      : trace_(trace), event_{name, lane, trace ? Trace::now_ns() : 0, 0, bytes, index} {}
  TraceSpan(const TraceSpan&) = delete;
  TraceSpan& operator=(const TraceSpan&) = delete;
  ~TraceSpan() {
    if (trace_ == nullptr) return;
    event_.end_ns = Trace::now_ns();
    trace_->record(event_);
  }

 private:
  Trace* trace_;
  Trace::Event event_;
};

}  // namespace ff::hfreduce
