// Recovery: the tables say what the last checkpoint knew, the journal what came after it.
//
// A chunk that the journal has a state of is taken from there alone: its table record may be half written. No data is
// read: it was durable before the record that names it was written. Where it does not match, the disk has changed it,
// and reading it will say so.
#include <fmt/core.h>

#include <algorithm>

#include "ffs/store/local_store.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

constexpr std::uint64_t kScanBytes = 1u << 20;

struct PlacedContent {
  ContentRecord content;
  Overlay overlay;
};
struct PlacedChunk {
  std::optional<CommittedState> committed;  // its content is null
  PlacedContent committed_content;
  std::optional<PendingState> pending;  // its content is null
  PlacedContent pending_content;
};
struct TableEntry {
  BlockPlace place;
  TableRecord record;
};

// What of `before` lies in the block and within the length of `content`.
Overlay kept(const PlacedContent& before, const ContentRecord& content) {
  if (before.content.place != content.place) return {};
  return {before.overlay.begin(), before.overlay.lower_bound(static_cast<std::uint32_t>(content.crcs.size()))};
}

}  // namespace

struct LocalChunkStore::Recovery {
  std::map<ChunkId, std::vector<TableEntry>> tables;
  std::map<ChunkId, PlacedChunk> replayed;  // neither committed nor pending: purged
  std::map<BlockPlace, Error> damaged;      // table records that are no records
  std::set<BlockPlace> named;               // by the journal
  std::map<ChunkId, ChunkVersion> bad;      // marked so after what the tables say
  bool repeated = false;                    // the last batch only repeats what is pending
  std::uint64_t last_position = 0, last_sequence = 0;
};

Task<Result<>> LocalChunkStore::load_table(Recovery& recovery, unsigned size_class) {
  const std::uint32_t unit = superblock_.options.checksum_bytes;
  const std::uint64_t record_bytes = table_record_bytes(size_class, unit);
  FF_CO_TRY_ASSIGN(const std::uint64_t table_bytes, co_await files_->table(size_class).size());
  std::uint64_t places = table_bytes / record_bytes;
  if (size_class > 0) {
    FF_CO_TRY_ASSIGN(const std::uint64_t bytes, co_await files_->blocks(size_class).size());
    places = std::min(places, bytes / class_bytes(size_class));
  }
  blocks_->grow(size_class, static_cast<std::uint32_t>(places));
  const std::uint64_t step = std::max<std::uint64_t>(1, kScanBytes / record_bytes);
  std::vector<std::byte> buffer(std::min(step, std::max<std::uint64_t>(places, 1)) * record_bytes);
  for (std::uint64_t at = 0; at < places; at += step) {
    const std::uint64_t count = std::min(step, places - at);
    const auto part = std::span(buffer).first(count * record_bytes);
    FF_CO_TRY_ASSIGN(const std::size_t got, co_await files_->table(size_class).read(at * record_bytes, part));
    if (got < part.size()) co_return fail(Errc::kCorrupt, "it ends too early");
    for (std::uint64_t i = 0; i < count; ++i) {
      auto record = decode_table_record(part.subspan(i * record_bytes, record_bytes), size_class, unit);
      const BlockPlace place{static_cast<std::uint8_t>(size_class), static_cast<std::uint32_t>(at + i)};
      if (!record) {
        recovery.damaged.emplace(place, std::move(record).error());
        continue;
      }
      if (!*record) continue;
      recovery.tables[(*record)->chunk].push_back({place, std::move(**record)});
    }
  }
  co_return {};
}

Task<Result<>> LocalChunkStore::load_tables(Recovery& recovery) {
  for (unsigned c = 0; c < kSizeClasses; ++c) {
    FF_CO_TRY_CTX(co_await load_table(recovery, c), store_path(folder_, StoreFiles::table_name(c)));
  }
  co_return {};
}

