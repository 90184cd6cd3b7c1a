#include "hfreduce/shm/windows.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "hfreduce/shm/layout.hpp"
#include "libcommon/base/byte_size.hpp"

namespace ff::hfreduce::shm {

Windows::Windows(Arena& arena, std::uint64_t offset, std::uint64_t bytes)
    : arena_(arena), offset_(offset), bytes_(bytes), allocator_(bytes) {}

Result<void*> Windows::alloc(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  const auto block = allocator_.take(bytes);
  if (!block)
    return fail(Errc::kExhausted, fmt::format("window of {}: no room, {} of {} are free in {} pieces (free windows, or "
                                              "choose a larger arena)",
                                              format_byte_size(bytes), format_byte_size(allocator_.free_bytes()),
                                              format_byte_size(bytes_), allocator_.free_ranges()));
  // Of a large block only what was asked for becomes memory; the rest of its last huge page stays a hole.
  const std::uint64_t used = bytes == 0 ? 1 : bytes;
  if (Result<> populated = arena_.populate(offset_ + block->offset, used); !populated) {
    allocator_.give(block->offset);
    return fail(std::move(populated).error().context(fmt::format("window of {}", format_byte_size(bytes))));
  }
  std::byte* start = arena_.base() + offset_ + block->offset;
  // Large blocks are made of fresh pages, which are zero; small ones share pages with their past and their neighbours.
  if (block->bytes < kHugePage) std::memset(start, 0, block->bytes);
  return start;
}

Result<> Windows::free(void* pointer) {
  const auto* part = arena_.base() + offset_;
  const auto at = reinterpret_cast<std::uintptr_t>(pointer) - reinterpret_cast<std::uintptr_t>(part);
  const std::lock_guard lock(mutex_);
  const auto block = at < bytes_ ? allocator_.give(at) : std::nullopt;
  if (!block)
    return fail(Errc::kInvalidArgument,
                fmt::format("free of {}: not the start of a window of this rank (free each window once)", pointer));
  // The pages at both ends may be shared with neighbours; they go with the last of them.
  constexpr std::uint64_t kPage = 4096;
  const auto hole = allocator_.free_around(at);
  const std::uint64_t first = std::max(hole.offset, block->offset / kPage * kPage);
  const std::uint64_t end =
      std::min(hole.offset + hole.bytes, (block->offset + block->bytes + kPage - 1) / kPage * kPage);
  arena_.release(offset_ + first, end - first);
  return {};
}

}  // namespace ff::hfreduce::shm
