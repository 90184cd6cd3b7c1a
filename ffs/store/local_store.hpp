// LocalChunkStore: ChunkStore on the files of a folder. How it works:
//
// Index      All of a chunk's state but its bytes is in memory, in values that never change once made
// (chunk_state.hpp). Data       What an update writes beside its record is synced before the record is made, together
// with whatever else
//            that file got meanwhile. So a record names only what is there: data that does not match it has rotted.
// Journal    Every change is a record of the next batch. The flush loop writes one batch at a time, all that came while
//            the one before it was under way, and syncs the journal. Then it is durable, those who wait are woken, and
//            blocks that it freed may be used again.
// Updates    Small ones carry their checksum blocks in the record; readers get them from memory (Overlay) until a
//            checkpoint writes them into their block. Large ones that lie behind the end go into the free rest of the
//            block, others into a free block: what is committed is never written over before its successor is durable.
// Checkpoint When a quarter of the journal is used: writes the overlays and the tables as of a batch (the cut), syncs,
//            moves the journal's head to the cut. Pending updates are not in the tables: the batch at the cut repeats
//            their records.
// Bounds     Of the journal: 1/8 for records that wait for the flush, 1/8 for pending updates, 1/16 for purges; 3/8 for
//            the batches beside a checkpoint. So at most 13/16 are in use, and recovery has room for what it repeats.
#pragma once

#include <array>
#include <map>
#include <set>
#include <vector>

#include "ffs/store/content_reader.hpp"
#include "ffs/store/journal.hpp"
#include "ffs/store/table_record.hpp"
#include "libcommon/runtime/scope.hpp"

namespace ff::ffs {

class LocalChunkStore final : public ChunkStore {
 public:
  LocalChunkStore(runtime::Env& env, std::string folder, StoreSuperblock superblock, std::unique_ptr<StoreFiles> files);
  ~LocalChunkStore() override;
  // Before anything else: tables, journal, checkpoint; then starts the flush loop.
  runtime::Task<Result<>> recover();

  const StoreIdentity& identity() const noexcept override { return superblock_.identity; }
  std::optional<ChunkInfo> info(ChunkId chunk) const override;
  std::vector<ChunkInfo> list(ChunkId from, std::size_t limit) const override;
  std::vector<ChunkInfo> marked(ChunkMark mark, ChunkId from, std::size_t limit) const override;
  std::optional<ChunkInfo> last_chunk(InodeId inode) const override;
  runtime::Task<Result<ReadResult>> read(ChunkId chunk, std::uint32_t offset, std::span<std::byte> into) override;
  runtime::Task<Result<ReadResult>> read_pending(ChunkId chunk, std::uint32_t offset,
                                                 std::span<std::byte> into) override;
  runtime::Task<Result<PendingInfo>> stage(ChunkUpdate update, std::shared_ptr<runtime::Event> based) override;
  Result<> commit(ChunkId chunk, ChunkVersion version, ChainVersion chain_version) override;
  Result<> abort(ChunkId chunk) override;
  runtime::Task<Result<>> install(const ChunkInfo& info, std::span<const std::byte> content, InstallMode mode,
                                  std::span<const std::uint32_t> crcs) override;
  runtime::Task<Result<DamagedContent>> read_damaged(ChunkId chunk, bool pending, std::span<std::byte> into) override;
  Result<> purge(ChunkId chunk) override;
  runtime::Task<Result<>> sync() override;
  runtime::Task<Result<>> verify(ChunkId chunk) override;
  void measure_syncs(metrics::Recorder into) override { syncs_ = into; }
  SpaceUse space() const noexcept override;
  std::optional<Error> failed() const override { return failed_; }
  runtime::Task<Result<>> stop() override;

 private:
  // Everything is durable and checkpointed.
  runtime::Task<Result<>> settle();
  struct Chunk {
    CommittedRef committed;
    PendingRef pending;
    std::optional<BlockPlace> table;  // where the tables have it, once the checkpoint that runs has ended
    std::uint64_t append_after = 0;   // batch that must be durable before bytes behind the end may be written
    std::uint8_t marks = 0;           // bit per ChunkMark: in which of marked_ it is
  };
  using Index = std::map<ChunkId, Chunk>;

