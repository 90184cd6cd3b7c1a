// Staging: how an update becomes bytes on the disk that nothing committed depends on.
#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "ffs/store/local_store.hpp"
#include "libcommon/base/crc32c.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

std::unexpected<Error> refuse(ChunkId chunk, std::string why) {
  return fail(Errc::kInvalidArgument, fmt::format("chunk {}: {}", to_text(chunk), why));
}
std::uint32_t length_of(const StoredContent* content) { return content == nullptr ? 0 : content->length; }

// [start, end) of what an update changes: from the old end on where it leaves a gap.
struct Change {
  std::uint64_t start, end;
};
Change change_of(const ChunkUpdate& update, std::uint32_t old_length) {
  const bool write = update.kind == UpdateKind::kWrite;
  const std::uint64_t offset = write ? update.offset : update.length;
  return {std::min<std::uint64_t>(offset, old_length), write ? offset + update.data.size() : offset};
}

Overlay within(const Overlay& overlay, std::uint32_t blocks) { return {overlay.begin(), overlay.lower_bound(blocks)}; }

}  // namespace

Result<> LocalChunkStore::check_update(const ChunkUpdate& update, const Chunk* chunk) const {
  const CommittedState* committed = chunk == nullptr ? nullptr : chunk->committed.get();
  const ChunkVersion version = committed == nullptr ? 0 : committed->version;
  if (!valid_chunk_bytes(update.chunk_bytes)) {
    return refuse(update.chunk, fmt::format("chunk_bytes {} is no chunk size", update.chunk_bytes));
  }
  if (committed != nullptr && committed->chunk_bytes != update.chunk_bytes) {
    return refuse(update.chunk,
                  fmt::format("chunk_bytes {}, but it was made with {}", update.chunk_bytes, committed->chunk_bytes));
  }
  if (update.version != version + 1) {
    return refuse(update.chunk,
                  fmt::format("update to version {}, but version {} is committed", update.version, version));
  }
  if (committed != nullptr && update.truncate_epoch < committed->truncate_epoch) {
    return refuse(update.chunk, fmt::format("truncate epoch {} is older than the chunk's {}", update.truncate_epoch,
                                            committed->truncate_epoch));
  }
  if (update.kind == UpdateKind::kWrite) {
    if (update.data.empty()) return refuse(update.chunk, "a write of no bytes");
    if (update.offset + std::uint64_t{update.data.size()} > update.chunk_bytes) {
      return refuse(update.chunk, fmt::format("write of {} bytes at {} ends beyond {}", update.data.size(),
                                              update.offset, update.chunk_bytes));
    }
  } else if (update.kind == UpdateKind::kTruncate) {
    if (update.length > update.chunk_bytes) {
      return refuse(update.chunk, fmt::format("length {} exceeds {}", update.length, update.chunk_bytes));
    }
  } else if (update.kind != UpdateKind::kRemove) {
    return refuse(update.chunk, "unknown kind of update");
  }
  return {};
}

bool LocalChunkStore::fits_inline(const StoredContent* base, std::uint64_t start, std::uint64_t end) const noexcept {
  const std::uint64_t most = std::min<std::uint64_t>(64u << 10, journal_.ring_bytes() / 32);
  if (end - start > most) return false;
  return length_of(base) == 0 || end <= base->block->place().bytes();
}

std::uint64_t LocalChunkStore::pending_record_bytes(const ChunkUpdate& update, const Chunk* chunk) const noexcept {
  const StoredContent* base = chunk == nullptr || !chunk->committed ? nullptr : chunk->committed->content.get();
  const std::uint32_t unit = superblock_.options.checksum_bytes;
  const auto [start, end] = change_of(update, length_of(base));
  std::uint64_t own = 0;
  if (update.kind != UpdateKind::kRemove && end > start && fits_inline(base, start, end)) {
    own = checksum_blocks(end, unit) - start / unit;
  }
  const std::uint64_t length = std::max<std::uint64_t>(length_of(base), end);
  return state_bytes_max(std::uint64_t{checksum_blocks(length_of(base), unit)} + checksum_blocks(length, unit), own,
                         unit);
}

