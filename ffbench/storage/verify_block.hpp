// The blocks of `ffbench storage verify`: each says which run wrote it, where it belongs and which write it was, and
// all its bytes follow from that, so that a reader can tell every way in which storage loses or changes data.
// Pure: bytes in, bytes out. The layout is in verify.md and never changes under the same version.
//
// Versions  A block is written again and again; `sequence` counts all writes of a run from 1 and names a version.
// Sectors   The unit that storage writes whole (kSectorBytes). Each ends in the sequence of its block, so that sectors
// of
//           different versions can be told apart within one block.
// Threads   Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "libcommon/base/result.hpp"

namespace ff::bench {

inline constexpr std::size_t kVerifySectorBytes = 512;
inline constexpr std::size_t kVerifyBlockBytesMax = std::size_t{64} << 20;

// What the bytes of a block follow from, together with its length.
struct BlockIdentity {
  std::uint64_t run = 0;
  std::uint64_t seed = 0;
  std::uint64_t offset = 0;  // in the target, bytes
  std::uint64_t sequence = 0;
  bool operator==(const BlockIdentity&) const = default;
};

// REQUIRES: into.size() is a multiple of kVerifySectorBytes, at least one sector, at most kVerifyBlockBytesMax.
void encode_block(const BlockIdentity& identity, std::span<std::byte> into);

// Who wrote a block, from a whole block of any run. kCorrupt: no such block, or damaged (its checksum says so).
Result<BlockIdentity> decode_block(std::span<const std::byte> block);

enum class BlockVerdict : std::uint8_t {
  kGood,        // whole, and as new as was promised
  kUnsynced,    // a mixture of versions, all of them allowed: nothing newer than `required` was promised
  kUnwritten,   // nothing was promised, nothing of this run is here
  kLost,        // older than `required`, or zeros: a write that was synced is gone
  kTorn,        // part of it is as promised, part is older
  kMisplaced,   // a block of this run that belongs elsewhere
  kCorrupt,     // some sector is no version at all
  kForeign,     // the block of another run, or of no run
  kAhead,       // a version of which the journal knows nothing: the journal has lost what was synced
  kUnreadable,  // the storage gave an error
};
std::string_view name_of(BlockVerdict verdict) noexcept;
// Whether the storage has broken a promise.
bool is_failure(BlockVerdict verdict) noexcept;

// What a reader may find at a place.
struct BlockPromise {
  std::uint64_t run = 0, seed = 0, offset = 0;
  std::uint64_t required = 0;                   // the newest version that was synced; 0: none was
  std::span<const std::uint64_t> allowed = {};  // newer versions that may have been written since, ascending
};

struct BitFlip {
  std::uint64_t byte = 0;  // in the block
  unsigned bit = 0;        // 0 is the lowest
  bool operator==(const BitFlip&) const = default;
};

struct BlockFinding {
  BlockVerdict verdict = BlockVerdict::kGood;
  std::string detail = {};          // for people; empty for good ones
  std::vector<BitFlip> flips = {};  // of kCorrupt: the first 64, against the nearest version
  std::uint64_t flipped_bits = 0;   // all of them; 0 also when a sector is like no version
};

// REQUIRES: as encode_block().
BlockFinding judge_block(std::span<const std::byte> block, const BlockPromise& promise);

}  // namespace ff::bench
