// WriteSet: what a transaction has buffered, reduced to what matters in the end: disjoint cleared ranges, one write a
// key on top of them, and the keys that wait for their versionstamp. Engines apply it in that order; reads of the
// transaction look through it.
//
// Threads  One at a time.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libcommon/kv/atomic.hpp"
#include "libcommon/kv/kv_store.hpp"

namespace ff::kv {

inline constexpr std::size_t kStampBytes = 10;
// Of one transaction: the order within a commit has two bytes.
inline constexpr std::size_t kStampedKeysMax = 65536;

struct PointWrite {
  enum class Kind : std::uint8_t { kSet, kClear, kAtomic };
  Kind kind = Kind::kSet;
  std::string value;                     // kSet
  std::vector<AtomicOperation> atomics;  // kAtomic: over the value that is there at commit
};

struct StampedKey {
  std::string prefix;
  std::string suffix;
  std::string value;
  std::string key(Version version, std::uint16_t order) const;
};

class WriteSet {
 public:
  using Points = std::map<std::string, PointWrite, std::less<>>;
  using Ranges = std::map<std::string, std::string, std::less<>>;  // begin to end; disjoint, not adjacent

  // Bad arguments are remembered for check().
  void set(std::string key, std::string value);
  void clear(std::string key);
  void clear_range(KeyRange range);
  void atomic(Atomic operation, std::string key, std::uint64_t operand);
  void stamp(std::string prefix, std::string suffix, std::string value);

  const Points& points() const noexcept { return points_; }
  const Ranges& cleared() const noexcept { return cleared_; }
  const std::vector<StampedKey>& stamped() const noexcept { return stamped_; }
  bool empty() const noexcept { return points_.empty() && cleared_.empty() && stamped_.empty() && !error_; }
  // Keys and values.
  std::size_t bytes() const noexcept;
  std::size_t operations() const noexcept { return points_.size() + cleared_.size() + stamped_.size(); }
  // Null when no single write of `key` is here.
  const PointWrite* find(std::string_view key) const;
  bool is_cleared(std::string_view key) const;
  // Whether a read of the range could see any of it.
  bool touches(const KeyRange& range) const;

  // The first bad argument (kInvalidArgument), or what is beyond the limits (kExhausted, kInvalidArgument).
  // `read_conflicts` count as operations.
  Result<> check(const Limits& limits, std::size_t read_conflicts) const;

 private:
  bool accept_key(std::string_view key, std::size_t bytes);
  void refuse(std::string message);

  Points points_;
  Ranges cleared_;
  std::vector<StampedKey> stamped_;
  std::optional<Error> error_;
};

// Shows the pairs of a snapshot as they are after the writes. `page` holds the pairs of `covered` in the snapshot, in
// order (descending when `reverse`); the result is in the same order. kInvalidArgument: an atomic over a bad value.
Result<std::vector<KeyValue>> overlay(const WriteSet& writes, const KeyRange& covered, std::vector<KeyValue> page,
                                      bool reverse);

}  // namespace ff::kv