Task<Result<PendingInfo>> LocalChunkStore::stage(ChunkUpdate update, std::shared_ptr<runtime::Event> based) {
  FF_CO_TRY(usable());
  const auto find = [this, &update]() -> Chunk* {
    const auto it = index_.find(update.chunk);
    return it == index_.end() ? nullptr : &it->second;
  };
  FF_CO_TRY(check_update(update, find()));
  const std::uint64_t bytes = pending_record_bytes(update, find());
  if (bytes > pending_room_.capacity()) {
    co_return fail(Errc::kExhausted, fmt::format("chunk {}: its record of {} bytes is more than the journal takes "
                                                 "(format with a larger journal)",
                                                 to_text(update.chunk), bytes));
  }
  auto held = pending_room_.try_acquire(bytes);
  if (!held) {
    co_return fail(Errc::kUnavailable, fmt::format("chunk {}: the journal has no room for more pending updates (commit "
                                                   "or abort some, or format with a larger journal)",
                                                   to_text(update.chunk)));
  }
  FF_CO_TRY_ASSIGN(auto permit, co_await queue_room_.acquire(bytes));
  FF_CO_TRY(usable());
  Chunk* chunk = find();
  FF_CO_TRY(check_update(update, chunk));
  const CommittedRef committed = chunk == nullptr ? nullptr : chunk->committed;
  auto prepared = co_await prepare(update, committed ? committed->content : nullptr, based);
  if (!prepared) {
    if (committed && prepared.error().code() == Errc::kCorrupt) mark_bad(update.chunk, committed);
    co_return std::unexpected(std::move(prepared).error().context(fmt::format("chunk {}", to_text(update.chunk))));
  }
  FF_CO_TRY(usable());

  PendingState pending{.kind = update.kind,
                       .version = update.version,
                       .chain_version = update.chain_version,
                       .tag = update.tag,
                       .truncate_epoch = update.truncate_epoch,
                       .chunk_bytes = update.chunk_bytes,
                       .content = prepared->content,
                       .own = std::move(prepared->own),
                       .sequence = next_sequence_,
                       .room = std::make_shared<runtime::Semaphore::Permit>(std::move(*held))};
  Chunk& now = index_[update.chunk];
  if (now.pending) now.append_after = next_sequence_;
  retire(std::move(now.pending));
  now.pending = std::make_shared<const PendingState>(std::move(pending));
  remark(update.chunk, now);
  queue_.permits.push_back(std::move(permit));
  const PendingInfo info = *chunk_info(update.chunk, nullptr, now.pending.get()).pending;
  const std::uint64_t sequence = enqueue(encode_state(update.chunk, now.committed.get(), now.pending.get()), true);
  FF_CO_TRY(co_await wait_durable(sequence));
  co_return info;
}

Task<Result<LocalChunkStore::Prepared>> LocalChunkStore::prepare(ChunkUpdate update, ContentRef base,
                                                                 std::shared_ptr<runtime::Event> based) {
  const std::uint32_t old_length = length_of(base.get());
  const auto has_read = [&based] {
    if (based) based->set();
  };
  const bool empty = update.kind == UpdateKind::kRemove || (update.kind == UpdateKind::kTruncate && update.length == 0);
  if (empty) {
    has_read();
    co_return co_await prepare_empty();
  }
  if (update.kind == UpdateKind::kTruncate && update.length == old_length)
    co_return Prepared{.content = base, .own = {}};
  if (update.kind == UpdateKind::kTruncate && update.length < old_length)
    co_return co_await prepare_shrink(base, update.length);
  const auto [start, end] = change_of(update, old_length);
  const std::uint64_t offset = update.kind == UpdateKind::kWrite ? update.offset : update.length;
  FF_CO_TRY_ASSIGN(Patch patch, co_await make_patch(base, offset, update.data));
  if (fits_inline(base.get(), start, end)) {
    has_read();
    co_return co_await prepare_inline(std::move(base), std::move(patch));
  }
  if (base && start >= old_length && may_append(update.chunk, *base, patch)) {
    has_read();
    co_return co_await prepare_append(std::move(base), std::move(patch));
  }
  co_return co_await prepare_copy(std::move(base), std::move(patch), std::move(based));
}

Task<Result<LocalChunkStore::Prepared>> LocalChunkStore::prepare_empty() {
  auto content = std::make_shared<StoredContent>();
  FF_CO_TRY_ASSIGN(content->block, co_await take_block(0));
  co_return Prepared{.content = std::move(content), .own = {}};
}

