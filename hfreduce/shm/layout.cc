#include "hfreduce/shm/layout.hpp"

namespace ff::hfreduce::shm {
namespace {

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) { return (value + unit - 1) / unit * unit; }

}  // namespace

Layout::Layout(const Shape& shape) noexcept {
  constexpr std::uint64_t kPage = 4096;
  const std::uint64_t n = shape.size;
  std::uint64_t at = 0;
  const auto place = [&at](std::uint64_t bytes, std::uint64_t alignment) {
    const std::uint64_t here = round_up(at, alignment);
    at = here + bytes;
    return here;
  };
  control = place(n * sizeof(RankControl), kPage);
  tables = place(2 * n * 4 * n * sizeof(std::uint64_t), kPage);
  flat = place(2 * n * shape.flat_bytes, kPage);
  ring_controls = place(n * n * sizeof(RingControl), kPage);
  ring_slots = place(n * n * kRingSlots * sizeof(RingSlot), kPage);
  staged = place((n + 1) * shape.staged_depth * shape.staged_bytes, kHugePage);
  windows = place(n * shape.arena_bytes, kHugePage);
  total = round_up(at, kHugePage);
}

}  // namespace ff::hfreduce::shm
