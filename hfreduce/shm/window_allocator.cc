#include "hfreduce/shm/window_allocator.hpp"

#include <algorithm>
#include <iterator>

namespace ff::hfreduce::shm {
namespace {

constexpr std::uint64_t kSmall = 64;
constexpr std::uint64_t kLarge = 2ULL << 20;

}  // namespace

WindowAllocator::WindowAllocator(std::uint64_t capacity) {
  if (capacity > 0) free_.emplace(0, capacity);
}

std::optional<WindowAllocator::Block> WindowAllocator::take(std::uint64_t bytes) {
  const std::uint64_t unit = bytes >= kLarge ? kLarge : kSmall;
  if (bytes > ~0ULL - unit) return std::nullopt;
  const std::uint64_t wanted = std::max(unit, (bytes + unit - 1) / unit * unit);
  for (auto range = free_.begin(); range != free_.end(); ++range) {
    const auto [start, length] = *range;
    const std::uint64_t at = (start + unit - 1) / unit * unit;
    const std::uint64_t skipped = at - start;
    if (length < skipped || length - skipped < wanted) continue;
    const std::uint64_t rest = length - skipped - wanted;
    free_.erase(range);
    if (skipped > 0) free_.emplace(start, skipped);
    if (rest > 0) free_.emplace(at + wanted, rest);
    taken_.emplace(at, wanted);
    return Block{at, wanted};
  }
  return std::nullopt;
}

std::optional<WindowAllocator::Block> WindowAllocator::give(std::uint64_t offset) {
  const auto found = taken_.find(offset);
  if (found == taken_.end()) return std::nullopt;
  const Block block{found->first, found->second};
  taken_.erase(found);
  auto range = free_.emplace(block.offset, block.bytes).first;
  if (const auto after = std::next(range); after != free_.end() && after->first == range->first + range->second) {
    range->second += after->second;
    free_.erase(after);
  }
  if (range != free_.begin())
    if (const auto before = std::prev(range); before->first + before->second == range->first) {
      before->second += range->second;
      free_.erase(range);
    }
  return block;
}

WindowAllocator::Block WindowAllocator::free_around(std::uint64_t offset) const {
  auto range = free_.upper_bound(offset);
  if (range == free_.begin()) return {};
  --range;
  if (offset >= range->first + range->second) return {};
  return {range->first, range->second};
}

std::uint64_t WindowAllocator::free_bytes() const noexcept {
  std::uint64_t sum = 0;
  for (const auto& [offset, bytes] : free_) sum += bytes;
  return sum;
}

}  // namespace ff::hfreduce::shm
