// The shared pages of an attempt on a node: how the agent asks the ranks to stop, and how they say where they are. Two
// files in one folder, which FF_CTL names; page.md draws them byte by byte.
//
//   control   written by the agent alone, mapped for reading by the ranks
//   ranks     written by the ranks, read by the agent with read calls: a rank that damages or shortens it harms itself
//
// Fence      A rank publishes its step and then looks at the order; the agent writes the order and then looks at the
//            steps; both with a sequentially consistent fence between. So at least one of them sees the other: a rank
//            that was not seen at the fence step by an agent has itself seen the fence there, and waits.
// Numbers    never change their meaning; readers refuse another version.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

namespace ff::ctl {

inline constexpr std::uint64_t kControlMagic = 0x314c525443424a46;  // "FJBCTRL1"
inline constexpr std::uint64_t kRanksMagic = 0x314b4e5252424a46;    // "FJBRRNK1"
inline constexpr std::uint32_t kPageVersion = 1;
inline constexpr std::size_t kHeadBytes = 4096;
inline constexpr std::size_t kStateBytesMax = 64u << 10;
inline constexpr std::uint32_t kSlotsMax = 4096;

// What the agent wants of the ranks; one word, so that it is never seen in halves.
struct Order {
  static constexpr std::uint64_t kStepMax = (std::uint64_t{1} << 48) - 1;

  bool suspend = false;
  bool committed = false;   // every rank leaves at `step`
  std::uint16_t round = 0;  // the low 14 bits
  std::uint64_t step = 0;   // 0 and not committed: only publish steps

  std::uint64_t word() const noexcept {
    if (!suspend) return 0;
    return std::uint64_t{1} << 63 | std::uint64_t{committed} << 62 | std::uint64_t{round & 0x3fffu} << 48 |
           (step < kStepMax ? step : kStepMax);
  }
  static Order of(std::uint64_t word) noexcept {
    return {(word >> 63) != 0, (word >> 62 & 1) != 0, static_cast<std::uint16_t>(word >> 48 & 0x3fff), word & kStepMax};
  }
  bool operator==(const Order&) const = default;
};

// The first bytes of `control`; the state with which the attempt began follows at kHeadBytes.
struct ControlHead {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t slots;
  std::uint64_t job;
  std::uint32_t attempt;
  std::uint32_t first_rank;
  std::uint64_t resume_step;
  std::uint32_t state_bytes;
  std::uint32_t node_rank;
  std::uint64_t reserved[2];
  alignas(64) std::atomic<std::uint64_t> order;  // Order::word(); 0: nothing is asked
  std::atomic<std::uint32_t> changes;            // grows with every order; what waiting ranks sleep on
  std::uint32_t reserved2;
  std::atomic<std::uint64_t> deadline_ns;  // CLOCK_MONOTONIC: how long a rank waits at a fence at most
};

enum class RankState : std::uint32_t { kNone = 0, kAlive = 1, kSaving = 2, kSaved = 3 };

// One a rank, at kHeadBytes in `ranks`.
struct alignas(256) RankSlot {
  std::atomic<std::uint64_t> step;  // last published; 0: none
  std::atomic<std::uint64_t> held;  // the order on which it waits; 0: it does not
  std::atomic<std::uint64_t> saved_step;
  std::atomic<std::uint64_t> heartbeat_ns;  // CLOCK_MONOTONIC
  std::atomic<std::uint64_t> saving_bytes;
  std::atomic<std::uint64_t> saving_eta_ms;
  std::atomic<std::uint32_t> state;  // RankState
  std::atomic<std::uint32_t> seen;   // 1: has seen an order to suspend
  std::atomic<std::uint32_t> pid;    // 0: nobody has called ff_init
  std::atomic<std::uint32_t> yielded;
};

// The first bytes of `ranks`. After the slots follow two buffers of kStateBytesMax: the state of generation g is in
// buffer g mod 2, so that a rank which dies while it writes leaves the one before.
struct RanksHead {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t slots;
  alignas(64) std::atomic<std::uint64_t> state;  // generation << 32 | bytes; generation 0: none was set
};

static_assert(sizeof(ControlHead) <= kHeadBytes && sizeof(RanksHead) <= kHeadBytes && sizeof(RankSlot) == 256);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free && std::atomic<std::uint32_t>::is_always_lock_free);
static_assert(offsetof(ControlHead, order) == 64 && offsetof(ControlHead, changes) == 72 &&
              offsetof(ControlHead, deadline_ns) == 80 && offsetof(RanksHead, state) == 64);

inline constexpr std::size_t kControlBytes = kHeadBytes + kStateBytesMax;
constexpr std::size_t state_offset(std::uint32_t slots) noexcept { return kHeadBytes + slots * sizeof(RankSlot); }
constexpr std::size_t ranks_bytes(std::uint32_t slots) noexcept { return state_offset(slots) + 2 * kStateBytesMax; }

inline std::string control_file(const std::string& folder) { return folder + "/control"; }
inline std::string ranks_file(const std::string& folder) { return folder + "/ranks"; }

// What a rank does about an order when it has published `step` and `before` was its step before (-1: none).
enum class Verdict : std::uint8_t { kGoOn, kWait, kLeave };
constexpr Verdict verdict(const Order& order, std::int64_t before, std::uint64_t step) noexcept {
  if (!order.suspend || step < order.step) return Verdict::kGoOn;
  if (order.committed) return Verdict::kLeave;
  // Beyond a fence that came too late for it: the next round will be later.
  if (order.step == 0 || (before >= 0 && static_cast<std::uint64_t>(before) >= order.step)) return Verdict::kGoOn;
  return Verdict::kWait;
}

}  // namespace ff::ctl
