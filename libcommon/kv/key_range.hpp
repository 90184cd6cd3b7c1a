// Arithmetic of keys and half-open ranges, as kv_store.hpp defines them: unsigned bytes, an empty end is "no end".
#pragma once

#include <string>
#include <string_view>

#include "libcommon/kv/kv_store.hpp"

namespace ff::kv {

// The smallest key greater than `key`.
inline std::string key_after(std::string_view key) {
  std::string after;
  after.reserve(key.size() + 1);
  after.append(key).push_back('\0');
  return after;
}

inline KeyRange point_range(std::string_view key) { return {std::string(key), key_after(key)}; }

// Is `key` before the end `end`, which may be "no end"?
inline bool before_end(std::string_view key, std::string_view end) { return end.empty() || key < end; }

inline bool contains(const KeyRange& range, std::string_view key) {
  return key >= range.begin && before_end(key, range.end);
}

inline bool is_empty(const KeyRange& range) { return !range.end.empty() && range.begin >= range.end; }

// REQUIRES: neither is empty.
inline bool overlaps(const KeyRange& a, const KeyRange& b) {
  return before_end(a.begin, b.end) && before_end(b.begin, a.end);
}

// For messages: printable, at most some 60 characters.
std::string printable_key(std::string_view key);

}  // namespace ff::kv
