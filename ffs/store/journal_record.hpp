// The records of a chunk store's journal, and the header of a batch of them. store.md has the bytes. Pure.
//
// Full     A state record has everything about a chunk, so that it needs nothing of what came before it, but the bytes
//          that earlier records of the same journal gave to a block that it keeps.
// Delta    A commit or abort record is about a pending update whose state record is in the journal before it; where it
//          is not, a checkpoint that is newer than the record knows better, and the record says nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "ffs/store/chunk_state.hpp"

namespace ff::ffs {

inline constexpr std::size_t kBatchHeaderBytes = 64;
inline constexpr std::size_t kJournalUnit = 4096;  // batches begin and end at multiples of it

struct BatchHeader {
  std::uint64_t generation = 0;
  std::uint64_t sequence = 0;
  std::uint64_t durable = 0;   // all batches up to this one, and the data that they name, are on the disk
  std::uint64_t position = 0;  // where the batch begins, counted from the journal's first byte ever
  std::uint32_t payload_bytes = 0;
  std::uint32_t records = 0;
  std::uint32_t payload_crc = 0;
};
std::vector<std::byte> encode_batch_header(const BatchHeader& header);
// Null when the bytes are none.
std::optional<BatchHeader> decode_batch_header(std::span<const std::byte> bytes);
// Of header and payload, in whole units.
constexpr std::uint64_t batch_bytes(std::uint64_t payload_bytes) noexcept {
  return (kBatchHeaderBytes + payload_bytes + kJournalUnit - 1) / kJournalUnit * kJournalUnit;
}

// As CommittedState and PendingState, with the place of a block instead of the block.
struct ContentRecord {
  BlockPlace place;
  std::uint32_t length = 0;
  std::vector<std::uint32_t> crcs;
  NewBlocks fresh;
};
struct StateRecord {
  std::optional<CommittedState> committed;  // its content is null
  ContentRecord committed_content;
  std::optional<PendingState> pending;  // its content is null; `own` is kept
  ContentRecord pending_content;
};

enum class RecordKind : std::uint8_t { kState = 1, kCommit = 2, kAbort = 3, kPurge = 4 };

struct JournalRecord {
  RecordKind kind = RecordKind::kState;
  ChunkId chunk;
  StateRecord state;               // kState
  ChunkVersion version = 0;        // kCommit
  ChainVersion chain_version = 0;  // kCommit
};

std::vector<std::byte> encode_state(ChunkId chunk, const CommittedState* committed, NewBlocks committed_fresh,
                                    const PendingState* pending);
std::vector<std::byte> encode_commit(ChunkId chunk, ChunkVersion version, ChainVersion chain_version);
std::vector<std::byte> encode_mark(RecordKind kind, ChunkId chunk);  // kAbort, kPurge
// At most what encode_state() makes of contents with so many checksum blocks, `own_blocks` of them with their bytes.
std::uint64_t state_bytes_max(std::uint64_t crcs, std::uint64_t own_blocks, std::uint32_t checksum_bytes) noexcept;

// The records of a payload. kCorrupt.
Result<std::vector<JournalRecord>> decode_records(std::span<const std::byte> payload, std::uint32_t records,
                                                  std::uint32_t checksum_bytes);

}  // namespace ff::ffs
