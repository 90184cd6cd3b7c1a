// A verdict must not depend on luck: whatever was found is compared with versions that are made anew, sector by sector,
// and not only with checksums. The versions to compare with come from the sectors' own stamps and from the promise.
#include "ffbench/storage/verify_block.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <map>

#include "ffbench/storage/verify_bytes.hpp"
#include "libcommon/base/assert.hpp"
#include "libcommon/base/crc32c.hpp"
#include "libcommon/base/rng.hpp"

namespace ff::bench {
namespace {

constexpr std::uint64_t kMagic = 0x314b4c4256424646;  // "FFBVBLK1"
constexpr std::uint16_t kVersion = 1;
constexpr std::size_t kHeaderBytes = 64;
constexpr std::size_t kStampBytes = 8;
constexpr std::size_t kStampAt = kVerifySectorBytes - kStampBytes;
constexpr std::size_t kChecksumAt = 56;
constexpr std::size_t kFlipsListed = 64;
// Random bytes differ in half of all bits; a sector with fewer than this of 4096 wrong is a damaged one of ours.
constexpr std::uint64_t kNearBits = 512;

void fill_payload(std::span<std::byte> into, std::uint64_t seed) {
  Rng rng(seed);
  for (std::size_t at = 0; at < into.size(); at += 8) put_number(into, at, rng.next());
}

std::uint32_t checksum_of(std::span<const std::byte> block) noexcept {
  constexpr std::array<std::byte, 4> kZeros{};
  std::uint32_t crc = crc32c(0, block.data(), kChecksumAt);
  crc = crc32c(crc, kZeros.data(), kZeros.size());
  return crc32c(crc, block.data() + kChecksumAt + 4, block.size() - kChecksumAt - 4);
}

std::span<const std::byte> sector(std::span<const std::byte> block, std::size_t index) noexcept {
  return block.subspan(index * kVerifySectorBytes, kVerifySectorBytes);
}

bool equal(std::span<const std::byte> a, std::span<const std::byte> b) noexcept {
  return std::memcmp(a.data(), b.data(), a.size()) == 0;
}

bool all_zero(std::span<const std::byte> bytes) noexcept {
  return bytes[0] == std::byte{0} && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

std::uint64_t differing_bits(std::span<const std::byte> a, std::span<const std::byte> b) noexcept {
  std::uint64_t bits = 0;
  for (std::size_t at = 0; at < a.size(); at += 8)
    bits +=
        static_cast<std::uint64_t>(std::popcount(get_number<std::uint64_t>(a, at) ^ get_number<std::uint64_t>(b, at)));
  return bits;
}

// What one sector turned out to be.
enum class SectorKind : std::uint8_t { kAllowed, kOld, kAhead, kZero, kDamaged, kUnknown };

// Judges a block that is not whole.
class SectorJudge {
 public:
  SectorJudge(std::span<const std::byte> block, const BlockPromise& promise) : block_(block), promise_(promise) {
    add_version(promise.required);
    for (const std::uint64_t sequence : promise.allowed) add_version(sequence);
    // A stamp far from any plausible number is damage, not a version; making it would only cost time.
    const std::uint64_t newest = versions_.empty() ? 0 : versions_.rbegin()->first;
    for (std::size_t i = 0; i < sectors(); ++i)
      if (const auto stamp = get_number<std::uint64_t>(sector(block, i), kStampAt); stamp <= 2 * newest + 1)
        add_version(stamp);
  }

  BlockFinding judge() {
    if (promise_.required == 0) {
      const bool written = std::ranges::any_of(all(), [&](std::size_t i) { return version_of(i) != 0; });
      return {.verdict = written ? BlockVerdict::kUnsynced : BlockVerdict::kUnwritten};
    }
    std::array<std::size_t, 6> counts{};
    BlockFinding finding;
    std::string first_bad;
    for (const std::size_t i : all()) {
      const SectorKind kind = kind_of(i, finding, first_bad);
      ++counts[static_cast<std::size_t>(kind)];
    }
    const auto count = [&](SectorKind kind) { return counts[static_cast<std::size_t>(kind)]; };
    const std::size_t bad = count(SectorKind::kDamaged) + count(SectorKind::kUnknown);
    const std::size_t old = count(SectorKind::kOld) + count(SectorKind::kZero);
    finding.detail = first_bad;
    if (count(SectorKind::kUnknown) == sectors()) {
      finding.verdict = BlockVerdict::kForeign;
      finding.detail = "holds nothing that this run has written";
    } else if (bad > 0) {
      finding.verdict = BlockVerdict::kCorrupt;
    } else if (old > 0) {
      finding.verdict = old == sectors() ? BlockVerdict::kLost : BlockVerdict::kTorn;
      if (old < sectors()) finding.detail = fmt::format("{} of {} sectors are older: {}", old, sectors(), first_bad);
    } else if (count(SectorKind::kAhead) > 0) {
      finding.verdict = BlockVerdict::kAhead;
    } else {
      finding.verdict = BlockVerdict::kUnsynced;
      finding.detail.clear();
    }
    return finding;
  }

 private:
  std::size_t sectors() const noexcept { return block_.size() / kVerifySectorBytes; }
  std::vector<std::size_t> all() const {
    std::vector<std::size_t> indices(sectors());
    for (std::size_t i = 0; i < indices.size(); ++i) indices[i] = i;
    return indices;
  }

  void add_version(std::uint64_t sequence) {
    if (sequence == 0 || versions_.contains(sequence)) return;
    std::vector<std::byte> bytes(block_.size());
    encode_block({promise_.run, promise_.seed, promise_.offset, sequence}, bytes);
    versions_.emplace(sequence, std::move(bytes));
  }

  // Whose bytes the sector holds; 0: nobody's.
  std::uint64_t version_of(std::size_t index) const {
    const auto found = versions_.find(get_number<std::uint64_t>(sector(block_, index), kStampAt));
    if (found == versions_.end() || !equal(sector(block_, index), sector(found->second, index))) return 0;
    return found->first;
  }

  SectorKind kind_of(std::size_t index, BlockFinding& finding, std::string& why) const {
    const auto say = [&](std::string text) {
      if (why.empty()) why = fmt::format("sector {} {}", index, text);
    };
    if (const std::uint64_t version = version_of(index); version != 0) {
      if (version == promise_.required || std::ranges::binary_search(promise_.allowed, version))
        return SectorKind::kAllowed;
      say(fmt::format("is of write {}, write {} was synced", version, promise_.required));
      return version < promise_.required ? SectorKind::kOld : SectorKind::kAhead;
    }
    if (all_zero(sector(block_, index))) {
      say(fmt::format("holds zeros, write {} was synced", promise_.required));
      return SectorKind::kZero;
    }
    const auto nearest = std::ranges::min_element(versions_, {}, [&](const auto& version) {
      return differing_bits(sector(block_, index), sector(version.second, index));
    });
    const std::uint64_t bits = differing_bits(sector(block_, index), sector(nearest->second, index));
    if (bits >= kNearBits) {
      say("is like no version");
      return SectorKind::kUnknown;
    }
    list_flips(index, nearest->second, finding);
    say(fmt::format("differs from write {} in {} bit{}", nearest->first, bits, bits == 1 ? "" : "s"));
    finding.flipped_bits += bits;
    return SectorKind::kDamaged;
  }

  void list_flips(std::size_t index, std::span<const std::byte> version, BlockFinding& finding) const {
    const std::size_t base = index * kVerifySectorBytes;
    for (std::size_t at = base; at < base + kVerifySectorBytes; ++at)
      for (unsigned bit = 0; bit < 8 && finding.flips.size() < kFlipsListed; ++bit)
        if (((block_[at] ^ version[at]) >> bit & std::byte{1}) != std::byte{0}) finding.flips.push_back({at, bit});
  }

  std::span<const std::byte> block_;
  const BlockPromise& promise_;
  std::map<std::uint64_t, std::vector<std::byte>> versions_;
};

// A block that is whole by its own words.
BlockFinding judge_whole(const BlockIdentity& found, const BlockPromise& promise) {
  if (found.run != promise.run || found.seed != promise.seed) {
    if (promise.required == 0) return {.verdict = BlockVerdict::kUnwritten};
    return {.verdict = BlockVerdict::kForeign, .detail = fmt::format("is of run {:016x}", found.run)};
  }
  if (found.offset != promise.offset)
    return {.verdict = BlockVerdict::kMisplaced,
            .detail = fmt::format("is write {} of offset {}", found.sequence, found.offset)};
  if (found.sequence == promise.required || std::ranges::binary_search(promise.allowed, found.sequence))
    return {.verdict = BlockVerdict::kGood};
  const bool older = found.sequence < promise.required;
  return {
      .verdict = older ? BlockVerdict::kLost : BlockVerdict::kAhead,
      .detail = fmt::format("is of write {}, write {} was the last one synced here", found.sequence, promise.required)};
}

}  // namespace

void encode_block(const BlockIdentity& identity, std::span<std::byte> into) {
  FF_ASSERT(!into.empty() && into.size() % kVerifySectorBytes == 0 && into.size() <= kVerifyBlockBytesMax, into.size());
  const std::uint64_t payload = mix_number(
      mix_number(mix_number(mix_number(identity.run) ^ identity.seed) ^ identity.offset) ^ identity.sequence);
  for (std::size_t i = 0; i < into.size() / kVerifySectorBytes; ++i) {
    const auto here = into.subspan(i * kVerifySectorBytes, kVerifySectorBytes);
    const std::size_t begin = i == 0 ? kHeaderBytes : 0;
    fill_payload(here.subspan(begin, kStampAt - begin), payload + i);
    put_number(here, kStampAt, identity.sequence);
  }
  std::memset(into.data(), 0, kHeaderBytes);
  put_number(into, 0, kMagic);
  put_number(into, 8, kVersion);
  put_number(into, 10, static_cast<std::uint16_t>(kHeaderBytes));
  put_number(into, 12, static_cast<std::uint32_t>(into.size()));
  put_number(into, 16, identity.run);
  put_number(into, 24, identity.seed);
  put_number(into, 32, identity.offset);
  put_number(into, 40, identity.sequence);
  put_number(into, kChecksumAt, checksum_of(into));
}

Result<BlockIdentity> decode_block(std::span<const std::byte> block) {
  const auto corrupt = [](std::string what) { return fail(Errc::kCorrupt, "verify block: " + std::move(what)); };
  if (block.empty() || block.size() % kVerifySectorBytes != 0 || block.size() > kVerifyBlockBytesMax)
    return corrupt(fmt::format("{} bytes are no whole sectors", block.size()));
  if (get_number<std::uint64_t>(block, 0) != kMagic) return corrupt("no magic");
  if (const auto version = get_number<std::uint16_t>(block, 8); version != kVersion)
    return corrupt(fmt::format("version {}", version));
  if (get_number<std::uint16_t>(block, 10) != kHeaderBytes || get_number<std::uint64_t>(block, 48) != 0 ||
      get_number<std::uint32_t>(block, 60) != 0)
    return corrupt("malformed header");
  if (get_number<std::uint32_t>(block, 12) != block.size()) return corrupt("another length");
  if (get_number<std::uint32_t>(block, kChecksumAt) != checksum_of(block)) return corrupt("checksum does not match");
  BlockIdentity identity{.run = get_number<std::uint64_t>(block, 16),
                         .seed = get_number<std::uint64_t>(block, 24),
                         .offset = get_number<std::uint64_t>(block, 32),
                         .sequence = get_number<std::uint64_t>(block, 40)};
  if (identity.sequence == 0) return corrupt("sequence 0");
  return identity;
}

std::string_view name_of(BlockVerdict verdict) noexcept {
  constexpr std::array<std::string_view, 10> kNames = {"good",      "unsynced", "unwritten", "lost",  "torn",
                                                       "misplaced", "corrupt",  "foreign",   "ahead", "unreadable"};
  return kNames[static_cast<std::size_t>(verdict)];
}

bool is_failure(BlockVerdict verdict) noexcept { return verdict >= BlockVerdict::kLost; }

BlockFinding judge_block(std::span<const std::byte> block, const BlockPromise& promise) {
  if (const auto found = decode_block(block)) {
    // Even a right checksum is believed only if every byte is what it must be.
    std::vector<std::byte> made(block.size());
    encode_block(*found, made);
    if (equal(block, made)) return judge_whole(*found, promise);
  }
  return SectorJudge(block, promise).judge();
}

}  // namespace ff::bench
