// The records of a chunk store's journal, and batches of them. store.md has the bytes. Pure.
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
#include "ffs/store/journal_sector.hpp"

namespace ff::ffs {

inline constexpr std::size_t kBatchHeaderBytes = 64;
inline constexpr std::size_t kJournalUnit = 4096;  // batches begin and end at multiples of it
inline constexpr std::uint32_t kOnlyRepeats = 1;   // of BatchHeader::flags: has all pending updates, and nothing new

struct BatchHeader {
  std::uint64_t generation = 0;
  std::uint64_t sequence = 0;
  std::uint64_t position = 0;  // where the batch begins, counted from the journal's first byte ever
  std::uint32_t payload_bytes = 0;
  std::uint32_t records = 0;
  std::uint32_t payload_crc = 0;
  std::uint32_t flags = 0;
  std::uint32_t stamp = 0;  // that its sectors bear: the CRC of the rest of the header
};
// The stamp is computed.
std::vector<std::byte> encode_batch_header(const BatchHeader& header);
// Null when the bytes are none.
std::optional<BatchHeader> decode_batch_header(std::span<const std::byte> bytes);
// Of header and payload on the disk, in whole units of sectors.
constexpr std::uint64_t batch_bytes(std::uint64_t payload_bytes) noexcept {
  const std::uint64_t sectors = (kBatchHeaderBytes + payload_bytes + kSectorPayloadBytes - 1) / kSectorPayloadBytes;
  return (sectors * kSectorBytes + kJournalUnit - 1) / kJournalUnit * kJournalUnit;
}
// The whole batch; sizes and checksums in `header` are computed. REQUIRES: `into` is zeroed, batch_bytes() long.
void encode_batch(BatchHeader header, std::span<const std::vector<std::byte>> records, std::span<std::byte> into);

enum class BatchState {
  kWhole,
  kTorn,     // it was never finished: whole sectors of other batches, or none, stand where some of its should
  kDamaged,  // the disk changed it: it may have been acknowledged
};
struct BatchLook {
  BatchState state = BatchState::kTorn;
  std::vector<std::byte> payload;  // kWhole
};
// What a batch's first sector says. kWhole: `header` is a header, whosoever's; kTorn: no batch begins here.
BatchState look_at_batch_start(std::span<const std::byte> sector, BatchHeader& header);
// REQUIRES: batch_bytes(header.payload_bytes) bytes that begin with `header`.
BatchLook look_at_batch(const BatchHeader& header, std::span<const std::byte> bytes);

// As CommittedState and PendingState, with the place of a block instead of the block.
struct ContentRecord {
  BlockPlace place;
  std::uint32_t length = 0;
  std::vector<std::uint32_t> crcs;
};
struct StateRecord {
  std::optional<CommittedState> committed;  // its content is null
  ContentRecord committed_content;
  std::optional<PendingState> pending;  // its content is null; `own` is kept
  ContentRecord pending_content;
};

enum class RecordKind : std::uint8_t { kState = 1, kCommit = 2, kAbort = 3, kPurge = 4, kBad = 5 };

struct JournalRecord {
  RecordKind kind = RecordKind::kState;
  ChunkId chunk;
  StateRecord state;               // kState
  ChunkVersion version = 0;        // kCommit, kBad
  ChainVersion chain_version = 0;  // kCommit
};

std::vector<std::byte> encode_state(ChunkId chunk, const CommittedState* committed, const PendingState* pending);
std::vector<std::byte> encode_commit(ChunkId chunk, ChunkVersion version, ChainVersion chain_version);
std::vector<std::byte> encode_mark(RecordKind kind, ChunkId chunk);  // kAbort, kPurge
// The content of the committed `version` cannot be read.
std::vector<std::byte> encode_bad(ChunkId chunk, ChunkVersion version);
// At most what encode_state() makes of contents with so many checksum blocks, `own_blocks` of them with their bytes.
std::uint64_t state_bytes_max(std::uint64_t crcs, std::uint64_t own_blocks, std::uint32_t checksum_bytes) noexcept;

// The records of a payload. kCorrupt.
Result<std::vector<JournalRecord>> decode_records(std::span<const std::byte> payload, std::uint32_t records,
                                                  std::uint32_t checksum_bytes);

}  // namespace ff::ffs
