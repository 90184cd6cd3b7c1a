// Between the messages of storage.proto and the types of ffs/format and ffs/store.
#pragma once

#include <string>

#include "ffs/storage/storage.pb.h"
#include "ffs/store/chunk_store.hpp"

namespace ff::ffs {

inline ChunkId to_chunk(const ChunkRef& ref) noexcept { return {InodeId{ref.inode()}, ref.index()}; }
void set(ChunkRef& ref, ChunkId chunk);
inline UpdateTag to_tag(const Tag& tag) noexcept { return {tag.client(), tag.sequence()}; }
void set(Tag& out, UpdateTag tag);

UpdateKind to_kind(UpdateType type) noexcept;  // REQUIRES: a known one
UpdateType to_type(UpdateKind kind) noexcept;

// The committed state; with `pending`, the state that the pending update makes.
void set(SyncChunk& out, const ChunkInfo& info, bool pending);
void set(ChunkImage& out, const ChunkInfo& info, bool pending);
// kInvalidArgument when it cannot be a chunk.
Result<ChunkInfo> to_info(const ChunkImage& image);

// How a failure of the store is told to others.
StorageCode code_of(const Error& error) noexcept;
// What a client makes of a code. REQUIRES: not STORAGE_OK.
Error error_of(StorageCode code, const std::string& detail);

}  // namespace ff::ffs
