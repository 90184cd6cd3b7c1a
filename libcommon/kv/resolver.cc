#include "libcommon/kv/resolver.hpp"

#include <algorithm>

#include "libcommon/kv/key_range.hpp"

namespace ff::kv {

Resolver::Verdict Resolver::check(Version snapshot, const ReadSet& reads) const {
  if (reads.empty()) return Verdict::kCommit;
  if (snapshot < floor_) return Verdict::kTooOld;
  const bool conflict =
      std::ranges::any_of(reads.points, [&](const std::string& key) { return point_changed(key, snapshot); }) ||
      std::ranges::any_of(reads.ranges, [&](const KeyRange& range) { return range_changed(range, snapshot); });
  return conflict ? Verdict::kConflict : Verdict::kCommit;
}

bool Resolver::changed_since(const KeyRange& range, Version version) const {
  if (is_empty(range) || version >= last_) return false;
  return version < floor_ || range_changed(range, version);
}

Version Resolver::step_at(std::string_view key) const { return std::prev(steps_.upper_bound(key))->second; }

bool Resolver::point_changed(std::string_view key, Version since) const {
  const auto point = points_.find(key);
  return (point != points_.end() && point->second > since) || (!range_order_.empty() && step_at(key) > since);
}

bool Resolver::range_changed(const KeyRange& range, Version since) const {
  for (auto at = points_.lower_bound(range.begin); at != points_.end() && before_end(at->first, range.end); ++at) {
    if (at->second > since) return true;
  }
  for (auto at = std::prev(steps_.upper_bound(range.begin)); at != steps_.end() && before_end(at->first, range.end);
       ++at) {
    if (at->second > since) return true;
  }
  return false;
}

void Resolver::wrote(std::string_view key, Version version) {
  if (version <= floor_) return;
  auto at = points_.lower_bound(key);
  if (at == points_.end() || at->first != key) {
    at = points_.emplace_hint(at, key, version);
  } else {
    if (at->second == version) return;  // one record for each version of a key
    at->second = version;
  }
  point_order_.push_back({version, at});
  key_bytes_ += key.size();
  trim();
}

void Resolver::wrote(const KeyRange& range, Version version) {
  if (version <= floor_) return;
  // Cut the steps at both ends, then replace what lies between.
  if (!range.end.empty()) steps_.emplace(range.end, step_at(range.end));
  const auto first = steps_.lower_bound(range.begin);
  const auto last = range.end.empty() ? steps_.end() : steps_.find(range.end);
  steps_.erase(first, last);
  steps_.emplace(range.begin, version);
  range_order_.push_back({version, range});
  key_bytes_ += range.begin.size() + range.end.size();
  trim();
}

void Resolver::forget_range(const RangeRecord& record) {
  auto at = std::prev(steps_.upper_bound(record.range.begin));
  while (at != steps_.end() && before_end(at->first, record.range.end)) {
    if (at->second == record.version) at->second = 0;
    const auto next = std::next(at);
    if (at != steps_.begin() && std::prev(at)->second == at->second) steps_.erase(at);
    at = next;
  }
  if (at != steps_.end() && at != steps_.begin() && std::prev(at)->second == at->second) steps_.erase(at);
}

void Resolver::forget_before(Version version) {
  if (version <= floor_) return;
  floor_ = version;
  // A snapshot at the floor sees the commit of the same version, so what that wrote cannot conflict either.
  while (!point_order_.empty() && point_order_.front().version <= floor_) {
    const auto& [written, at] = point_order_.front();
    key_bytes_ -= at->first.size();
    if (at->second == written) points_.erase(at);  // else a later record speaks for it
    point_order_.pop_front();
  }
  while (!range_order_.empty() && range_order_.front().version <= floor_) {
    const RangeRecord& oldest = range_order_.front();
    key_bytes_ -= oldest.range.begin.size() + oldest.range.end.size();
    forget_range(oldest);
    range_order_.pop_front();
  }
}

void Resolver::trim() {
  while (entries() > entries_max_ || key_bytes_ > key_bytes_max_) {
    Version oldest = last_;
    if (!point_order_.empty()) oldest = std::min(oldest, point_order_.front().version);
    if (!range_order_.empty()) oldest = std::min(oldest, range_order_.front().version);
    forget_before(oldest);
  }
}

}  // namespace ff::kv
