// Cells: the unit in which the cluster's simulation writes files. Every 64 bytes of a cell say who wrote them, as what,
// and where they belong, so that a wrong byte names its origin. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "libcommon/base/result.hpp"
#include "libcommon/testing/history.hpp"

namespace ff::sim {

inline constexpr std::size_t kCellBytes = 4096;

// Who wrote a cell: `sequence` is given out once in a world.
struct Stamp {
  std::uint32_t client = 0;
  std::uint64_t sequence = 0;
};

// What `stamp` puts at `offset` of a file. REQUIRES: offset and bytes are multiples of 64.
std::vector<std::byte> stamped(const Stamp& stamp, std::uint64_t file, std::uint64_t offset, std::size_t bytes);
// The stamp of bytes that were read there: "c2#17"; nullopt: they are zeros, or none. kCorrupt names the first bytes
// that do not belong to the others or to this place, and what they say of themselves.
Result<testing::RegisterValue> stamp_of(std::span<const std::byte> bytes, std::uint64_t file, std::uint64_t offset);
std::string text(const Stamp& stamp);

}  // namespace ff::sim
