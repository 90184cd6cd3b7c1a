// WindowAllocator: which bytes of a rank's window part are taken. Arithmetic only; touches no memory.
//
// Placement  First fit, lowest address. Blocks are multiples of 64 bytes and 64-byte aligned; from 2 MiB up, multiples
// of 2 MiB and
//            2 MiB aligned, so that a huge page never belongs to two of them.
// Cost       Linear in the number of free ranges: windows are few and long-lived.
// Threads    None of its own; the caller locks.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

namespace ff::hfreduce::shm {

class WindowAllocator {
 public:
  struct Block {
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
    friend bool operator==(const Block&, const Block&) = default;
  };

  explicit WindowAllocator(std::uint64_t capacity);

  // Room for `bytes` (0 counts as 1); nothing if no range is long enough.
  std::optional<Block> take(std::uint64_t bytes);
  // The block that starts at `offset`; nothing if none does.
  std::optional<Block> give(std::uint64_t offset);
  // The free range around `offset` after give(): what may be returned to the system.
  Block free_around(std::uint64_t offset) const;

  std::uint64_t free_bytes() const noexcept;
  std::size_t free_ranges() const noexcept { return free_.size(); }

 private:
  std::map<std::uint64_t, std::uint64_t> free_;   // offset -> bytes; no two touch
  std::map<std::uint64_t, std::uint64_t> taken_;  // offset -> bytes
};

}  // namespace ff::hfreduce::shm
