// Installing: a chunk's committed state as another replica has it, beside or under an update that is pending here.
//
// The problem: a bad base is replaced while the update on top of it is durable, and may have been acknowledged. At no
// instant may the update be absent. So one record names both: the new base in its new block, and the update on top of
// it, with what it had written behind the end of the old block copied first.
#include <fmt/core.h>

#include <algorithm>

#include "ffs/store/local_store.hpp"
#include "libcommon/base/crc32c.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

std::unexpected<Error> refuse(ChunkId chunk, std::string why) {
  return fail(Errc::kInvalidArgument, fmt::format("chunk {}: {}", to_text(chunk), why));
}

Result<> check_image(const ChunkInfo& info, std::size_t bytes, std::size_t crcs, std::uint32_t unit) {
  if (!valid_chunk_bytes(info.chunk_bytes) || info.length > info.chunk_bytes || info.version == 0) {
    return refuse(info.chunk, "its size or version is impossible");
  }
  if (bytes != info.length || (info.removed && info.length > 0)) {
    return refuse(info.chunk, fmt::format("{} bytes for a length of {}", bytes, info.length));
  }
  if (crcs > 0 && crcs != checksum_blocks(info.length, unit)) {
    return refuse(info.chunk, fmt::format("{} checksums for {} bytes", crcs, info.length));
  }
  return {};
}

Result<> check_newer(const CommittedState* committed, const ChunkInfo& info) {
  if (committed == nullptr || committed->version <= info.version) return {};
  return refuse(info.chunk, fmt::format("version {} is committed, {} is older", committed->version, info.version));
}

}  // namespace

Task<Result<LocalChunkStore::Image>> LocalChunkStore::make_image(ChunkInfo info, std::span<const std::byte> content,
                                                                 std::span<const std::uint32_t> crcs) {
  const std::uint32_t unit = superblock_.options.checksum_bytes, blocks = checksum_blocks(info.length, unit);
  const std::size_t bytes = std::size_t{blocks} * unit;
  Image out;
  out.crcs.assign(crcs.begin(), crcs.end());
  out.crcs.resize(blocks);
  const bool aligned = reinterpret_cast<std::uintptr_t>(content.data()) % kJournalUnit == 0;
  if (content.size() == bytes && aligned && crcs.empty()) {
    out.bytes = content;
  } else {
    FF_CO_TRY_ASSIGN(out.buffer, env_.disk().buffer(bytes));
    std::ranges::copy(content, out.buffer.span().begin());
    out.bytes = out.buffer.span().first(bytes);
  }
  const auto it = index_.find(info.chunk);
  const ContentRef here = it == index_.end() || !it->second.committed ? nullptr : it->second.committed->content;
  for (std::uint32_t i = 0; i < blocks; ++i) {
    const std::size_t at = std::size_t{i} * unit, inside = std::min(unit, info.length - i * unit);
    const std::uint32_t found = crc32c(0, out.bytes.data() + at, inside);
    if (crcs.empty()) out.crcs[i] = found;
    if (found == out.crcs[i]) continue;
    bool good = false;
    if (here && i < here->crcs.size() && here->crcs[i] == crcs[i]) {
      FF_CO_TRY_ASSIGN(auto own, env_.disk().buffer(unit));
      const Result<> read = co_await reader_.read_blocks(here, i, 1, own.span());
      good = read && crc32c(0, own.data(), inside) == crcs[i];
      if (good) std::ranges::copy(own.span(), out.buffer.span().subspan(at).begin());
    }
    out.damaged = out.damaged || !good;
  }
  if (content_crc(out.crcs) != info.crc) {
    co_return fail(Errc::kCorrupt, fmt::format("chunk {}: the content does not have the checksum that came with it",
                                               to_text(info.chunk)));
  }
  co_return out;
}

Task<Result<LocalChunkStore::Rebased>> LocalChunkStore::rebase(ChunkInfo info, const Image& image) {
  const std::uint32_t unit = superblock_.options.checksum_bytes;
  Rebased out;
  const auto it = index_.find(info.chunk);
  if (it == index_.end() || !it->second.pending || !it->second.committed) co_return out;
  const CommittedState& committed = *it->second.committed;
  if (committed.version != info.version || committed.removed != info.removed ||
      committed.content->length != info.length || committed.content->crcs != image.crcs) {
    co_return out;
  }
  const PendingRef pending = it->second.pending;
  const ContentRef content = pending->content;
  out.from = pending;
  out.shared = content->block == committed.content->block;
  if (out.shared && (!pending->own.empty() || content->length <= info.length)) co_return out;
  // Its own bytes must be good; what it had appended goes along.
  out.first = out.shared ? info.length / unit : 0;
  const auto count = static_cast<std::uint32_t>(content->crcs.size()) - out.first;
  if (count == 0) co_return out;
  FF_CO_TRY_ASSIGN(out.bytes, env_.disk().buffer(std::size_t{count} * unit));
  const Result<> read = co_await reader_.read_blocks(content, out.first, count, out.bytes.span());
  if (!read && read.error().code() != Errc::kCorrupt) co_return fail(read.error());
  if (!read) out = {};
  co_return out;
}

