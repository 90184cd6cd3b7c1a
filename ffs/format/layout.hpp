// Layout: where the chunks of a file lie. Pure.
//
// A chain table is an ordered list of chains. A file takes `stripe` consecutive ones (cyclically) from a place that its
// inode number determines; its chunk i lies on the (i mod stripe)th of them. The layout names the table by id and
// version, and a table's version never changes, so growing a cluster moves nothing.
//
// Portable   The place comes from our own mixing function, never the standard library's: tests keep golden values.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ffs/format/types.hpp"
#include "libcommon/base/result.hpp"

namespace ff::ffs {

struct Layout {
  TableId table{};
  std::uint64_t table_version = 0;
  std::uint32_t chunk_bytes = 1u << 20;  // valid_chunk_bytes()
  std::uint32_t stripe = 1;              // chains that the file takes; at most the table's
  friend bool operator==(const Layout&, const Layout&) = default;
};

// kInvalidArgument, naming the field.
Result<> check(const Layout& layout);

// REQUIRES: chains not empty.
ChainId chain_of(const Layout& layout, InodeId inode, std::uint64_t chunk_index, std::span<const ChainId> chains);

// A part of a byte range that lies in one chunk.
struct Extent {
  std::uint64_t chunk_index = 0;
  std::uint32_t offset = 0;         // within the chunk
  std::uint32_t bytes = 0;          // more than 0
  std::uint64_t buffer_offset = 0;  // of the range's buffer
};
// In order, without gaps. kInvalidArgument when offset + bytes exceeds kFileBytesMax.
Result<std::vector<Extent>> split(const Layout& layout, std::uint64_t offset, std::uint64_t bytes);

inline constexpr std::uint64_t kFileBytesMax = std::uint64_t{1} << 62;

}  // namespace ff::ffs
