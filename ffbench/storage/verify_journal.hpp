// The journal of a verify run: what storage has promised so far, as bytes. Pure; verify.md has the layout.
//
// Pages    The journal has kJournalPages pages of kJournalPageBytes. Page 0 says what the run is; records go in turn
//          into the others, so that a power cut while one is written leaves the other.
// Threads  Pure functions and plain data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ffbench/storage/offsets.hpp"
#include "libcommon/base/result.hpp"

namespace ff::bench {

inline constexpr std::size_t kJournalPageBytes = 4096;
inline constexpr std::size_t kJournalPages = 3;
inline constexpr std::size_t kJournalBytes = kJournalPages * kJournalPageBytes;
inline constexpr std::uint64_t kVerifyWindowMax = std::uint64_t{1} << 24;
inline constexpr std::uint64_t kVerifyBlocksMax = std::uint64_t{1} << 28;  // the checker holds 8 bytes for each

// What a run writes, and in which order: write `sequence` goes where block_of(sequence) says.
struct VerifyRun {
  std::uint64_t run = 0;
  std::uint64_t seed = 0;
  std::uint64_t offset = 0;  // of block 0 in the target
  std::uint64_t blocks = 0;
  std::uint64_t window = 0;  // no write beyond synced + window is begun
  std::uint32_t block_bytes = 0;
  bool random = true;
  bool operator==(const VerifyRun&) const = default;
};

// kInvalidArgument: a length that is no multiple of the sector, no or too many blocks, no or too large a window.
Result<> check(const VerifyRun& run);

struct VerifyRecord {
  std::uint64_t number = 0;
  std::uint64_t synced = 0;
  bool operator==(const VerifyRecord&) const = default;
};

// Where record `number` goes.
constexpr std::size_t journal_page_of(std::uint64_t number) noexcept { return 1 + number % (kJournalPages - 1); }

// REQUIRES: check(run); page.size() == kJournalPageBytes.
void encode_journal_header(const VerifyRun& run, std::span<std::byte> page);
void encode_journal_record(std::uint64_t run, const VerifyRecord& record, std::span<std::byte> page);

struct VerifyJournal {
  VerifyRun run;
  VerifyRecord last;
};
// Of all its bytes. kCorrupt: no journal, a damaged header, or no valid record of its run.
Result<VerifyJournal> decode_journal(std::span<const std::byte> bytes);

// The block (0..blocks-1) that write `sequence` goes to, for many sequences in ascending order: keeps the order of the
// pass it is in. REQUIRES: check(run), sequence > 0.
class VerifyOrder {
 public:
  explicit VerifyOrder(const VerifyRun& run);
  std::uint64_t block_of(std::uint64_t sequence);

 private:
  std::uint64_t blocks_, seed_;
  bool random_;
  std::uint64_t pass_ = 0;
  Permutation order_;
};

}  // namespace ff::bench
