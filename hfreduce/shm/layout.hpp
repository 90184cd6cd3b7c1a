// What lies where in the memory that the ranks of a host share, and the words through which they meet.
//
//   [control: one block a rank] [tables: all_to_all_v counts] [flat slots] [p2p rings] [staged slots] [windows: one
//   part a rank]
//
// Sequence  Calls are numbered from 1 by each engine for itself; the n-th call of all ranks is one collective. A call
// begins
//           by publishing an Entry and ends not before all ranks' entries were seen.
// Invariant (1) Who publishes call s has finished call s-1, all of it: reads, writes and waits.
//           (2) Who has finished call s-1 saw all entries of s-1, so by (1) all ranks have finished s-2.
//           Hence what belongs to call s may reuse the memory of call s-2 without asking: everything that a call uses
//           and that is not counted on (entries, flat slots, claim counters, tables) exists twice and is chosen by
//           the parity of s. What the owner resets before it publishes s, nobody reads before having seen that entry.
// Counters  Staged counters run on over calls and are compared with reached(), because a slow rank may still look at
// those of
//           call s-1 while their owner is in call s.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "hfreduce/shm/waiter.hpp"

namespace ff::hfreduce::shm {

inline constexpr std::size_t kLine = 64;
inline constexpr std::uint64_t kHugePage = 2ULL << 20;
inline constexpr std::size_t kInlineBytesMax = 48;
inline constexpr std::uint32_t kRingSlots = 4;
inline constexpr std::uint64_t kRingSlotBytes = 32 * 1024;

// Where a rank's buffers are, for the calls that reach into them.
struct Buffers {
  static constexpr std::uint64_t kNoWindow = ~0ULL;
  std::uint64_t send = 0, recv = 0;                                // addresses in the rank's own process
  std::uint64_t send_window = kNoWindow, recv_window = kNoWindow;  // offsets in the windows' part; kNoWindow: elsewhere
  bool in_windows = false;                                         // every byte that the call uses
};

// "I am in call `flag.value`, and this is what you need to know." Tiny messages ride in it, so that one cache line
// carries both the news and the data.
struct alignas(kLine) Entry {
  Flag flag;
  std::uint32_t signature = 0;
  std::uint32_t reserved = 0;
  union {
    std::byte data[kInlineBytesMax];
    Buffers buffers;
  };
  Entry() noexcept : data{} {}
};
static_assert(sizeof(Entry) == kLine && sizeof(Buffers) <= kInlineBytesMax);

// The call in words, read by others only to say what did not match.
struct alignas(kLine) CallRecord {
  std::uint64_t seq = 0;
  std::uint64_t count = 0;
  std::int32_t root = -1;
  std::uint8_t kind = 0, dtype = 0, op = 0;
};

// Chunks of this rank's share that are taken, by itself or by a faster peer.
struct alignas(kLine) Claims {
  std::atomic<std::uint32_t> next{0};
  std::atomic<std::uint32_t> busy{0};  // this rank is working on chunks; tells whom to suspect
};

struct alignas(kLine) LineFlag {
  Flag flag;
};

inline constexpr int kCpuWords = 16;  // 1,024 CPUs

// Written once at setup.
struct alignas(kLine) Member {
  std::int32_t pid = 0;
  std::uint32_t sees_peers = 0;     // it could read every peer's memory
  std::uint64_t nonce_address = 0;  // in its process, where it keeps `nonce`
  std::uint64_t nonce = 0;
  std::uint64_t cpus[kCpuWords] = {};
};

struct RankControl {
  Entry entry[2];
  CallRecord record[2];
  Claims claims[2];
  LineFlag done[2];   // chunks finished by all ranks; only rank 0's is used
  LineFlag filled;    // staged: this rank has put in all its chunks below the value
  LineFlag reduced;   // staged: it has combined all chunks below the value that it owns
  LineFlag copied;    // staged: it has taken out all results below the value
  LineFlag doorbell;  // point to point: something may have changed for this rank
  Member member;
  LineFlag decision;  // rank 0's: what the probe chose
  LineFlag broken;    // rank 0's: some rank has returned an error, so its buffers are its own again
};

// One direction of one pair of ranks.
struct RingControl {
  alignas(kLine) std::atomic<std::uint32_t> head{0};  // slots written
  alignas(kLine) std::atomic<std::uint32_t> tail{0};  // slots read
};
struct alignas(kLine) RingSlot {
  std::uint64_t total = 0;  // bytes of the whole message
  std::uint64_t bytes = 0;  // in this slot
  alignas(kLine) std::byte data[kRingSlotBytes];
};

// What rank 0 decides and tells the others; everything else follows from it.
struct Shape {
  std::uint32_t size = 0;
  std::uint32_t staged_depth = 0;
  std::uint64_t flat_bytes = 0;    // capacity of a flat slot
  std::uint64_t staged_bytes = 0;  // capacity of a staged slot
  std::uint64_t arena_bytes = 0;   // windows of one rank
  std::uint64_t chunk_bytes = 0;   // as asked for; 0: the default
  std::uint32_t ordinary = 0;      // ShmPath asked for
  std::uint32_t huge_pages = 0;    // whether the kernel gave some
};

// Offsets into the memory, in bytes.
struct Layout {
  explicit Layout(const Shape& shape) noexcept;
  Layout() noexcept = default;

  std::uint64_t control = 0, tables = 0, flat = 0, ring_controls = 0, ring_slots = 0, staged = 0, windows = 0,
                total = 0;
};

}  // namespace ff::hfreduce::shm
