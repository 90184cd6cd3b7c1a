#include "ffbench/compute/direct_memory.hpp"

#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "ffbench/compute/isa.hpp"

namespace ff::bench {
namespace {

constexpr std::size_t kLineWords = 8;

#if defined(__x86_64__)
// The flush of every line overlaps with its neighbours'; the fence makes the loads wait for all of them.
[[gnu::target("clflushopt")]] void flush_weakly(const std::uint64_t* words, std::size_t count) noexcept {
  for (std::size_t i = 0; i < count; i += kLineWords) _mm_clflushopt(const_cast<std::uint64_t*>(words + i));
  _mm_clflushopt(const_cast<std::uint64_t*>(words + count - 1));
  _mm_mfence();
}
void flush_in_order(const std::uint64_t* words, std::size_t count) noexcept {
  for (std::size_t i = 0; i < count; i += kLineWords) _mm_clflush(words + i);
  _mm_clflush(words + count - 1);
  _mm_mfence();
}

void store_around_caches(std::uint64_t* to, const std::uint64_t* from, std::size_t count) noexcept {
  for (std::size_t i = 0; i < count; ++i)
    _mm_stream_si64(reinterpret_cast<long long*>(to + i), static_cast<long long>(from[i]));
  _mm_sfence();
}
#else
void flush_nothing(const std::uint64_t*, std::size_t) noexcept {}
void store_around_caches(std::uint64_t* to, const std::uint64_t* from, std::size_t count) noexcept {
  std::memcpy(to, from, count * sizeof *to);
}
#endif

}  // namespace

#if defined(__x86_64__)
DirectMemory::DirectMemory(std::span<std::uint64_t> memory) noexcept
    : memory_(memory), flush_(have_clflushopt() ? flush_weakly : flush_in_order) {}
#else
DirectMemory::DirectMemory(std::span<std::uint64_t> memory) noexcept : memory_(memory), flush_(flush_nothing) {}
#endif

void DirectMemory::write(std::uint64_t first, std::span<const std::uint64_t> values, StorePath path) noexcept {
  if (path == StorePath::kNonTemporal)
    store_around_caches(memory_.data() + first, values.data(), values.size());
  else
    std::memcpy(memory_.data() + first, values.data(), values.size_bytes());
}

void DirectMemory::read(std::uint64_t first, std::span<std::uint64_t> values) noexcept {
  flush_(memory_.data() + first, values.size());
  std::memcpy(values.data(), memory_.data() + first, values.size_bytes());
}

}  // namespace ff::bench
