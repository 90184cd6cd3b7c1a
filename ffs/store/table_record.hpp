// The records of a chunk store's tables: the committed state of the chunk in each block, as of the last checkpoint.
// store.md has the bytes. Pure.
#pragma once

#include <span>
#include <variant>
#include <vector>

#include "ffs/store/journal_record.hpp"

namespace ff::ffs {

inline constexpr std::size_t kTableSector = 512;       // written whole or not at all by a disk
inline constexpr std::size_t kTableHeaderBytes = 256;  // within the first sector, checked by itself

constexpr std::size_t table_record_bytes(unsigned size_class, std::uint32_t checksum_bytes) noexcept {
  const std::size_t bytes = kTableHeaderBytes + 4 * checksum_blocks(class_bytes(size_class), checksum_bytes);
  return (bytes + kTableSector - 1) / kTableSector * kTableSector;
}

struct TableRecord {
  ChunkId chunk;
  CommittedState state;  // content is null
  std::uint32_t length = 0;
  std::vector<std::uint32_t> crcs;
  bool crcs_ok = true;  // false: the header is whole, the list is not
};

// table_record_bytes().
std::vector<std::byte> encode_table_record(ChunkId chunk, const CommittedState& state, std::uint32_t checksum_bytes);
// Null: a free place. kCorrupt: the header is damaged.
Result<std::optional<TableRecord>> decode_table_record(std::span<const std::byte> bytes, unsigned size_class,
                                                       std::uint32_t checksum_bytes);

}  // namespace ff::ffs
