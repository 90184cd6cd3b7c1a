#include "ffs/store/chunk_state.hpp"

#include <algorithm>

#include "libcommon/base/crc32c.hpp"

namespace ff::ffs {

std::uint32_t content_crc(std::span<const std::uint32_t> crcs) noexcept {
  return crc32c(0, crcs.data(), crcs.size_bytes());
}

CommittedState committed_from(const CommittedState* before, const PendingState& pending, ChainVersion chain_version,
                              bool keeps_block) {
  CommittedState after;
  if (before != nullptr) {
    after.truncate_epoch = before->truncate_epoch;
    after.bad = before->bad && keeps_block;
    std::copy(before->recent.begin(), before->recent.end() - 1, after.recent.begin() + 1);
  }
  after.version = pending.version;
  after.chain_version = chain_version;
  after.truncate_epoch = std::max(after.truncate_epoch, pending.truncate_epoch);
  after.chunk_bytes = pending.chunk_bytes;
  after.removed = pending.kind == UpdateKind::kRemove;
  after.recent[0] = {pending.tag, pending.version};
  after.content = pending.content;
  return after;
}

ChunkInfo chunk_info(ChunkId chunk, const CommittedState* committed, const PendingState* pending) {
  ChunkInfo info;
  info.chunk = chunk;
  if (committed != nullptr) {
    info.version = committed->version;
    info.chain_version = committed->chain_version;
    info.truncate_epoch = committed->truncate_epoch;
    info.length = committed->content->length;
    info.chunk_bytes = committed->chunk_bytes;
    info.crc = committed->content->crc;
    info.removed = committed->removed;
    info.bad = committed->bad;
    info.recent = committed->recent;
  } else if (pending != nullptr) {
    info.chunk_bytes = pending->chunk_bytes;
  }
  if (pending != nullptr) {
    info.pending = PendingInfo{.kind = pending->kind,
                               .version = pending->version,
                               .chain_version = pending->chain_version,
                               .tag = pending->tag,
                               .length = pending->content->length,
                               .crc = pending->content->crc};
  }
  return info;
}

}  // namespace ff::ffs
