// Load: decides the operations of one StorageJob and counts what became of them. It knows no clock, no file and no
// thread: the engines (coroutines over an Env, blocking threads) ask it for the next operation and tell it when one has
// ended.
//
// Order    Sequential patterns go through the region again and again. Random ones take every block once in each pass,
// in
//          an order that depends on seed and pass; with zipf or repeat_offsets each offset is drawn anew.
// Rate     Operation k is due at begin + k / rate, whatever became of those before it, and its latency counts from
// there:
//          a stall shows in all operations that it delayed (no coordinated omission).
// Times    Nanoseconds of any monotonic clock, always the same one.
// Threads  One at a time.
#pragma once

#include <cstdint>
#include <optional>

#include "ffbench/storage/job.hpp"
#include "ffbench/storage/offsets.hpp"
#include "libcommon/base/rng.hpp"

namespace ff::bench {

class Load {
 public:
  // Runs from begin_ns to end_ns, or until the job's operations are done. REQUIRES: check(job) passed.
  Load(const StorageJob& job, std::int64_t begin_ns, std::int64_t end_ns);

  struct Operation {
    bool write = false;
    bool sync_after = false;
    std::uint64_t offset = 0;
    std::int64_t due_ns = 0;  // not before this; 0: at once
  };
  // Nothing: the job has ended; operations in flight still count when done.
  std::optional<Operation> next(std::int64_t now_ns);
  void done(const Operation& operation, std::int64_t submitted_ns, std::int64_t now_ns);
  void synced(std::int64_t submitted_ns, std::int64_t now_ns);

  const StorageReading& reading() const noexcept { return reading_; }
  StorageReading take() noexcept { return std::move(reading_); }

 private:
  std::uint64_t next_block();
  bool next_is_write();

  StorageJob job_;
  std::int64_t begin_ns_, end_ns_;
  std::uint64_t blocks_;
  Rng rng_;
  Permutation pass_;
  std::optional<Zipf> zipf_;
  std::uint64_t in_pass_ = 0, begun_ = 0, writes_ = 0;
  StorageReading reading_;
};

}  // namespace ff::bench
