// Resolver: decides whether a transaction may commit, given the version of its snapshot and what it read, by
// remembering what was written lately: for each key, and for ranges that were cleared, the version of the last commit
// that wrote it.
//
// Window     forget_before() drops what no running transaction can ask for; bounds of entries and of their keys' bytes
//            hold whatever happens, and then a snapshot older than the window cannot be judged any more: kTooOld, which
//            is a conflict.
// Cost       O(log n) a point; a range read costs one step for each recent write inside it.
// Threads    One at a time. Pure: no clock, no I/O.
// Source     FoundationDB's resolvers (Zhou et al., SIGMOD 2021, section 2.4.2), with points kept apart from ranges.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "libcommon/kv/kv_store.hpp"

namespace ff::kv {

// What a transaction read in conflicting mode.
struct ReadSet {
  std::vector<std::string> points;
  std::vector<KeyRange> ranges;  // none empty
  bool empty() const noexcept { return points.empty() && ranges.empty(); }
  std::size_t size() const noexcept { return points.size() + ranges.size(); }
};

class Resolver {
 public:
  enum class Verdict : std::uint8_t { kCommit, kConflict, kTooOld };

  // `last` is the last version that was ever given; snapshots older than it are too old from the start.
  explicit Resolver(Version last, std::size_t entries_max = 1u << 20, std::size_t key_bytes_max = 64u << 20)
      : last_(last), floor_(last), entries_max_(entries_max), key_bytes_max_(key_bytes_max) {}

  Verdict check(Version snapshot, const ReadSet& reads) const;
  // The version of the next commit. Versions grow by one.
  Version next() noexcept { return ++last_; }
  Version last() const noexcept { return last_; }

  // What commit `version` wrote; nothing is remembered of a commit that the floor has passed, as it does in the middle
  // of one that is larger than the bounds. REQUIRES: versions in order, none above last(); the range is not empty.
  void wrote(std::string_view key, Version version);
  void wrote(const KeyRange& range, Version version);

  // Whether something in the range was written after `version`; true also where that is no longer known.
  bool changed_since(const KeyRange& range, Version version) const;

  // Nobody will ask about snapshots below `version` any more.
  void forget_before(Version version);
  // The oldest snapshot that can be judged.
  Version floor() const noexcept { return floor_; }
  std::size_t entries() const noexcept { return point_order_.size() + range_order_.size(); }
  std::size_t key_bytes() const noexcept { return key_bytes_; }

 private:
  using Points = std::map<std::string, Version, std::less<>>;
  using Steps = std::map<std::string, Version, std::less<>>;  // from this key to the next one; 0: never

  struct PointRecord {
    Version version;
    Points::iterator at;  // valid as long as a record of it is here
  };
  struct RangeRecord {
    Version version;
    KeyRange range;
  };

  bool point_changed(std::string_view key, Version since) const;
  bool range_changed(const KeyRange& range, Version since) const;
  Version step_at(std::string_view key) const;
  void forget_range(const RangeRecord& record);
  void trim();

  Version last_;
  Version floor_;
  std::size_t entries_max_;
  std::size_t key_bytes_max_;
  std::size_t key_bytes_ = 0;  // of the records
  Points points_;
  Steps steps_{{std::string(), 0}};
  std::deque<PointRecord> point_order_;
  std::deque<RangeRecord> range_order_;
};

}  // namespace ff::kv
