#include "ffs/format/layout.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace ff::ffs {

namespace {

// splitmix64. On disk: changing it moves every file.
std::uint64_t mix(std::uint64_t x) noexcept {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

}  // namespace

Result<> check(const Layout& layout) {
  if (!valid_chunk_bytes(layout.chunk_bytes)) {
    return fail(Errc::kInvalidArgument,
                fmt::format("layout: a chunk of {} bytes: not a power of two from 64KiB to 64MiB", layout.chunk_bytes));
  }
  if (layout.stripe == 0) return fail(Errc::kInvalidArgument, "layout: a stripe of 0 chains (take 1 or more)");
  if (number(layout.table) == 0 || layout.table_version == 0) {
    return fail(Errc::kInvalidArgument, "layout: no chain table (format the file system first)");
  }
  return {};
}

ChainId chain_of(const Layout& layout, InodeId inode, std::uint64_t chunk_index, std::span<const ChainId> chains) {
  const std::uint64_t stripe = std::min<std::uint64_t>(layout.stripe, chains.size());
  const std::uint64_t first = mix(number(inode)) % chains.size();
  return chains[(first + chunk_index % stripe) % chains.size()];
}

Result<std::vector<Extent>> split(const Layout& layout, std::uint64_t offset, std::uint64_t bytes) {
  if (bytes > kFileBytesMax || offset > kFileBytesMax - bytes) {
    return fail(Errc::kInvalidArgument,
                fmt::format("range: {} bytes at {}: beyond the largest file (2^62 bytes)", bytes, offset));
  }
  std::vector<Extent> extents;
  extents.reserve(bytes / layout.chunk_bytes + 2);
  for (std::uint64_t done = 0; done < bytes;) {
    const std::uint64_t at = offset + done;
    const auto within = static_cast<std::uint32_t>(at % layout.chunk_bytes);
    const auto take = static_cast<std::uint32_t>(std::min<std::uint64_t>(bytes - done, layout.chunk_bytes - within));
    extents.push_back({.chunk_index = at / layout.chunk_bytes, .offset = within, .bytes = take, .buffer_offset = done});
    done += take;
  }
  return extents;
}

}  // namespace ff::ffs
