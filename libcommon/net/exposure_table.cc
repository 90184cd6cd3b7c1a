#include "libcommon/net/exposure_table.hpp"

#include <fmt/core.h>

#include <iterator>

namespace ff::net {

void ArrivedRanges::add(std::uint64_t begin, std::uint64_t end) {
  if (begin >= end) return;
  // The first range that touches [begin, end): the one before it, if it reaches so far.
  auto at = ranges_.upper_bound(begin);
  if (at != ranges_.begin() && std::prev(at)->second >= begin) --at;
  const bool touches = at != ranges_.end() && at->first <= end;
  if (!touches && ranges_.size() >= kRangesMax) return;
  while (at != ranges_.end() && at->first <= end) {
    begin = std::min(begin, at->first);
    end = std::max(end, at->second);
    bytes_ -= at->second - at->first;
    at = ranges_.erase(at);
  }
  ranges_.emplace_hint(at, begin, end);
  bytes_ += end - begin;
}

std::shared_ptr<Region> ExposureTable::add(std::uint64_t key, std::span<std::byte> memory, Access access) {
  auto [at, added] = regions_.try_emplace(key);
  if (!added) return nullptr;
  at->second = std::make_shared<Region>();
  at->second->key = key;
  at->second->memory = memory;
  at->second->access = access;
  return at->second;
}

void ExposureTable::remove(const Region& region) noexcept {
  const auto at = regions_.find(region.key);
  if (at != regions_.end() && at->second.get() == &region) regions_.erase(at);
}

Result<std::shared_ptr<Region>> ExposureTable::find(std::uint64_t key, std::uint64_t offset, std::uint64_t bytes,
                                                    Access need) const {
  const auto at = regions_.find(key);
  if (at == regions_.end()) return fail(Errc::kNotFound, "region: not exposed to this peer, or revoked");
  const Region& region = *at->second;
  if ((static_cast<unsigned>(region.access) & static_cast<unsigned>(need)) == 0)
    return fail(Errc::kPermission,
                fmt::format("region: exposed, but not for {}", need == Access::kPull ? "pull" : "push"));
  if (offset > region.memory.size() || bytes > region.memory.size() - offset)
    return fail(Errc::kInvalidArgument, fmt::format("region: {} bytes at offset {} are beyond its {} bytes", bytes,
                                                    offset, region.memory.size()));
  return at->second;
}

}  // namespace ff::net
