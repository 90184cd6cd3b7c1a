#include "libcommon/metrics/thread_slot.hpp"

#include <array>
#include <bit>
#include <mutex>

namespace ff::metrics::detail {
namespace {

// One bit a slot, set when it is taken.
struct Slots {
  std::mutex mutex;
  std::array<std::uint64_t, kThreadSlotsMax / 64> taken{};

  std::uint32_t take() noexcept {
    const std::lock_guard lock(mutex);
    for (std::uint32_t word = 0; word < taken.size(); ++word) {
      if (taken[word] == UINT64_MAX) continue;
      const auto bit = static_cast<std::uint32_t>(std::countr_one(taken[word]));
      taken[word] |= std::uint64_t{1} << bit;
      return word * 64 + bit;
    }
    return kNoSlot;
  }
  void give_back(std::uint32_t slot) noexcept {
    const std::lock_guard lock(mutex);
    taken[slot / 64] &= ~(std::uint64_t{1} << (slot % 64));
  }
};

// Never destroyed: threads may end after main() returned.
Slots& slots() noexcept {
  static auto* const all = new Slots;
  return *all;
}

// Gives the number back when its thread ends. Destructors that run after this one still count under the old number;
// another thread may have it by then, and shares the shard for that moment.
struct SlotOwner {
  std::uint32_t slot = kNoSlot;
  ~SlotOwner() {
    if (slot != kNoSlot) slots().give_back(slot);
  }
};

}  // namespace

constinit thread_local std::uint32_t t_slot = kNoSlot;

std::uint32_t take_thread_slot() noexcept {
  thread_local SlotOwner owner;
  owner.slot = slots().take();
  t_slot = owner.slot != kNoSlot ? owner.slot : kThreadSlotsMax - 1;
  return t_slot;
}

}  // namespace ff::metrics::detail
