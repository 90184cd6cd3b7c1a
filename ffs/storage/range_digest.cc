#include "ffs/storage/range_digest.hpp"

#include "ffs/storage/storage_convert.hpp"

namespace ff::ffs {

namespace {

std::uint64_t mix(std::uint64_t hash, std::uint64_t word) noexcept {
  std::uint64_t x = hash ^ (word + 0x9e3779b97f4a7c15u + (hash << 6) + (hash >> 2));
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

template <class F>
void for_each(const Replica& replica, const Range& range, F visit) {
  constexpr std::size_t kPage = 1024;
  for (ChunkId from = range.from;;) {
    const std::vector<ChunkInfo> page = replica.store.list(from, kPage);
    for (const ChunkInfo& info : page) {
      if (!range.contains(info.chunk)) return;
      const auto summary = summarize(info, replica.with_pending, replica.open(info.chunk));
      if (summary && !visit(*summary)) return;
    }
    if (page.size() < kPage) return;
    from = next_chunk(page.back().chunk);
  }
}

}  // namespace

ChunkId next_chunk(ChunkId chunk) noexcept {
  if (++chunk.index == 0) chunk.inode = InodeId{number(chunk.inode) + 1};
  return chunk;
}

std::optional<ChunkSummary> summarize(const ChunkInfo& info, bool with_pending, bool open) {
  if (with_pending && info.pending)
    return ChunkSummary{.chunk = info.chunk,
                        .version = info.pending->version,
                        .crc = info.pending->crc,
                        .length = info.pending->length,
                        .removed = info.pending->kind == UpdateKind::kRemove,
                        .bad = info.bad,
                        .open = open};
  if (info.version == 0) return std::nullopt;
  return ChunkSummary{.chunk = info.chunk,
                      .version = info.version,
                      .crc = info.crc,
                      .length = info.length,
                      .removed = info.removed,
                      .bad = info.bad,
                      .open = open};
}

ChunkSummary summarize(const SyncChunk& chunk) {
  return {.chunk = to_chunk(chunk.chunk()),
          .version = chunk.version(),
          .crc = chunk.crc(),
          .length = chunk.length(),
          .removed = chunk.removed(),
          .bad = chunk.bad(),
          .open = chunk.pending()};
}

void RangeDigest::add(const ChunkSummary& chunk) noexcept {
  ++count;
  digest = mix(digest, number(chunk.chunk.inode));
  digest = mix(digest, chunk.chunk.index);
  digest = mix(digest, chunk.version);
  digest = mix(digest, (std::uint64_t{chunk.crc} << 32) | chunk.length);
  digest = mix(digest, (chunk.removed ? 1u : 0u) | (chunk.bad ? 2u : 0u) | (chunk.open ? 4u : 0u));
}

std::vector<ChunkSummary> summarize(const Replica& replica, const Range& range, std::size_t limit) {
  std::vector<ChunkSummary> out;
  for_each(replica, range, [&](const ChunkSummary& chunk) {
    if (out.size() == limit) return false;
    out.push_back(chunk);
    return true;
  });
  return out;
}

RangeDigest digest(const Replica& replica, const Range& range) {
  RangeDigest out;
  for_each(replica, range, [&](const ChunkSummary& chunk) {
    out.add(chunk);
    return true;
  });
  return out;
}

std::vector<Difference> compare(const std::vector<ChunkSummary>& ahead, const std::vector<ChunkSummary>& behind) {
  std::vector<Difference> out;
  auto a = ahead.begin();
  auto b = behind.begin();
  while (a != ahead.end() || b != behind.end()) {
    if (b == behind.end() || (a != ahead.end() && a->chunk < b->chunk)) {
      out.push_back({a->chunk, a->length});
      ++a;
    } else if (a == ahead.end() || b->chunk < a->chunk) {
      out.push_back({b->chunk, 0});
      ++b;
    } else {
      if (*a != *b) out.push_back({a->chunk, a->length});
      ++a, ++b;
    }
  }
  return out;
}

}  // namespace ff::ffs
