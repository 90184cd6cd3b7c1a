#include "ffs/storage/storage_convert.hpp"

#include <fmt/core.h>

namespace ff::ffs {

void set(ChunkRef& ref, ChunkId chunk) {
  ref.set_inode(number(chunk.inode));
  ref.set_index(chunk.index);
}

void set(Tag& out, UpdateTag tag) {
  out.set_client(tag.client);
  out.set_sequence(tag.sequence);
}

UpdateKind to_kind(UpdateType type) noexcept {
  return type == TRUNCATE ? UpdateKind::kTruncate : type == REMOVE ? UpdateKind::kRemove : UpdateKind::kWrite;
}

UpdateType to_type(UpdateKind kind) noexcept {
  return kind == UpdateKind::kTruncate ? TRUNCATE : kind == UpdateKind::kRemove ? REMOVE : WRITE;
}

void set(SyncChunk& out, const ChunkInfo& info, bool pending) {
  set(*out.mutable_chunk(), info.chunk);
  out.set_truncate_epoch(info.truncate_epoch);
  out.set_bad(info.bad);
  out.set_pending(pending);
  if (pending) {
    out.set_version(info.pending->version);
    out.set_chain_version(info.pending->chain_version);
    out.set_length(info.pending->length);
    out.set_crc(info.pending->crc);
    out.set_removed(info.pending->kind == UpdateKind::kRemove);
  } else {
    out.set_version(info.version);
    out.set_chain_version(info.chain_version);
    out.set_length(info.length);
    out.set_crc(info.crc);
    out.set_removed(info.removed);
  }
}

void set(ChunkImage& out, const ChunkInfo& info, bool pending) {
  set(*out.mutable_chunk(), info, pending);
  out.set_chunk_bytes(info.chunk_bytes);
  const auto remember = [&](UpdateTag tag, ChunkVersion version) {
    if (out.recent_size() >= static_cast<int>(kRememberedUpdates)) return;
    set(*out.add_recent(), tag);
    out.add_recent_versions(version);
  };
  if (pending) remember(info.pending->tag, info.pending->version);
  for (const RememberedUpdate& update : info.recent)
    if (update.version != 0) remember(update.tag, update.version);
}

Result<ChunkInfo> to_info(const ChunkImage& image) {
  const SyncChunk& from = image.chunk();
  ChunkInfo out;
  out.chunk = to_chunk(from.chunk());
  out.version = from.version();
  out.chain_version = from.chain_version();
  out.truncate_epoch = from.truncate_epoch();
  out.length = from.length();
  out.chunk_bytes = image.chunk_bytes();
  out.crc = from.crc();
  out.removed = from.removed();
  if (out.version == 0) return fail(Errc::kInvalidArgument, to_text(out.chunk) + ": an image without a version");
  if (!valid_chunk_bytes(out.chunk_bytes) || out.length > out.chunk_bytes)
    return fail(Errc::kInvalidArgument, fmt::format("{}: an image of {} bytes in a chunk of {}", to_text(out.chunk),
                                                    out.length, out.chunk_bytes));
  if (image.block_crcs_size() > static_cast<int>(out.length))
    return fail(Errc::kInvalidArgument, to_text(out.chunk) + ": an image with more checksums than bytes");
  if (image.recent_size() != image.recent_versions_size() || image.recent_size() > static_cast<int>(out.recent.size()))
    return fail(Errc::kInvalidArgument, to_text(out.chunk) + ": an image whose updates do not add up");
  for (int i = 0; i < image.recent_size(); ++i)
    out.recent[static_cast<std::size_t>(i)] = {to_tag(image.recent(i)), image.recent_versions(i)};
  return out;
}

StorageCode code_of(const Error& error) noexcept {
  switch (error.code()) {
    case Errc::kCorrupt: return CORRUPT;
    case Errc::kExhausted: return NO_SPACE;
    case Errc::kIo: return DISK_FAILED;
    case Errc::kInvalidArgument: return STORAGE_INVALID;
    case Errc::kNotFound: return CHUNK_NOT_FOUND;
    default: return BUSY;
  }
}

Error error_of(StorageCode code, const std::string& detail) {
  const auto make = [&](Errc errc, const char* what) {
    return Error(errc, detail.empty() ? std::string(what) : fmt::format("{}: {}", what, detail));
  };
  switch (code) {
    case UNCERTAIN: return make(Errc::kTimeout, "storage cannot tell whether the update took effect");
    case STALE_EPOCH: return make(Errc::kInvalidArgument, "stale epoch");
    case NO_SPACE: return make(Errc::kExhausted, "no space on the storage targets");
    case CORRUPT: return make(Errc::kCorrupt, "corrupt on storage");
    case DISK_FAILED: return make(Errc::kIo, "storage disk failed");
    case STORAGE_INVALID: return make(Errc::kInvalidArgument, "refused by storage");
    case CHUNK_NOT_FOUND: return make(Errc::kNotFound, "no such chunk");
    default: return make(Errc::kUnavailable, "storage is not ready");
  }
}

}  // namespace ff::ffs
