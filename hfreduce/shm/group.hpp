// Group: one rank's view of the shared memory of its host, and what the data paths have in common: typed access to the
// control words, waiting that names whom it waits for, and turning what went wrong into the common verdict.
//
// Threads  Used by the one thread that runs the call.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "hfreduce/control/failure.hpp"
#include "hfreduce/op.hpp"
#include "hfreduce/shm/arena.hpp"
#include "hfreduce/shm/layout.hpp"
#include "hfreduce/shm/waiter.hpp"
#include "hfreduce/trace.hpp"
#include "libcommon/base/aligned_buffer.hpp"
#include "libcommon/base/result.hpp"

namespace ff::hfreduce::shm {

// A running call.
struct Call {
  const OpDesc& op;
  Progress& progress;
  std::uint32_t number = 0;   // of this engine, see layout.hpp
  bool non_temporal = false;  // the data are larger than the cache: write around it
  std::uint64_t divisor = 1;

  std::size_t parity() const noexcept { return number & 1U; }
  void enter(Phase phase) const noexcept { progress.phase.store(phase, std::memory_order_relaxed); }
};

// Where one rank's buffers of the running call are, in this process.
struct Mapped {
  const std::byte* send = nullptr;
  std::byte* recv = nullptr;
};

class Group {
 public:
  int rank = 0;
  int size = 1;
  std::vector<int> global_ranks;
  FailureSource* failure = nullptr;
  Trace* trace = nullptr;
  Shape shape;
  Layout layout;
  Arena arena;
  WaitPolicy wait_policy;
  std::uint32_t staged_base = 0;              // chunks of all staged calls so far
  std::vector<std::uint32_t> staged_content;  // which chunk of the running call each of this rank's slots got last
  std::vector<Mapped> mapped;                 // window path: all ranks' buffers in the running call
  std::vector<const void*> inputs;            // scratch of the paths, so that no call allocates
  std::vector<void*> outputs;
  AlignedBuffer scratch;  // cma: what was read from peers

  RankControl& control(int of) const noexcept {
    return reinterpret_cast<RankControl*>(arena.base() + layout.control)[of];
  }
  RankControl& mine() const noexcept { return control(rank); }
  std::byte* flat_slot(int of, std::size_t parity) const noexcept {
    return arena.base() + layout.flat + (2 * static_cast<std::uint64_t>(of) + parity) * shape.flat_bytes;
  }
  // Row `of` of a v-call's tables: send counts, send displacements, receive counts, receive displacements.
  std::uint64_t* table(int of, std::size_t parity) const noexcept {
    const auto n = static_cast<std::uint64_t>(size);
    return reinterpret_cast<std::uint64_t*>(arena.base() + layout.tables) +
           (parity * n + static_cast<std::uint64_t>(of)) * 4 * n;
  }
  // Input slot of a rank, or the result slot (of == size).
  std::byte* staged_slot(int of, std::size_t index) const noexcept {
    return arena.base() + layout.staged +
           (static_cast<std::uint64_t>(of) * shape.staged_depth + index % shape.staged_depth) * shape.staged_bytes;
  }
  int global(int of) const noexcept { return global_ranks[static_cast<std::size_t>(of)]; }

  // Until flag reaches target; `peer` (a group rank) is who must make it so.
  Result<> await(Flag& flag, std::uint32_t target, int peer, const Call& call, std::string_view what) const {
    if (reached(flag, target)) [[likely]]
      return {};
    return await_slowly(flag, target, peer, call, what);
  }
  // Publishes this rank's entry, sees all others' and that they are of the same call.
  Result<> await_entries(const Call& call) const;

  // What a Backoff that did not end well means.
  Error gave_up(Backoff::Step step, int peer, const Call& call, std::string_view what) const;
  Error trouble(Trouble::Kind kind, int peer, std::string detail) const;
  std::string name_of(const Call& call) const;  // "call 12, all_reduce(float, sum, 1024)"

 private:
  Result<> await_slowly(Flag& flag, std::uint32_t target, int peer, const Call& call, std::string_view what) const;
  Error mismatch(int peer, const Call& call) const;
};

}  // namespace ff::hfreduce::shm
