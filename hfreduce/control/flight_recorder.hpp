// FlightRecorder: the last calls of a rank, kept for the moment when something breaks: what the control thread answers
// to a probe, and what is written as JSON lines when the communicator fails.
//
// Threads  One thread at a time begins and ends calls; any thread may read at any time (a reader may see a call half
//          updated, never garbage memory: all fields are relaxed atomics).
// Cost     About ten relaxed stores a call; the times are passed in, because the caller has read the clock anyway.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>

#include "hfreduce/control/wire.hpp"
#include "hfreduce/op.hpp"

namespace ff::hfreduce::control {

class FlightRecorder {
 public:
  static constexpr std::size_t kCallsKept = 1024;

  void begin(const OpDesc& op, std::int64_t now_ns) noexcept;
  // `ok` false: the call returned an error.
  void end(bool ok, std::int64_t now_ns) noexcept;

  // The engines' view of the running call.
  Progress& progress() noexcept { return progress_; }
  OpState state() const noexcept;
  // Oldest first, one object a line:
  // {"schema":"ff.flight/1","rank":..,"seq":..,"call":..,"state":"done|failed|running",..}.
  std::string json_lines(int rank) const;

 private:
  struct Entry {
    std::atomic<std::uint64_t> seq{0};
    std::atomic<Collective> kind{Collective::kBarrier};
    std::atomic<DType> dtype{DType::kFloat32};
    std::atomic<ReduceOp> op{ReduceOp::kSum};
    std::atomic<std::int32_t> root{-1};
    std::atomic<std::uint64_t> count{0};
    std::atomic<std::int64_t> begin_ns{0};
    std::atomic<std::int64_t> end_ns{0};  // 0 while it runs
    std::atomic<bool> ok{false};
  };
  static void load(const Entry& entry, OpState& state) noexcept;

  std::array<Entry, kCallsKept> entries_;
  std::atomic<std::uint64_t> calls_{0};  // begun so far
  Progress progress_;
};

}  // namespace ff::hfreduce::control