PendingState LocalChunkStore::on_block(const PendingState& pending, const BlockRef& old, BlockRef block) const {
  PendingState out = pending;
  out.sequence = next_sequence_;
  if (pending.content->block != old) return out;
  auto content = std::make_shared<StoredContent>(*pending.content);
  content->block = std::move(block);
  content->overlay = pending.own;
  out.content = std::move(content);
  return out;
}

Task<Result<>> LocalChunkStore::install(const ChunkInfo& info, std::span<const std::byte> content, InstallMode mode,
                                        std::span<const std::uint32_t> crcs) {
  FF_CO_TRY(usable());
  const std::uint32_t unit = superblock_.options.checksum_bytes;
  const ChunkInfo wanted = info;
  const auto committed_here = [this, &wanted] {
    const auto it = index_.find(wanted.chunk);
    return it == index_.end() ? nullptr : it->second.committed;
  };
  FF_CO_TRY(check_image(wanted, content.size(), crcs.size(), unit));
  if (mode == InstallMode::kBase) FF_CO_TRY(check_newer(committed_here().get(), wanted));
  FF_CO_TRY_ASSIGN(const Image image, co_await make_image(wanted, content, crcs));
  Rebased rebased;
  if (mode == InstallMode::kBase) {
    FF_CO_TRY_ASSIGN(rebased, co_await rebase(wanted, image));
  }

  std::uint64_t record_crcs = image.crcs.size(), own = 0;
  unsigned size_class = class_for(wanted.length);
  if (rebased.from) {
    record_crcs += rebased.from->content->crcs.size();
    own = rebased.from->own.size();
    if (rebased.shared) size_class = std::max(size_class, class_for(rebased.from->content->length));
  }
  FF_CO_TRY_ASSIGN(auto permit, co_await queue_room_.acquire(state_bytes_max(record_crcs, own, unit)));
  FF_CO_TRY(usable());
  auto stored = std::make_shared<StoredContent>();
  stored->length = wanted.length;
  stored->crcs = image.crcs;
  stored->crc = content_crc(stored->crcs);
  FF_CO_TRY_ASSIGN(stored->block, co_await take_block(wanted.length == 0 ? 0 : size_class));
  if (wanted.length > 0) FF_CO_TRY(co_await write_blocks(stored->block, 0, image.bytes));
  if (rebased.shared && rebased.bytes.size() > 0) {
    FF_CO_TRY(co_await write_blocks(stored->block, rebased.first, rebased.bytes.span()));
  }
  FF_CO_TRY(usable());
  if (mode == InstallMode::kBase) FF_CO_TRY(check_newer(committed_here().get(), wanted));

  CommittedState state{.version = wanted.version,
                       .chain_version = wanted.chain_version,
                       .truncate_epoch = wanted.truncate_epoch,
                       .chunk_bytes = wanted.chunk_bytes,
                       .removed = wanted.removed,
                       .bad = image.damaged,
                       .recent = wanted.recent,
                       .content = stored};
  Chunk& chunk = index_[wanted.chunk];
  PendingRef kept;
  if (rebased.from && chunk.pending && chunk.pending->version == rebased.from->version && chunk.committed) {
    kept =
        std::make_shared<const PendingState>(on_block(*chunk.pending, chunk.committed->content->block, stored->block));
  }
  count(chunk.committed.get(), -1);
  count(&state, 1);
  retire(std::move(chunk.committed));
  retire(std::move(chunk.pending));
  chunk.committed = std::make_shared<const CommittedState>(std::move(state));
  chunk.pending = std::move(kept);
  remark(wanted.chunk, chunk);
  changed(wanted.chunk);
  queue_.permits.push_back(std::move(permit));
  const std::uint64_t sequence = enqueue(encode_state(wanted.chunk, chunk.committed.get(), chunk.pending.get()), true);
  co_return co_await wait_durable(sequence);
}

}  // namespace ff::ffs
