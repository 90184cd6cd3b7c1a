// Sectors of the journal: each tells by itself whether it is as it was written, and of which batch.
//
// A power cut leaves each sector of a batch that was being written as it was before, or as it was to be: both whole. So
// a sector that is not whole was changed by the disk afterwards, and what it held may have been acknowledged; a batch
// of which whole sectors of another one stand in the way was never finished, and was not. That tells rot in the newest
// batch from a torn write, which a checksum over all of the batch cannot.
//
// Pure. Assumes that the disk writes 512 bytes whole or not at all, as all do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace ff::ffs {

inline constexpr std::size_t kSectorBytes = 512;
inline constexpr std::size_t kSectorTagBytes = 8;  // CRC of the rest; stamp of the batch
inline constexpr std::size_t kSectorPayloadBytes = kSectorBytes - kSectorTagBytes;

enum class SectorState {
  kEmpty,    // zeros: never written
  kWhole,    // its stamp says of which batch
  kDamaged,  // neither
};
struct SectorLook {
  SectorState state = SectorState::kEmpty;
  std::uint32_t stamp = 0;
};

// REQUIRES: kSectorBytes each.
SectorLook look_at_sector(std::span<const std::byte> sector) noexcept;
void seal_sector(std::span<std::byte> sector, std::uint32_t stamp) noexcept;

}  // namespace ff::ffs
