#include "ffs/store/journal_sector.hpp"

#include <algorithm>
#include <cstring>

#include "libcommon/base/crc32c.hpp"

namespace ff::ffs {

namespace {

std::uint32_t sector_crc(std::span<const std::byte> sector) noexcept {
  return crc32c(0, sector.data() + sizeof(std::uint32_t), kSectorBytes - sizeof(std::uint32_t));
}

}  // namespace

SectorLook look_at_sector(std::span<const std::byte> sector) noexcept {
  SectorLook look;
  std::uint32_t crc = 0;
  std::memcpy(&crc, sector.data(), sizeof crc);
  std::memcpy(&look.stamp, sector.data() + sizeof crc, sizeof look.stamp);
  if (crc == sector_crc(sector)) {
    look.state = SectorState::kWhole;
  } else {
    const bool zeros = std::ranges::all_of(sector.first(kSectorBytes), [](std::byte b) { return b == std::byte{0}; });
    look.state = zeros ? SectorState::kEmpty : SectorState::kDamaged;
  }
  return look;
}

void seal_sector(std::span<std::byte> sector, std::uint32_t stamp) noexcept {
  std::memcpy(sector.data() + sizeof(std::uint32_t), &stamp, sizeof stamp);
  const std::uint32_t crc = sector_crc(sector);
  std::memcpy(sector.data(), &crc, sizeof crc);
}

}  // namespace ff::ffs
