#include "ffs/store/local_store.hpp"

#include <fmt/core.h>

namespace ff::ffs {

using runtime::Task;

LocalChunkStore::LocalChunkStore(runtime::Env& env, std::string folder, StoreSuperblock superblock,
                                 std::unique_ptr<StoreFiles> files)
    : env_(env),
      folder_(std::move(folder)),
      superblock_(superblock),
      files_(std::move(files)),
      reader_(env.disk(), *files_, superblock.options.checksum_bytes),
      journal_(env.disk(), files_->journal(), superblock.options.journal_bytes, superblock.identity.generation),
      queue_room_(superblock.options.journal_bytes / 8),
      pending_room_(superblock.options.journal_bytes / 8),
      scope_(env) {}

LocalChunkStore::~LocalChunkStore() = default;

void LocalChunkStore::count(const CommittedState* state, int by) noexcept {
  if (state == nullptr) return;
  (state->removed ? tombstones_ : chunks_) += static_cast<std::uint64_t>(by);
  if (!state->removed && state->bad) bad_chunks_ += static_cast<std::uint64_t>(by);
}

void LocalChunkStore::remark(ChunkId id, Chunk& chunk) {
  const std::array<bool, kChunkMarks> now{chunk.pending != nullptr, chunk.committed && chunk.committed->removed};
  std::uint8_t marks = 0;
  for (std::size_t i = 0; i < kChunkMarks; ++i) {
    const bool was = (chunk.marks >> i & 1) != 0;
    if (now[i] && !was) marked_[i].insert(id);
    if (!now[i] && was) marked_[i].erase(id);
    if (now[i]) marks = static_cast<std::uint8_t>(marks | 1u << i);
  }
  chunk.marks = marks;
}

std::optional<ChunkInfo> LocalChunkStore::info(ChunkId chunk) const {
  const auto it = index_.find(chunk);
  if (it == index_.end()) return std::nullopt;
  return chunk_info(chunk, it->second.committed.get(), it->second.pending.get());
}

std::vector<ChunkInfo> LocalChunkStore::list(ChunkId from, std::size_t limit) const {
  std::vector<ChunkInfo> out;
  for (auto it = index_.lower_bound(from); it != index_.end() && out.size() < limit; ++it) {
    out.push_back(chunk_info(it->first, it->second.committed.get(), it->second.pending.get()));
  }
  return out;
}

std::vector<ChunkInfo> LocalChunkStore::marked(ChunkMark mark, ChunkId from, std::size_t limit) const {
  const std::set<ChunkId>& all = marked_[static_cast<std::size_t>(mark)];
  std::vector<ChunkInfo> out;
  for (auto it = all.lower_bound(from); it != all.end() && out.size() < limit; ++it) out.push_back(*info(*it));
  return out;
}

std::optional<ChunkInfo> LocalChunkStore::last_chunk(InodeId inode) const {
  auto it = index_.upper_bound({inode, ~std::uint64_t{0}});
  while (it != index_.begin() && (--it)->first.inode == inode) {
    const CommittedState* state = it->second.committed.get();
    if (state != nullptr && !state->removed && state->content->length > 0) {
      return chunk_info(it->first, state, it->second.pending.get());
    }
  }
  return std::nullopt;
}

Result<> LocalChunkStore::commit(ChunkId chunk, ChunkVersion version, ChainVersion chain_version) {
  FF_TRY(usable());
  const auto it = index_.find(chunk);
  if (it != index_.end() && it->second.committed && it->second.committed->version > version) {
    return fail(Errc::kInvalidArgument, fmt::format("chunk {}: version {} is committed, {} is older", to_text(chunk),
                                                    it->second.committed->version, version));
  }
  if (it == index_.end() || !it->second.pending || it->second.pending->version != version) {
    return fail(Errc::kNotFound, fmt::format("chunk {}: version {} is not pending", to_text(chunk), version));
  }
  Chunk& now = it->second;
  if (now.pending->sequence > durable_sequence_) {
    return fail(Errc::kUnavailable, fmt::format("chunk {}: version {} is still being staged", to_text(chunk), version));
  }
  const ContentRef content = now.pending->content;
  const ContentRef before = now.committed ? now.committed->content : nullptr;
  auto state = std::make_shared<CommittedState>(
      committed_from(now.committed.get(), *now.pending, chain_version, before && before->block == content->block));
  // While the longer state may come back after a power cut, nothing may be written behind the shorter one's end.
  if (before && content->length < before->length) now.append_after = next_sequence_;
  count(now.committed.get(), -1);
  count(state.get(), 1);
  retire(std::move(now.committed));
  retire(std::move(now.pending));
  now.committed = std::move(state);
  now.pending = nullptr;
  remark(chunk, now);
  changed(chunk);
  enqueue(encode_commit(chunk, version, chain_version), false);
  return {};
}

Result<> LocalChunkStore::abort(ChunkId chunk) {
  FF_TRY(usable());
  const auto it = index_.find(chunk);
  if (it == index_.end() || !it->second.pending) return {};
  retire(std::move(it->second.pending));
  it->second.pending = nullptr;
  it->second.append_after = next_sequence_;
  remark(chunk, it->second);
  if (!it->second.committed) index_.erase(it);
  enqueue(encode_mark(RecordKind::kAbort, chunk), false);
  return {};
}

Result<> LocalChunkStore::purge(ChunkId chunk) {
  FF_TRY(usable());
  const auto it = index_.find(chunk);
  if (it == index_.end()) return {};
  if (queue_.bytes > journal_.ring_bytes() / 8 + journal_.ring_bytes() / 16) {
    return fail(Errc::kExhausted,
                fmt::format("chunk {}: too many changes wait for the journal (sync, then go on)", to_text(chunk)));
  }
  count(it->second.committed.get(), -1);
  retire(std::exchange(it->second.committed, nullptr));
  retire(std::exchange(it->second.pending, nullptr));
  remark(chunk, it->second);
  if (it->second.table) stale_.insert(*it->second.table);
  index_.erase(it);
  enqueue(encode_mark(RecordKind::kPurge, chunk), false);
  return {};
}

SpaceUse LocalChunkStore::space() const noexcept {
  return {.capacity_bytes = capacity_bytes_,
          .used_bytes = blocks_->used_bytes(),
          .chunks = chunks_,
          .bad_chunks = bad_chunks_,
          .tombstones = tombstones_};
}

Task<Result<>> LocalChunkStore::stop() {
  if (stopping_) co_return {};
  // Whatever comes of it (its context may be cancelled): what runs must end.
  Result<> settled = co_await settle();
  stopping_ = true;
  scope_.cancel();
  (void)co_await scope_.join();
  Result<> closed = co_await files_->close();
  if (failed_) co_return std::unexpected(*failed_);
  if (!settled) co_return settled;
  co_return closed;
}

Task<Result<>> LocalChunkStore::settle() {
  if (failed_) co_return {};
  FF_CO_TRY(co_await sync());
  stopping_ = true;
  while (checkpoint_runs_ && !failed_) FF_CO_TRY(co_await checkpoint_ended_.wait());
  checkpoint_wanted_ = true;
  work_.set();
  while ((checkpoint_wanted_ || checkpoint_runs_) && !failed_) FF_CO_TRY(co_await checkpoint_ended_.wait());
  co_return {};
}

}  // namespace ff::ffs
