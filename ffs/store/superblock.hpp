// The superblock of a chunk store: what it is, written once by format. store.md has the bytes. Pure.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ffs/store/chunk_store.hpp"

namespace ff::ffs {

inline constexpr std::uint16_t kStoreMajor = 2;  // a reader refuses any other
inline constexpr std::uint16_t kStoreMinor = 0;
inline constexpr std::size_t kSuperblockCopyBytes = 4096;  // two copies
inline constexpr std::size_t kSuperblockBytes = 2 * kSuperblockCopyBytes;

inline constexpr std::uint64_t kJournalBytesMin = 256u << 10;
inline constexpr std::uint64_t kJournalBytesMax = 1u << 30;

struct StoreSuperblock {
  StoreIdentity identity;
  StoreOptions options;
};

// kInvalidArgument, naming the option.
Result<> check_options(const StoreOptions& options);
// kSuperblockBytes: both copies.
std::vector<std::byte> encode_superblock(const StoreSuperblock& superblock);
// The first good copy. kCorrupt, kUnsupported (a newer major format).
Result<StoreSuperblock> decode_superblock(std::span<const std::byte> bytes);

}  // namespace ff::ffs