Task<Result<LocalChunkStore::Prepared>> LocalChunkStore::prepare_shrink(ContentRef base, std::uint32_t length) {
  const std::uint32_t unit = superblock_.options.checksum_bytes;
  const std::uint32_t blocks = checksum_blocks(length, unit);
  auto content = std::make_shared<StoredContent>();
  content->block = base->block;
  content->length = length;
  content->crcs.assign(base->crcs.begin(), base->crcs.begin() + blocks);
  content->overlay = within(base->overlay, blocks);
  const std::uint32_t inside = length - (blocks - 1) * unit;
  FF_CO_TRY_ASSIGN(auto buffer, env_.disk().buffer(unit));
  FF_CO_TRY(co_await reader_.read_blocks(base, blocks - 1, 1, buffer.span()));
  content->crcs.back() = crc32c(0, buffer.data(), inside);
  content->crc = content_crc(content->crcs);
  co_return Prepared{.content = std::move(content), .own = {}};
}

Task<Result<LocalChunkStore::Patch>> LocalChunkStore::make_patch(ContentRef base, std::uint64_t offset,
                                                                 std::span<const std::byte> data) {
  const std::uint32_t unit = superblock_.options.checksum_bytes;
  const std::uint64_t old_length = length_of(base.get());
  const std::uint64_t start = std::min(offset, old_length), end = offset + data.size();
  Patch patch;
  patch.first = static_cast<std::uint32_t>(start / unit);
  patch.count = checksum_blocks(end, unit) - patch.first;
  patch.length = static_cast<std::uint32_t>(std::max(old_length, end));
  const std::size_t bytes = std::size_t{patch.count} * unit;
  const bool aligned = reinterpret_cast<std::uintptr_t>(data.data()) % kJournalUnit == 0;
  if (data.size() == bytes && start % unit == 0 && aligned) {
    patch.bytes = data;
    co_return patch;
  }
  FF_CO_TRY_ASSIGN(patch.buffer, env_.disk().buffer(bytes));
  const auto to = patch.buffer.span();
  const bool keeps_head = start % unit != 0;
  const bool keeps_tail = end % unit != 0 && end < old_length;
  if (keeps_head) FF_CO_TRY(co_await reader_.read_blocks(base, patch.first, 1, to.first(unit)));
  if (keeps_tail && (patch.count > 1 || !keeps_head)) {
    FF_CO_TRY(co_await reader_.read_blocks(base, patch.first + patch.count - 1, 1, to.last(unit)));
  }
  if (!data.empty()) std::memcpy(to.data() + (offset - std::uint64_t{patch.first} * unit), data.data(), data.size());
  patch.bytes = to;
  co_return patch;
}

std::vector<std::uint32_t> LocalChunkStore::patched_crcs(const StoredContent* base, const Patch& patch) const {
  const std::uint32_t unit = superblock_.options.checksum_bytes;
  std::vector<std::uint32_t> crcs;
  if (base != nullptr) crcs = base->crcs;
  crcs.resize(checksum_blocks(patch.length, unit));
  for (std::uint32_t i = 0; i < patch.count; ++i) {
    const std::uint64_t at = std::uint64_t{patch.first + i} * unit;
    const std::size_t inside = std::min<std::uint64_t>(unit, patch.length - at);
    crcs[patch.first + i] = crc32c(0, patch.bytes.data() + std::size_t{i} * unit, inside);
  }
  return crcs;
}

Task<Result<LocalChunkStore::Prepared>> LocalChunkStore::prepare_inline(ContentRef base, Patch patch) {
  const std::uint32_t unit = superblock_.options.checksum_bytes;
  Prepared out;
  auto content = std::make_shared<StoredContent>();
  content->length = patch.length;
  content->crcs = patched_crcs(base.get(), patch);
  content->crc = content_crc(content->crcs);
  if (length_of(base.get()) > 0) {
    content->block = base->block;
    content->overlay = base->overlay;
  } else {
    FF_CO_TRY_ASSIGN(content->block, co_await take_block(class_for(patch.length)));
  }
  for (std::uint32_t i = 0; i < patch.count; ++i) {
    const auto bytes = patch.bytes.subspan(std::size_t{i} * unit, unit);
    auto block = std::make_shared<const std::vector<std::byte>>(bytes.begin(), bytes.end());
    out.own.set(patch.first + i, block);
    content->overlay.set(patch.first + i, std::move(block));
  }
  out.content = std::move(content);
  co_return out;
}