  // What an update does to the bytes: zeros from the end to `offset`, then `data`. In whole checksum blocks.
  struct Patch {
    std::uint32_t first = 0;
    std::uint32_t count = 0;
    std::uint32_t length = 0;          // of the chunk afterwards
    std::span<const std::byte> bytes;  // count blocks
    runtime::DiskBuffer buffer;        // their memory, if they are not the caller's
  };
  struct Prepared {
    ContentRef content;
    Overlay own;
  };
  struct Queue {
    std::vector<std::vector<std::byte>> records;
    std::uint64_t bytes = 0;
    bool urgent = false;                               // somebody waits
    std::vector<std::shared_ptr<const void>> retired;  // kept until it is durable
    std::vector<runtime::Semaphore::Permit> permits;   // given back when it is durable
  };
  // Of a file of blocks. Syncs are numbered as they begin.
  struct BlockSync {
    bool runs = false;
    std::uint64_t begun = 0, wanted = 0, ended = 0;
    runtime::WaitQueue done;
  };
  struct Captured {  // at the cut
    ChunkId chunk;
    CommittedRef committed;  // null: gone
  };
  struct Checkpoint {
    std::uint64_t position = 0;
    std::uint64_t sequence = 0;
    std::vector<Captured> chunks;
    std::set<BlockPlace> clear;  // places in the tables that say what is no longer so
  };

  // local_read.cc
  runtime::Task<Result<ReadResult>> read_content(ContentRef content, ChunkVersion version, std::uint32_t offset,
                                                 std::span<std::byte> into);
  void mark_bad(ChunkId chunk, const CommittedRef& seen);
  runtime::Task<Result<>> clear_bad(ChunkId chunk, CommittedRef seen);

  // local_stage.cc
  Result<> check_update(const ChunkUpdate& update, const Chunk* chunk) const;
  runtime::Task<Result<Prepared>> prepare(ChunkUpdate update, ContentRef base, std::shared_ptr<runtime::Event> based);
  runtime::Task<Result<Prepared>> prepare_empty();
  runtime::Task<Result<Prepared>> prepare_shrink(ContentRef base, std::uint32_t length);
  runtime::Task<Result<Patch>> make_patch(ContentRef base, std::uint64_t offset, std::span<const std::byte> data);
  runtime::Task<Result<Prepared>> prepare_inline(ContentRef base, Patch patch);
  runtime::Task<Result<Prepared>> prepare_append(ContentRef base, Patch patch);
  runtime::Task<Result<Prepared>> prepare_copy(ContentRef base, Patch patch, std::shared_ptr<runtime::Event> based);
  bool fits_inline(const StoredContent* base, std::uint64_t start, std::uint64_t end) const noexcept;
  bool may_append(ChunkId chunk, const StoredContent& base, const Patch& patch) const;
  std::vector<std::uint32_t> patched_crcs(const StoredContent* base, const Patch& patch) const;
  // Durable when it returns.
  runtime::Task<Result<>> write_blocks(BlockRef block, std::uint32_t first, std::span<const std::byte> bytes);
  runtime::Task<Result<>> sync_blocks(unsigned size_class);
  runtime::Task<void> run_block_syncs(unsigned size_class);
  std::uint64_t pending_record_bytes(const ChunkUpdate& update, const Chunk* chunk) const noexcept;

  // local_install.cc
  // A content that is to be installed.
  struct Image {
    std::vector<std::uint32_t> crcs;
    bool damaged = false;
    std::span<const std::byte> bytes;  // whole checksum blocks
    runtime::DiskBuffer buffer;        // their memory, if they are not the caller's
  };
  // What a pending update needs to stay on another base of the same content.
  struct Rebased {
    PendingRef from;      // null: there is none, or it cannot be kept
    bool shared = false;  // its block with its base
    std::uint32_t first = 0;
    runtime::DiskBuffer bytes;  // blocks from `first` on that it had appended to its base's block
  };
  runtime::Task<Result<Image>> make_image(ChunkInfo info, std::span<const std::byte> content,
                                          std::span<const std::uint32_t> crcs);
  // REQUIRES: the image outlives it.
  runtime::Task<Result<Rebased>> rebase(ChunkInfo info, const Image& image);
  // As it is on `block`, if it was on `old`; its record is in the batch that comes.
  PendingState on_block(const PendingState& pending, const BlockRef& old, BlockRef block) const;

