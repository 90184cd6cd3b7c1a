// EtcdReadRecord: what a transaction learned of its snapshot: for keys, the revision that last changed them, and which
// ranges it has seen whole. What commits compare against.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "libcommon/kv/kv_store.hpp"

namespace ff::kv {

class EtcdReadRecord {
 public:
  // `revision` 0: absent.
  void saw(std::string key, std::int64_t revision) { seen_.insert_or_assign(std::move(key), revision); }
  // Every present key of the range was told by saw().
  void saw_all_of(KeyRange range);

  bool has_all_of(const KeyRange& range) const;
  // None: the key was not read.
  std::optional<std::int64_t> revision_of(std::string_view key) const;
  // The keys that are present, in order.
  std::vector<std::pair<std::string, std::int64_t>> present_in(const KeyRange& range) const;

 private:
  std::map<std::string, std::int64_t, std::less<>> seen_;
  std::map<std::string, std::string, std::less<>> whole_;  // begin to end; disjoint, not adjacent
};

}  // namespace ff::kv