void LocalChunkStore::replay_state(Recovery& recovery, JournalRecord record) const {
  StateRecord& state = record.state;
  if (state.committed) recovery.named.insert(state.committed_content.place);
  if (state.pending) recovery.named.insert(state.pending_content.place);
  const PlacedChunk before = std::move(recovery.replayed[record.chunk]);
  PlacedChunk after;
  if (state.committed) {
    after.committed = std::move(state.committed);
    after.committed_content.content = std::move(state.committed_content);
    if (before.committed) {
      after.committed_content.overlay = kept(before.committed_content, after.committed_content.content);
    }
  }
  if (state.pending) {
    after.pending = std::move(state.pending);
    after.pending_content.content = std::move(state.pending_content);
    if (after.committed) after.pending_content.overlay = kept(after.committed_content, after.pending_content.content);
    for (const auto& [index, bytes] : after.pending->own) after.pending_content.overlay.set(index, bytes);
  }
  recovery.replayed[record.chunk] = std::move(after);
}

void LocalChunkStore::replay_record(Recovery& recovery, JournalRecord record) const {
  if (record.kind == RecordKind::kState) return replay_state(recovery, std::move(record));
  if (record.kind == RecordKind::kPurge) {
    recovery.replayed[record.chunk] = {};
    return;
  }
  const auto it = recovery.replayed.find(record.chunk);
  if (it == recovery.replayed.end()) {
    if (record.kind == RecordKind::kBad) recovery.bad[record.chunk] = record.version;
    return;
  }
  PlacedChunk& chunk = it->second;
  if (record.kind == RecordKind::kBad) {
    if (chunk.committed && chunk.committed->version == record.version) chunk.committed->bad = true;
    return;
  }
  if (!chunk.pending) return;
  if (record.kind == RecordKind::kCommit) {
    if (chunk.pending->version != record.version) return;
    const CommittedState* old = chunk.committed ? &*chunk.committed : nullptr;
    const bool same = old != nullptr && chunk.committed_content.content.place == chunk.pending_content.content.place;
    chunk.committed = committed_from(old, *chunk.pending, record.chain_version, same);
    chunk.committed_content = std::move(chunk.pending_content);
  }
  chunk.pending.reset();
  chunk.pending_content = {};
}

Task<Result<>> LocalChunkStore::replay(Recovery& recovery) {
  FF_CO_TRY(co_await journal_.load_head());
  for (;;) {
    FF_CO_TRY_ASSIGN(auto batch, co_await journal_.read_next(superblock_.options.checksum_bytes));
    if (!batch) break;
    recovery.repeated = (batch->header.flags & kOnlyRepeats) != 0;
    recovery.last_position = batch->header.position;
    recovery.last_sequence = batch->header.sequence;
    for (JournalRecord& record : batch->records) replay_record(recovery, std::move(record));
  }
  co_return co_await journal_.check_end();
}