  // local_space.cc
  runtime::Task<Result<BlockRef>> take_block(unsigned size_class);
  runtime::Task<Result<>> free_what_ended();
  runtime::Task<Result<>> grow(unsigned size_class);
  runtime::Task<Result<>> grow_files(unsigned size_class, std::uint32_t blocks);
  runtime::Task<Result<>> find_capacity();

  // local_flush.cc
  std::uint64_t enqueue(std::vector<std::byte> record, bool urgent);
  void retire(std::shared_ptr<const void> what) {
    if (what) queue_.retired.push_back(std::move(what));
  }
  runtime::Task<Result<>> wait_durable(std::uint64_t sequence);
  runtime::Task<void> flush_loop();
  runtime::Task<Result<>> wait_for_work();
  runtime::Task<Result<>> flush();
  runtime::Task<Result<>> write_batch(Queue batch, std::uint32_t flags);
  bool has_room(std::uint64_t payload_bytes) const noexcept;
  void fail_store(const Error& error);
  Result<> usable() const;

  // local_checkpoint.cc
  Checkpoint cut();
  std::vector<std::vector<std::byte>> pending_records() const;
  runtime::Task<void> run_checkpoint(Checkpoint checkpoint);
  runtime::Task<Result<>> write_checkpoint(const Checkpoint& checkpoint);
  runtime::Task<Result<>> apply_overlay(ContentRef content);
  runtime::Task<Result<>> write_tables(const Checkpoint& checkpoint, std::set<unsigned>& touched);
  void drop_applied(const Checkpoint& checkpoint);
  void changed(ChunkId chunk) { dirty_.insert(chunk); }

  // local_recovery.cc
  struct Recovery;
  runtime::Task<Result<>> load_tables(Recovery& recovery);
  runtime::Task<Result<>> load_table(Recovery& recovery, unsigned size_class);
  runtime::Task<Result<>> replay(Recovery& recovery);
  void replay_state(Recovery& recovery, JournalRecord record) const;
  void replay_record(Recovery& recovery, JournalRecord record) const;
  Result<> adopt(Recovery& recovery);
  runtime::Task<Result<>> checkpoint_recovered(const Recovery& recovery);

  runtime::Env& env_;
  std::string folder_;
  StoreSuperblock superblock_;
  std::unique_ptr<StoreFiles> files_;
  ContentReader reader_;
  Journal journal_;
  std::shared_ptr<BlockSpace> blocks_ = std::make_shared<BlockSpace>();
  std::uint64_t capacity_bytes_ = 0;
  runtime::Semaphore queue_room_, pending_room_;  // before what holds their permits
  Index index_;
  std::uint64_t chunks_ = 0, bad_chunks_ = 0, tombstones_ = 0;
  void count(const CommittedState* state, int by) noexcept;
  std::array<std::set<ChunkId>, kChunkMarks> marked_;
  // After each change of what is committed or pending, and before the chunk goes.
  void remark(ChunkId id, Chunk& chunk);

  std::optional<Error> failed_;
  bool stopping_ = false;
  Queue queue_;                      // of the batch next_sequence_
  std::uint64_t next_sequence_ = 1;  // of the batch that what is queued now will be in
  std::uint64_t durable_sequence_ = 0;
  runtime::Mutex growing_;
  std::array<BlockSync, kSizeClasses> block_syncs_;
  runtime::Event work_;
  runtime::WaitQueue durable_, checkpoint_ended_;

  std::set<ChunkId> dirty_;     // whose committed state the tables do not have
  std::set<BlockPlace> stale_;  // places in the tables of chunks that were purged
  bool checkpoint_runs_ = false;
  bool checkpoint_wanted_ = false;
  std::uint64_t cut_position_ = 0;
  metrics::Recorder syncs_;
  runtime::Scope scope_;
};

}  // namespace ff::ffs
