// The engine's choices of sizes, in one place. hfr_shm_bench shows what they cost.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "libcommon/base/byte_size.hpp"

namespace ff::hfreduce::shm {

// Bytes of the last-level cache; 32 MiB if the system does not say.
std::uint64_t last_level_cache() noexcept;

struct Tuning {
  std::uint64_t flat_max = 0;   // longest send buffer of the flat path
  std::uint64_t chunk_max = 0;  // window and cma
  std::uint64_t chunk_min = 0;
  std::uint64_t staged_max = 0;
  std::uint64_t staged_min = 0;
  std::uint32_t staged_depth = 0;
  std::uint64_t cma_from = 0;           // below, system calls cost more than slots whatever the probe says
  std::uint64_t around_cache_from = 0;  // bytes of all outputs together from which stores bypass the cache

  // Zeros of `flat` and `chunk` mean the defaults. Equal on all ranks of a host.
  static Tuning choose(int size, std::uint64_t flat, std::uint64_t chunk) noexcept;

  // Several chunks a rank, so that shares even out; not so many that counting them costs.
  std::uint64_t claimed_chunk(std::uint64_t total, int size) const noexcept {
    return std::clamp(total / (4 * static_cast<std::uint64_t>(size)), chunk_min, chunk_max);
  }
  std::uint64_t staged_chunk(std::uint64_t total, int size) const noexcept {
    return std::clamp(total / (2 * static_cast<std::uint64_t>(size)), staged_min, staged_max);
  }
};

}  // namespace ff::hfreduce::shm
