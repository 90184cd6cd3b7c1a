// The memory that a test sees: words of 64 bits, in blocks. The seam between the patterns and what they are written to:
// the machine's memory (direct_memory.hpp), or a model of broken memory in tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace ff::bench {

inline constexpr std::size_t kBlockWords = 512;  // 4 KiB

enum class StorePath : std::uint8_t { kCached, kNonTemporal };

class MemoryAccess {
 public:
  virtual ~MemoryAccess() = default;
  virtual std::uint64_t words() const noexcept = 0;
  // Words first, first + 1, ...; at most a block. Threads may work on different words at once.
  virtual void write(std::uint64_t first, std::span<const std::uint64_t> values, StorePath path) noexcept = 0;
  // From the memory itself, not from a cache.
  virtual void read(std::uint64_t first, std::span<std::uint64_t> values) noexcept = 0;
};

}  // namespace ff::bench
