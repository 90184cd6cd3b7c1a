// Journal: the ring file into which a chunk store writes batches of records, and from which it recovers.
//
// One at a time  A batch is written only after the one before it is durable. So of all batches only the last may be
//                torn; what a batch names was durable before it was written.
// Torn or rotten What a power cut left of an unfinished batch is the journal's end. What the disk has changed is never
//                taken for that (journal_sector.hpp): kCorrupt, for it may have been acknowledged.
// Head           Recovery starts at the head, which a checkpoint moves; two copies, written alternately.
// Not by chance  Header and batches carry the store's random generation: those of another store are refused.
#pragma once

#include <string>
#include <vector>

#include "ffs/store/journal_record.hpp"
#include "libcommon/runtime/disk.hpp"

namespace ff::ffs {

struct JournalBatch {
  BatchHeader header;
  std::vector<JournalRecord> records;
};

struct JournalHead {
  std::uint64_t generation = 0;
  std::uint64_t writes = 0;    // of the head; the copy with more is the newer
  std::uint64_t position = 0;  // of the oldest batch that recovery needs
  std::uint64_t sequence = 0;  // of that batch
};
inline constexpr std::size_t kJournalHeadBytes = 4096;
inline constexpr std::size_t kJournalRingAt = 2 * kJournalHeadBytes;
std::vector<std::byte> encode_journal_head(const JournalHead& head);
std::optional<JournalHead> decode_journal_head(std::span<const std::byte> bytes);

class Journal {
 public:
  // A new file, zeros written through so that no later write has to change the file's map.
  static runtime::Task<Result<>> create(runtime::Disk& disk, std::string path, std::uint64_t ring_bytes,
                                        std::uint64_t generation);

  Journal(runtime::Disk& disk, runtime::File& file, std::uint64_t ring_bytes, std::uint64_t generation) noexcept
      : disk_(disk), file_(file), ring_bytes_(ring_bytes), generation_(generation) {}

  // kCorrupt: no copy of the head is good. One that cannot be read counts as none while the other can.
  runtime::Task<Result<>> load_head();
  // The next batch from the head on; null at the end. kCorrupt: the disk has changed it, or what a good checksum covers
  // makes no sense.
  runtime::Task<Result<std::optional<JournalBatch>>> read_next(std::uint32_t checksum_bytes);
  // At the end: kCorrupt when batches follow that can only have been written after a good one stood here.
  runtime::Task<Result<>> check_end();

  // After the last batch was read: writes it and the head once more as they are, and syncs. They may have come from a
  // cache whose sync has failed, and would be gone after the next power cut.
  runtime::Task<Result<>> make_durable();

  // Writes a batch; not durable before the file is synced. REQUIRES: it fits.
  runtime::Task<Result<>> append(std::vector<std::vector<std::byte>> records, std::uint32_t flags);
  [[clang::coro_wrapper]] runtime::Task<Result<>> sync() { return file_.sync(); }
  // Recovery starts there from now on; durable when it returns.
  runtime::Task<Result<>> set_head(std::uint64_t position, std::uint64_t sequence);

  std::uint64_t ring_bytes() const noexcept { return ring_bytes_; }
  std::uint64_t tail() const noexcept { return tail_; }
  std::uint64_t used() const noexcept { return tail_ - head_.position; }
  std::uint64_t next_sequence() const noexcept { return next_sequence_; }
  const JournalHead& head() const noexcept { return head_; }

 private:
  runtime::Task<Result<>> read_ring(std::uint64_t position, std::span<std::byte> into);
  runtime::Task<Result<std::optional<JournalHead>>> read_head(std::uint64_t at);
  runtime::Task<Result<>> write_head(JournalHead head);
  bool later_batch(std::span<const std::byte> unit, std::uint64_t position) const;
  runtime::Task<Result<>> write_ring(std::uint64_t position, std::span<const std::byte> from);

  runtime::Disk& disk_;
  runtime::File& file_;
  std::uint64_t ring_bytes_;
  std::uint64_t generation_;
  JournalHead head_;
  std::uint64_t tail_ = 0;
  std::uint64_t next_sequence_ = 1;
  runtime::DiskBuffer last_read_;  // the last batch that read_next() gave
};

}  // namespace ff::ffs
