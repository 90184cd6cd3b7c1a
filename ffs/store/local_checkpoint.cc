// Checkpoints: what the journal says moves to where it belongs, so that the journal's space can be used again.
//
// Nothing here depends on the order in which it reaches the disk: until the head has moved, the journal has the state
// of every chunk whose blocks or table records are being written, and recovery takes it from there.
#include "ffs/store/local_store.hpp"

namespace ff::ffs {

using runtime::Task;

// Those whose record is in the queue are in the batch at the cut anyway.
std::vector<std::vector<std::byte>> LocalChunkStore::pending_records() const {
  std::vector<std::vector<std::byte>> records;
  for (const ChunkId id : marked_[static_cast<std::size_t>(ChunkMark::kPending)]) {
    const Chunk& chunk = index_.at(id);
    if (chunk.pending->sequence != next_sequence_)
      records.push_back(encode_state(id, chunk.committed.get(), chunk.pending.get()));
  }
  return records;
}

// What is in memory now is durable once the batch that is about to be written is.
LocalChunkStore::Checkpoint LocalChunkStore::cut() {
  Checkpoint out{.position = journal_.tail(), .sequence = journal_.next_sequence(), .chunks = {}, .clear = {}};
  for (const ChunkId id : dirty_) {
    const auto it = index_.find(id);
    if (it == index_.end() || !it->second.committed) continue;
    Chunk& chunk = it->second;
    const BlockPlace place = chunk.committed->content->block->place();
    if (chunk.table && *chunk.table != place) stale_.insert(*chunk.table);
    chunk.table = place;
    chunk.committed->content->block->begin_apply();
    out.chunks.push_back({id, chunk.committed});
  }
  out.clear = std::exchange(stale_, {});
  for (const Captured& captured : out.chunks) out.clear.erase(captured.committed->content->block->place());
  dirty_.clear();
  checkpoint_runs_ = true;
  checkpoint_wanted_ = false;
  cut_position_ = out.position;
  return out;
}

Task<void> LocalChunkStore::run_checkpoint(Checkpoint checkpoint) {
  Result<> written = co_await write_checkpoint(checkpoint);
  for (const Captured& captured : checkpoint.chunks) captured.committed->content->block->end_apply();
  if (written) {
    drop_applied(checkpoint);
    checkpoint_runs_ = false;
  } else if (!(co_await runtime::current_context()).cancelled()) {
    fail_store(written.error());
  }
  checkpoint_ended_.wake_all();
  work_.set();
}

Task<Result<>> LocalChunkStore::write_checkpoint(const Checkpoint& checkpoint) {
  std::set<unsigned> blocks, tables;
  for (const Captured& captured : checkpoint.chunks) {
    const ContentRef content = captured.committed->content;
    if (content->overlay.empty()) continue;
    FF_CO_TRY(co_await apply_overlay(content));
    blocks.insert(content->block->place().size_class);
  }
  FF_CO_TRY(co_await write_tables(checkpoint, tables));
  std::vector<Task<Result<>>> syncs;
  for (const unsigned c : blocks) syncs.push_back(files_->blocks(c).sync());
  for (const unsigned c : tables) syncs.push_back(files_->table(c).sync());
  for (const Result<>& synced : co_await runtime::when_all(std::move(syncs))) FF_CO_TRY(synced);
  co_return co_await journal_.set_head(checkpoint.position, checkpoint.sequence);
}

Task<Result<>> LocalChunkStore::apply_overlay(ContentRef content) {
  const std::uint32_t unit = superblock_.options.checksum_bytes;
  const BlockPlace place = content->block->place();
  for (auto it = content->overlay.begin(); it != content->overlay.end();) {
    auto end = it;
    std::uint32_t run = 0;
    while (end != content->overlay.end() && end->first == it->first + run && run * unit < (1u << 20)) ++end, ++run;
    FF_CO_TRY_ASSIGN(auto buffer, env_.disk().buffer(std::size_t{run} * unit));
    const std::uint64_t offset = place.offset() + std::uint64_t{it->first} * unit;
    for (std::byte* to = buffer.data(); it != end; ++it) to = std::ranges::copy(*it->second, to).out;
    FF_CO_TRY(co_await files_->blocks(place.size_class).write(offset, buffer.span()));
  }
  co_return {};
}

Task<Result<>> LocalChunkStore::write_tables(const Checkpoint& checkpoint, std::set<unsigned>& touched) {
  const std::uint32_t unit = superblock_.options.checksum_bytes;
  for (const Captured& captured : checkpoint.chunks) {
    const BlockPlace place = captured.committed->content->block->place();
    const auto record = encode_table_record(captured.chunk, *captured.committed, unit);
    touched.insert(place.size_class);
    FF_CO_TRY(co_await files_->table(place.size_class).write(place.index * std::uint64_t{record.size()}, record));
  }
  const std::vector<std::byte> zero(1);  // the first byte tells, and a byte cannot be half written
  for (const BlockPlace place : checkpoint.clear) {
    const std::uint64_t size = table_record_bytes(place.size_class, unit);
    touched.insert(place.size_class);
    FF_CO_TRY(co_await files_->table(place.size_class).write(place.index * size, zero));
  }
  co_return {};
}

// What is in its block now needs no memory. Entries that later updates brought are others and stay.
void LocalChunkStore::drop_applied(const Checkpoint& checkpoint) {
  const auto without = [](const ContentRef& content, const Overlay& applied) -> ContentRef {
    auto out = std::make_shared<StoredContent>(*content);
    out->overlay.erase_if([&](const Overlay::Entry& entry) {
      const auto it = applied.find(entry.first);
      return it != applied.end() && it->second == entry.second;
    });
    return out;
  };
  for (const Captured& captured : checkpoint.chunks) {
    const StoredContent& applied = *captured.committed->content;
    const auto it = index_.find(captured.chunk);
    if (applied.overlay.empty() || it == index_.end()) continue;
    Chunk& chunk = it->second;
    if (chunk.committed && chunk.committed->content->block == applied.block) {
      auto state = std::make_shared<CommittedState>(*chunk.committed);
      state->content = without(state->content, applied.overlay);
      chunk.committed = std::move(state);
    }
    if (chunk.pending && chunk.pending->content->block == applied.block) {
      auto state = std::make_shared<PendingState>(*chunk.pending);
      state->content = without(state->content, applied.overlay);
      chunk.pending = std::move(state);
    }
  }
}

}  // namespace ff::ffs
