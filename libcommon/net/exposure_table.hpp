// The local memory that the peer of one connection may reach, by region. Region keys are random 64-bit numbers: who was
// not told one cannot guess it. Every segment is checked for region, access and range.
//
// Threads  One Env's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>

#include "libcommon/base/result.hpp"
#include "libcommon/net/network.hpp"
#include "libcommon/net/uses.hpp"

namespace ff::net {

// The bytes of a region that have arrived, as ranges, so that what is sent twice counts once.
class ArrivedRanges {
 public:
  // Ranges kept apart at most: beyond them, bytes that touch none of the known ranges are not counted.
  static constexpr std::size_t kRangesMax = 4096;
  void add(std::uint64_t begin, std::uint64_t end);
  std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  std::map<std::uint64_t, std::uint64_t> ranges_;  // begin → end; apart, not touching
  std::uint64_t bytes_ = 0;
};

// One exposed range; kept alive by its Exposure and by the lanes that work on it.
struct Region {
  std::uint64_t key = 0;
  std::span<std::byte> memory;
  Access access = Access::kBoth;
  Uses uses;  // kernel operations under way in `memory`
  ArrivedRanges arrived;
};

class ExposureTable {
 public:
  // Null when the key is taken: draw another. `key` is random and not 0.
  std::shared_ptr<Region> add(std::uint64_t key, std::span<std::byte> memory, Access access);
  // The peer cannot reach it from now on. Idempotent.
  void remove(const Region& region) noexcept;
  // kNotFound: no such region (any more). kPermission: not for this. kInvalidArgument: out of its range.
  // REQUIRES: offset + bytes does not overflow (the frame decoder refuses that).
  Result<std::shared_ptr<Region>> find(std::uint64_t key, std::uint64_t offset, std::uint64_t bytes, Access need) const;

 private:
  std::unordered_map<std::uint64_t, std::shared_ptr<Region>> regions_;
};

}  // namespace ff::net
