#include "ffs/store/superblock.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <bit>

#include "ffs/store/store_codec.hpp"
#include "libcommon/base/crc32c.hpp"

namespace ff::ffs {

namespace {

constexpr std::uint64_t kMagic = 0x31524f5453534646;  // "FFSSTOR1"
constexpr std::size_t kCrcAt = kSuperblockCopyBytes - 4;

std::uint32_t copy_crc(std::span<const std::byte> copy) { return crc32c(0, copy.data(), kCrcAt); }

Result<StoreSuperblock> decode_copy(std::span<const std::byte> copy) {
  StoreDecoder in(copy);
  if (in.get<std::uint64_t>() != kMagic) return fail(Errc::kCorrupt, "not the superblock of a chunk store");
  StoreDecoder tail(copy.subspan(kCrcAt));
  if (tail.get<std::uint32_t>() != copy_crc(copy)) return fail(Errc::kCorrupt, "the superblock's checksum is wrong");
  const auto major = in.get<std::uint16_t>();
  const auto minor = in.get<std::uint16_t>();
  if (major > kStoreMajor) {
    return fail(Errc::kUnsupported, fmt::format("format {}.{} is newer than {}.x (use a newer version of the software)",
                                                major, minor, kStoreMajor));
  }
  if (major < kStoreMajor) {
    return fail(Errc::kUnsupported,
                fmt::format("format {}.{} is older than {}.x (format the target anew; the chain's other "
                            "replicas fill it)",
                            major, minor, kStoreMajor));
  }
  StoreSuperblock out;
  out.options.checksum_bytes = in.get<std::uint32_t>();
  std::ranges::copy(in.bytes(out.identity.cluster.size()), out.identity.cluster.begin());
  out.identity.target = TargetId{in.get<std::uint64_t>()};
  out.identity.generation = in.get<std::uint64_t>();
  out.options.capacity_bytes = in.get<std::uint64_t>();
  out.options.journal_bytes = in.get<std::uint64_t>();
  out.options.direct = in.get<std::uint8_t>() != 0;
  if (auto valid = check_options(out.options); !valid) return fail(Errc::kCorrupt, valid.error().message());
  return out;
}

}  // namespace

Result<> check_options(const StoreOptions& options) {
  if (!std::has_single_bit(options.checksum_bytes) || options.checksum_bytes < (4u << 10) ||
      options.checksum_bytes > (64u << 10)) {
    return fail(Errc::kInvalidArgument,
                fmt::format("checksum_bytes {}: must be a power of two from 4 KiB to 64 KiB", options.checksum_bytes));
  }
  if (!std::has_single_bit(options.journal_bytes) || options.journal_bytes < kJournalBytesMin ||
      options.journal_bytes > kJournalBytesMax) {
    return fail(Errc::kInvalidArgument,
                fmt::format("journal_bytes {}: must be a power of two from 256 KiB to 1 GiB", options.journal_bytes));
  }
  return {};
}

std::vector<std::byte> encode_superblock(const StoreSuperblock& superblock) {
  std::vector<std::byte> copy;
  StoreEncoder out(copy);
  out.put(kMagic);
  out.put(kStoreMajor);
  out.put(kStoreMinor);
  out.put(superblock.options.checksum_bytes);
  out.bytes(superblock.identity.cluster);
  out.put(number(superblock.identity.target));
  out.put(superblock.identity.generation);
  out.put(superblock.options.capacity_bytes);
  out.put(superblock.options.journal_bytes);
  out.put(static_cast<std::uint8_t>(superblock.options.direct ? 1 : 0));
  copy.resize(kCrcAt);
  out.put(crc32c(0, copy.data(), copy.size()));
  std::vector<std::byte> both = copy;
  both.insert(both.end(), copy.begin(), copy.end());
  return both;
}

Result<StoreSuperblock> decode_superblock(std::span<const std::byte> bytes) {
  if (bytes.size() < kSuperblockBytes) {
    return fail(Errc::kCorrupt, fmt::format("{} bytes: too short for a superblock", bytes.size()));
  }
  Result<StoreSuperblock> first = decode_copy(bytes.first(kSuperblockCopyBytes));
  if (first || first.error().code() == Errc::kUnsupported) return first;
  Result<StoreSuperblock> second = decode_copy(bytes.subspan(kSuperblockCopyBytes, kSuperblockCopyBytes));
  return second || second.error().code() == Errc::kUnsupported ? second : first;
}

}  // namespace ff::ffs
