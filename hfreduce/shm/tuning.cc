#include "hfreduce/shm/tuning.hpp"

#include <unistd.h>

namespace ff::hfreduce::shm {

std::uint64_t last_level_cache() noexcept {
  for (const int name : {_SC_LEVEL4_CACHE_SIZE, _SC_LEVEL3_CACHE_SIZE, _SC_LEVEL2_CACHE_SIZE})
    if (const long bytes = ::sysconf(name); bytes > 0) return static_cast<std::uint64_t>(bytes);
  return 32 * kMiB;
}

Tuning Tuning::choose(int size, std::uint64_t flat, std::uint64_t chunk) noexcept {
  const auto n = static_cast<std::uint64_t>(size);
  Tuning out;
  out.flat_max = (flat > 0 ? flat : size <= 2 ? 4 * kKiB : 1 * kKiB) + 63;
  out.flat_max -= out.flat_max % 64;
  if (chunk > 0) {
    out.chunk_max = out.chunk_min = out.staged_max = out.staged_min = (chunk + 63) / 64 * 64;
  } else {
    out.chunk_max = 128 * kKiB;
    out.chunk_min = 8 * kKiB;
    // All slots together stay within about 4 MiB of the last-level cache.
    out.staged_max = std::clamp(std::bit_floor(4 * kMiB / (2 * n * (n + 1))), 8 * kKiB, 128 * kKiB);
    out.staged_min = 4 * kKiB;
  }
  out.staged_depth = static_cast<std::uint32_t>(std::max<std::uint64_t>(2 * n, 8));
  out.cma_from = 128 * kKiB;
  out.around_cache_from = last_level_cache() / 4;
  return out;
}

}  // namespace ff::hfreduce::shm