// From places to blocks: each belongs to one chunk.
Result<> LocalChunkStore::adopt(Recovery& recovery) {
  const auto block_at = [this](ChunkId id, BlockPlace place) -> Result<BlockRef> {
    BlockRef block = blocks_->take_at(place);
    if (block) return block;
    return fail(Errc::kCorrupt, fmt::format("{}: chunk {}: {} {} is not there or belongs to another chunk", folder_,
                                            to_text(id), StoreFiles::table_name(place.size_class), place.index));
  };
  const auto content_of = [](PlacedContent placed, BlockRef block) {
    auto content = std::make_shared<StoredContent>();
    content->block = std::move(block);
    content->length = placed.content.length;
    content->crcs = std::move(placed.content.crcs);
    content->crc = content_crc(content->crcs);
    content->overlay = std::move(placed.overlay);
    return content;
  };
  for (auto& [place, error] : recovery.damaged) {
    // A checkpoint that did not end was writing it, and the journal has what it wrote.
    if (!recovery.named.contains(place)) {
      return fail(std::move(error).context(
          fmt::format("{}: record {}", store_path(folder_, StoreFiles::table_name(place.size_class)), place.index)));
    }
    stale_.insert(place);
  }
  for (auto& [id, entries] : recovery.tables) {
    if (recovery.replayed.contains(id)) {
      for (const TableEntry& entry : entries) stale_.insert(entry.place);
      continue;
    }
    if (entries.size() > 1) {
      return fail(Errc::kCorrupt, fmt::format("{}: chunk {} is in the tables twice", folder_, to_text(id)));
    }
    auto& [place, record] = entries.front();
    auto state = std::make_shared<CommittedState>(std::move(record.state));
    const auto marked = recovery.bad.find(id);
    const bool newly_bad = !record.crcs_ok || (marked != recovery.bad.end() && marked->second == state->version);
    if (newly_bad && !state->bad) changed(id);
    state->bad = state->bad || newly_bad;
    FF_TRY_ASSIGN(BlockRef block, block_at(id, place));
    state->content = content_of({{place, record.length, std::move(record.crcs)}, {}}, std::move(block));
    count(state.get(), 1);
    Chunk& chunk = index_[id];
    chunk.committed = std::move(state);
    chunk.table = place;
    remark(id, chunk);
  }
  for (auto& [id, placed] : recovery.replayed) {
    if (!placed.committed && !placed.pending) continue;
    Chunk& chunk = index_[id];
    if (placed.committed) {
      auto state = std::make_shared<CommittedState>(std::move(*placed.committed));
      FF_TRY_ASSIGN(BlockRef block, block_at(id, placed.committed_content.content.place));
      state->content = content_of(std::move(placed.committed_content), std::move(block));
      count(state.get(), 1);
      chunk.committed = std::move(state);
      changed(id);
    }
    if (placed.pending) {
      auto state = std::make_shared<PendingState>(std::move(*placed.pending));
      BlockRef block = chunk.committed ? chunk.committed->content->block : nullptr;
      if (!block || block->place() != placed.pending_content.content.place) {
        FF_TRY_ASSIGN(block, block_at(id, placed.pending_content.content.place));
      }
      state->content = content_of(std::move(placed.pending_content), std::move(block));
      const std::uint64_t bytes = encode_state(id, chunk.committed.get(), state.get()).size();
      if (auto room = pending_room_.try_acquire(std::min(bytes, pending_room_.available()))) {
        state->room = std::make_shared<runtime::Semaphore::Permit>(std::move(*room));
      }
      chunk.pending = std::move(state);
    }
    remark(id, chunk);
  }
  return {};
}

// A recovery that was killed has left its batch of repeats: it serves for this one too, or the journal would grow.
Task<Result<>> LocalChunkStore::checkpoint_recovered(const Recovery& recovery) {
  auto records = pending_records();
  Checkpoint checkpoint = cut();
  if (recovery.repeated) {
    checkpoint.position = recovery.last_position;
    checkpoint.sequence = recovery.last_sequence;
  } else if (!records.empty()) {
    std::uint64_t bytes = 0;
    for (const auto& record : records) bytes += record.size();
    if (journal_.used() + batch_bytes(bytes) > journal_.ring_bytes()) {
      co_return fail(Errc::kExhausted, fmt::format("{}: the journal has no room for its pending updates", folder_));
    }
    FF_CO_TRY(co_await journal_.append(std::move(records), kOnlyRepeats));
    FF_CO_TRY(co_await journal_.sync());
  }
  FF_CO_TRY(co_await write_checkpoint(checkpoint));
  for (const Captured& captured : checkpoint.chunks) captured.committed->content->block->end_apply();
  drop_applied(checkpoint);
  checkpoint_runs_ = false;
  co_return {};
}

Task<Result<>> LocalChunkStore::recover() {
  Recovery recovery;
  FF_CO_TRY(co_await load_tables(recovery));
  FF_CO_TRY_CTX(co_await replay(recovery), folder_);
  FF_CO_TRY(adopt(recovery));
  FF_CO_TRY(co_await find_capacity());
  FF_CO_TRY_CTX(co_await journal_.make_durable(), folder_);
  const bool only_repeats = recovery.repeated && recovery.last_position == journal_.head().position;
  if (journal_.used() > 0 && !only_repeats) FF_CO_TRY(co_await checkpoint_recovered(recovery));
  next_sequence_ = journal_.next_sequence();
  durable_sequence_ = next_sequence_ - 1;
  scope_.spawn(flush_loop());
  co_return {};
}

}  // namespace ff::ffs
