// Names of things in FFS: numbers that must not be mixed up, and what a chunk and an update are called on disk and on
// the wire. No I/O.
//
// Every id is given out once in the life of a cluster and never reused. 0 is no id.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>

namespace ff::ffs {

enum class NodeId : std::uint64_t {};    // a process that serves (several may run on one machine)
enum class TargetId : std::uint64_t {};  // one member of one chain, on one disk
enum class ChainId : std::uint64_t {};   // an ordered set of targets that hold the same chunks
enum class TableId : std::uint64_t {};   // an ordered list of chains that files are striped over
enum class InodeId : std::uint64_t {};

inline constexpr InodeId kRootInode{1};
// The chain table that files take where no directory says another.
inline constexpr TableId kDefaultTable{1};

template <class Id>
constexpr std::uint64_t number(Id id) noexcept {
  return static_cast<std::uint64_t>(id);
}

// The part [index * chunk size, (index + 1) * chunk size) of a file. Ordered by file, then by place, so that the chunks
// of a file on a target are one range.
struct ChunkId {
  InodeId inode{};
  std::uint64_t index = 0;
  friend auto operator<=>(const ChunkId&, const ChunkId&) = default;
};
// "17/3": inode 17, chunk 3.
std::string to_text(ChunkId id);

// One operation of one client that changes a chunk, however often it is sent. `client` is random, new with every start
// of a client; `sequence` grows with each of its updates.
struct UpdateTag {
  std::uint64_t client = 0;
  std::uint64_t sequence = 0;
  friend auto operator<=>(const UpdateTag&, const UpdateTag&) = default;
};

// Grows by one with each committed update of a chunk; 0: the chunk does not exist.
using ChunkVersion = std::uint64_t;
// Grows by one whenever the members of a chain or their states change; 0: none.
using ChainVersion = std::uint64_t;

inline constexpr std::uint32_t kChunkBytesMin = 64u << 10;
inline constexpr std::uint32_t kChunkBytesMax = 64u << 20;
// A power of two within the bounds.
constexpr bool valid_chunk_bytes(std::uint64_t bytes) noexcept {
  return bytes >= kChunkBytesMin && bytes <= kChunkBytesMax && (bytes & (bytes - 1)) == 0;
}

}  // namespace ff::ffs

template <>
struct std::hash<ff::ffs::ChunkId> {
  std::size_t operator()(const ff::ffs::ChunkId& id) const noexcept {
    // splitmix64's finisher: neighbouring chunks must not fall into neighbouring buckets.
    std::uint64_t x = ff::ffs::number(id.inode) * 0x9e3779b97f4a7c15u + id.index;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
  }
};
