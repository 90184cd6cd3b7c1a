#include "hfreduce/net/choose.hpp"

#include <algorithm>

namespace ff::hfreduce::net {
namespace {

constexpr std::uint64_t kKi = 1024;
constexpr std::uint64_t kFlatBytesMax = 32 * kKi;  // to all peers together
constexpr int kFlatRanksMax = 3;
constexpr std::uint64_t kDoublingBytesMax = 64 * kKi;  // up to kDirectRanksMax ranks; measured, see PERFORMANCE.md
constexpr int kDirectRanksMax = 16;
constexpr std::uint64_t kDoublingBytesMaxMany = 256 * kKi;  // beyond
constexpr std::uint64_t kChunkSmall = 32 * kKi, kChunkLarge = 256 * kKi;
constexpr std::uint64_t kChunkTiny = 4 * kKi;
constexpr std::uint64_t kOwnerScratch = 32 * kKi * kKi;  // of one slot of direct: a chunk from every rank
constexpr std::uint64_t kFrameWhole = 1024 * kKi;        // of the algorithms that send whole messages
constexpr std::uint64_t kChannelBytesMin = 256 * kKi;    // below, a further channel costs more than it brings

bool has_one_message(Collective kind) noexcept {
  return kind == Collective::kAllReduce || kind == Collective::kReduce || kind == Collective::kBroadcast;
}

bool supports(NetAlgorithm algorithm, Collective kind) noexcept {
  switch (algorithm) {
    case NetAlgorithm::kFlat:
    case NetAlgorithm::kRing: return kind == Collective::kAllReduce;
    case NetAlgorithm::kRecursiveDoubling:
    case NetAlgorithm::kTree: return has_one_message(kind);
    case NetAlgorithm::kDirect:
    case NetAlgorithm::kAuto: return true;
  }
  return false;
}

// Broadcast combines nothing, so any way of moving it gives the same bits.
bool has_pairwise_order(NetAlgorithm algorithm, Collective kind) noexcept {
  return kind == Collective::kBroadcast || (algorithm != NetAlgorithm::kTree && algorithm != NetAlgorithm::kRing);
}

std::uint64_t round_up(std::uint64_t bytes) noexcept { return std::max<std::uint64_t>(64, (bytes + 63) / 64 * 64); }

std::uint64_t divide_up(std::uint64_t a, std::uint64_t b) noexcept { return (a + b - 1) / b; }

// Parts of about `bytes / owners` each in four chunks or more, of a size between small and `large`; equal for all
// owners.
std::uint64_t balanced_chunk(std::uint64_t bytes, std::uint64_t owners, std::uint64_t large) noexcept {
  const std::uint64_t part = divide_up(bytes, owners);
  const std::uint64_t wanted = std::clamp(part / 4, std::min(kChunkSmall, large), large);
  return round_up(divide_up(part, divide_up(std::max<std::uint64_t>(part, 1), wanted)));
}

}  // namespace

NetAlgorithm choose_algorithm(const NetOptions& options, Collective kind, std::uint64_t bytes) noexcept {
  const int n = options.size;
  if (n == 1 || !has_one_message(kind)) return NetAlgorithm::kDirect;
  if (options.algorithm != NetAlgorithm::kAuto) {
    const bool allowed = !options.deterministic || has_pairwise_order(options.algorithm, kind);
    return allowed && supports(options.algorithm, kind) ? options.algorithm : NetAlgorithm::kDirect;
  }
  const bool all_reduce = kind == Collective::kAllReduce;
  if (all_reduce && n <= kFlatRanksMax && bytes * static_cast<std::uint64_t>(n - 1) <= kFlatBytesMax)
    return NetAlgorithm::kFlat;
  if (n <= kDirectRanksMax)
    return bytes <= kDoublingBytesMax && n > 2 ? NetAlgorithm::kRecursiveDoubling : NetAlgorithm::kDirect;
  if (bytes <= kDoublingBytesMaxMany) return NetAlgorithm::kRecursiveDoubling;
  const bool may_tree = !options.deterministic || has_pairwise_order(NetAlgorithm::kTree, kind);
  return may_tree ? NetAlgorithm::kTree : NetAlgorithm::kDirect;
}

std::uint64_t choose_chunk(const NetOptions& options, NetAlgorithm algorithm, Collective kind,
                           std::uint64_t bytes) noexcept {
  if (options.chunk_bytes != 0) return std::min(kChunkBytesMax, round_up(options.chunk_bytes));
  const auto n = static_cast<std::uint64_t>(options.size);
  switch (algorithm) {
    case NetAlgorithm::kFlat:
    case NetAlgorithm::kRecursiveDoubling: return kFrameWhole;
    case NetAlgorithm::kTree: return round_up(std::clamp(bytes / 16, kChunkSmall / 2, kChunkLarge));
    case NetAlgorithm::kAuto:
    case NetAlgorithm::kDirect:
      return balanced_chunk(bytes, kind == Collective::kAllReduce ? n : 1,
                            std::clamp(kOwnerScratch / n, kChunkTiny, kChunkLarge));
    case NetAlgorithm::kRing: return balanced_chunk(bytes, n, kChunkLarge);
  }
  return kChunkLarge;
}

int choose_channels(const NetOptions& options, NetAlgorithm algorithm, std::uint64_t bytes, bool gated) noexcept {
  if (gated || algorithm == NetAlgorithm::kFlat || algorithm == NetAlgorithm::kRecursiveDoubling) return 1;
  const std::uint64_t worth = std::max<std::uint64_t>(1, bytes / kChannelBytesMin);
  return static_cast<int>(std::min<std::uint64_t>(worth, static_cast<std::uint64_t>(options.channels)));
}

}  // namespace ff::hfreduce::net
