#include "libcommon/kv/etcd_read_record.hpp"

#include <algorithm>

#include "libcommon/kv/key_range.hpp"

namespace ff::kv {

void EtcdReadRecord::saw_all_of(KeyRange range) {
  if (is_empty(range)) return;
  auto at = whole_.upper_bound(range.begin);
  if (at != whole_.begin()) {
    const auto before = std::prev(at);
    if (before->second.empty() || before->second >= range.begin) at = before;
  }
  while (at != whole_.end() && (range.end.empty() || at->first <= range.end)) {
    range.begin = std::min(range.begin, at->first);
    range.end = range.end.empty() || at->second.empty() ? std::string() : std::max(range.end, at->second);
    at = whole_.erase(at);
  }
  whole_.emplace(std::move(range.begin), std::move(range.end));
}

bool EtcdReadRecord::has_all_of(const KeyRange& range) const {
  const auto after = whole_.upper_bound(range.begin);
  if (after == whole_.begin()) return false;
  const std::string& end = std::prev(after)->second;
  return end.empty() || (!range.end.empty() && range.end <= end);
}

std::optional<std::int64_t> EtcdReadRecord::revision_of(std::string_view key) const {
  const auto found = seen_.find(key);
  return found == seen_.end() ? std::nullopt : std::optional(found->second);
}

std::vector<std::pair<std::string, std::int64_t>> EtcdReadRecord::present_in(const KeyRange& range) const {
  std::vector<std::pair<std::string, std::int64_t>> present;
  for (auto at = seen_.lower_bound(range.begin); at != seen_.end() && before_end(at->first, range.end); ++at) {
    if (at->second != 0) present.emplace_back(at->first, at->second);
  }
  return present;
}

}  // namespace ff::kv
