// What a range of chunks comes to, so that two replicas find their differences by halving ranges instead of sending
// lists. Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "ffs/storage/storage.pb.h"
#include "ffs/store/chunk_store.hpp"

namespace ff::ffs {

// A chunk as replicas compare it: its committed state, or what its pending update makes of it.
struct ChunkSummary {
  ChunkId chunk;
  ChunkVersion version = 0;
  std::uint32_t crc = 0;
  std::uint32_t length = 0;
  bool removed = false;
  bool bad = false;
  bool open = false;  // not known to be committed
  friend bool operator==(const ChunkSummary&, const ChunkSummary&) = default;
};
// Nothing: the chunk is only pending, and `with_pending` is false.
std::optional<ChunkSummary> summarize(const ChunkInfo& info, bool with_pending, bool open);
ChunkSummary summarize(const SyncChunk& chunk);

struct RangeDigest {
  std::uint64_t count = 0;
  std::uint64_t digest = 0;
  void add(const ChunkSummary& chunk) noexcept;
  friend bool operator==(const RangeDigest&, const RangeDigest&) = default;
};

struct Range {
  ChunkId from;                  // inclusive
  std::optional<ChunkId> until;  // exclusive; nothing: no end
  bool contains(ChunkId chunk) const noexcept { return chunk >= from && (!until || chunk < *until); }
};
// The chunk after `chunk` in order.
ChunkId next_chunk(ChunkId chunk) noexcept;

// Of one replica: its store, and for which chunks it holds an update that it does not know to be committed.
struct Replica {
  const ChunkStore& store;
  std::function<bool(ChunkId)> open;
  bool with_pending = false;  // what its pending updates make of the chunks
};
// All of the range, in order, at most `limit`.
std::vector<ChunkSummary> summarize(const Replica& replica, const Range& range, std::size_t limit);
RangeDigest digest(const Replica& replica, const Range& range);

// What the one that is behind must be sent.
struct Difference {
  ChunkId chunk;
  std::uint64_t bytes = 0;  // to transfer
};
// `ahead` and `behind` are the same range of two replicas, in order.
std::vector<Difference> compare(const std::vector<ChunkSummary>& ahead, const std::vector<ChunkSummary>& behind);

}  // namespace ff::ffs
