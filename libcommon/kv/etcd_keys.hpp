// Where a store's keys lie in etcd. All of a store begin with its prefix and a zero byte, which no prefix contains, so
// that no store's keys lie among another's; then a letter:
//
//   k KEY     a key of the store; the order of keys is kept
//   d         marker: a range was cleared that spans several two-byte beginnings
//   d XY      marker: keys beginning with XY (or of that one byte) were removed; see etcd_commit.hpp
//   l NAME    a lease, held while it is there
//   s         put by every commit with versionstamps
#pragma once

#include <string>
#include <string_view>

#include "libcommon/kv/kv_store.hpp"

namespace ff::kv {

// In etcd's words: [key, range_end).
struct EtcdRange {
  std::string key;
  std::string range_end;
  friend bool operator==(const EtcdRange&, const EtcdRange&) = default;
};

class EtcdKeys {
 public:
  explicit EtcdKeys(const std::string& prefix) : base_(prefix + '\0') {}

  std::string data(std::string_view key) const { return named('k', key); }
  EtcdRange data(const KeyRange& range) const;
  // REQUIRES: `stored` is of this store's data.
  std::string_view logical(std::string_view stored) const { return stored.substr(base_.size() + 1); }

  // The marker to put when a key, or a range, is removed.
  std::string marker_of(std::string_view key) const { return named('d', key.substr(0, kMarkedBytes)); }
  std::string marker_of(const KeyRange& range) const;
  std::string wide_marker() const { return named('d', {}); }
  // All the markers of keys in the range, without the wide one.
  EtcdRange markers_of(const KeyRange& range) const;

  std::string lease(std::string_view name) const { return named('l', name); }
  std::string stamps() const { return named('s', {}); }

 private:
  static constexpr std::size_t kMarkedBytes = 2;
  std::string named(char kind, std::string_view rest) const {
    std::string key;
    key.reserve(base_.size() + 1 + rest.size());
    return key.append(base_).append(1, kind).append(rest);
  }
  std::string base_;
};

}  // namespace ff::kv
