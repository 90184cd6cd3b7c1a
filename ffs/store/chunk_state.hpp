// What a chunk store remembers of a chunk. Values once made never change: a reader keeps the one it began with.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "ffs/store/block_space.hpp"
#include "ffs/store/chunk_store.hpp"
#include "ffs/store/overlay.hpp"

namespace ff::ffs {

struct StoredContent {
  BlockRef block;
  std::uint32_t length = 0;
  std::vector<std::uint32_t> crcs;  // of each checksum block; of the last one only the bytes inside the length
  std::uint32_t crc = 0;            // content_crc(crcs)
  Overlay overlay;                  // instead of what the block has there
};
using ContentRef = std::shared_ptr<const StoredContent>;

// CRC-32C of the little-endian array of the checksum blocks' CRCs.
std::uint32_t content_crc(std::span<const std::uint32_t> crcs) noexcept;
constexpr std::uint32_t checksum_blocks(std::uint64_t length, std::uint32_t checksum_bytes) noexcept {
  return static_cast<std::uint32_t>((length + checksum_bytes - 1) / checksum_bytes);
}

struct CommittedState {
  ChunkVersion version = 0;
  ChainVersion chain_version = 0;
  std::uint64_t truncate_epoch = 0;
  std::uint32_t chunk_bytes = 0;
  bool removed = false;
  bool bad = false;
  std::array<RememberedUpdate, kRememberedUpdates> recent{};
  ContentRef content;  // never null
};
using CommittedRef = std::shared_ptr<const CommittedState>;

struct PendingState {
  UpdateKind kind = UpdateKind::kWrite;
  ChunkVersion version = 0;
  ChainVersion chain_version = 0;
  UpdateTag tag;
  std::uint64_t truncate_epoch = 0;
  std::uint32_t chunk_bytes = 0;
  ContentRef content;                // never null
  Overlay own;                       // the part of its overlay that this update brought
  std::uint64_t sequence = 0;        // of the batch with its record; 0: from before the store was opened
  std::shared_ptr<const void> room;  // in the journal, for writing it there again
};
using PendingRef = std::shared_ptr<const PendingState>;

// What a commit of `pending` makes of `before` (null: nothing was there). What is bad stays so as long as the block
// does.
CommittedState committed_from(const CommittedState* before, const PendingState& pending, ChainVersion chain_version,
                              bool keeps_block);

ChunkInfo chunk_info(ChunkId chunk, const CommittedState* committed, const PendingState* pending);

}  // namespace ff::ffs