bool LocalChunkStore::may_append(ChunkId chunk, const StoredContent& base, const Patch& patch) const {
  const auto it = index_.find(chunk);
  return base.length > 0 && patch.length <= base.block->place().bytes() && base.overlay.empty() &&
         !base.block->applying() && it != index_.end() && !it->second.pending &&
         it->second.append_after <= durable_sequence_;
}

Task<Result<LocalChunkStore::Prepared>> LocalChunkStore::prepare_append(ContentRef base, Patch patch) {
  auto content = std::make_shared<StoredContent>();
  content->block = base->block;
  content->length = patch.length;
  content->crcs = patched_crcs(base.get(), patch);
  content->crc = content_crc(content->crcs);
  FF_CO_TRY(co_await write_blocks(content->block, patch.first, patch.bytes));
  co_return Prepared{.content = std::move(content), .own = {}};
}

Task<Result<LocalChunkStore::Prepared>> LocalChunkStore::prepare_copy(ContentRef base, Patch patch,
                                                                      std::shared_ptr<runtime::Event> based) {
  const std::uint32_t unit = superblock_.options.checksum_bytes;
  auto content = std::make_shared<StoredContent>();
  content->length = patch.length;
  content->crcs = patched_crcs(base.get(), patch);
  content->crc = content_crc(content->crcs);
  const std::uint32_t old_blocks = checksum_blocks(length_of(base.get()), unit), end = patch.first + patch.count;
  const auto blocks = static_cast<std::uint32_t>(content->crcs.size());
  runtime::DiskBuffer whole;
  if (patch.count < blocks) {
    FF_CO_TRY_ASSIGN(whole, env_.disk().buffer(std::size_t{blocks} * unit));
    const auto part = [&](std::uint32_t first, std::uint32_t count) {
      return whole.span().subspan(std::size_t{first} * unit, std::size_t{count} * unit);
    };
    if (patch.first > 0) FF_CO_TRY(co_await reader_.read_blocks(base, 0, patch.first, part(0, patch.first)));
    if (end < old_blocks) {
      FF_CO_TRY(co_await reader_.read_blocks(base, end, old_blocks - end, part(end, old_blocks - end)));
    }
    std::ranges::copy(patch.bytes, part(patch.first, patch.count).begin());
  }
  if (based) based->set();
  FF_CO_TRY_ASSIGN(content->block, co_await take_block(class_for(patch.length)));
  FF_CO_TRY(co_await write_blocks(content->block, 0, whole.size() > 0 ? whole.span() : patch.bytes));
  co_return Prepared{.content = std::move(content), .own = {}};
}

Task<Result<>> LocalChunkStore::write_blocks(BlockRef block, std::uint32_t first, std::span<const std::byte> bytes) {
  const BlockPlace place = block->place();
  const std::uint64_t offset = place.offset() + std::uint64_t{first} * superblock_.options.checksum_bytes;
  Result<> written = co_await files_->blocks(place.size_class).write(offset, bytes);
  if (!written && !(co_await runtime::current_context()).cancelled()) fail_store(written.error());
  FF_CO_TRY(written);
  co_return co_await sync_blocks(place.size_class);
}

// One sync that begins after now is enough for all who wait. The store's own task asks for it: an error must not end
// with the cancelled caller who heard of it, for the disk tells it only once.
Task<Result<>> LocalChunkStore::sync_blocks(unsigned size_class) {
  BlockSync& sync = block_syncs_[size_class];
  const std::uint64_t mine = sync.begun + 1;
  sync.wanted = mine;
  if (!std::exchange(sync.runs, true)) scope_.spawn(run_block_syncs(size_class));
  while (sync.ended < mine) {
    FF_CO_TRY(usable());
    FF_CO_TRY(co_await sync.done.wait());
  }
  co_return {};
}

Task<void> LocalChunkStore::run_block_syncs(unsigned size_class) {
  BlockSync& sync = block_syncs_[size_class];
  while (sync.ended < sync.wanted && !failed_) {
    const std::uint64_t number = ++sync.begun;
    const runtime::Time sync_begun = env_.now();
    const Result<> synced = co_await files_->blocks(size_class).sync();
    syncs_.record(env_.now() - sync_begun);
    if (!synced && (co_await runtime::current_context()).cancelled()) break;
    if (!synced) fail_store(synced.error());
    if (synced) sync.ended = number;
    sync.done.wake_all();
  }
  sync.runs = false;
  sync.done.wake_all();
}

}  // namespace ff::ffs
