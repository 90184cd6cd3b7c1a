// MemoryAccess to ordinary memory: cached or non-temporal stores; lines are flushed from all caches before they are
// read. Where the processor has no instruction for either (not x86-64), plain stores and loads.
#pragma once

#include "ffbench/compute/memory_access.hpp"

namespace ff::bench {

class DirectMemory final : public MemoryAccess {
 public:
  // `memory` is aligned to a cache line and outlives this.
  explicit DirectMemory(std::span<std::uint64_t> memory) noexcept;

  std::uint64_t words() const noexcept override { return memory_.size(); }
  void write(std::uint64_t first, std::span<const std::uint64_t> values, StorePath path) noexcept override;
  void read(std::uint64_t first, std::span<std::uint64_t> values) noexcept override;

 private:
  std::span<std::uint64_t> memory_;
  void (*flush_)(const std::uint64_t* words, std::size_t count) noexcept;
};

}  // namespace ff::bench
