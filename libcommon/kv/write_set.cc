#include "libcommon/kv/write_set.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "libcommon/kv/key_range.hpp"

namespace ff::kv {

std::string StampedKey::key(Version version, std::uint16_t order) const {
  std::string key;
  key.reserve(prefix.size() + kStampBytes + suffix.size());
  key += prefix;
  for (int shift = 56; shift >= 0; shift -= 8) key.push_back(static_cast<char>(version >> shift));
  key.push_back(static_cast<char>(order >> 8));
  key.push_back(static_cast<char>(order));
  return key += suffix;
}

void WriteSet::refuse(std::string message) {
  if (!error_) error_.emplace(Errc::kInvalidArgument, std::move(message));
}

bool WriteSet::accept_key(std::string_view key, std::size_t bytes) {
  if (bytes == 0) {
    refuse("key: is empty (keys have at least one byte)");
    return false;
  }
  if (bytes > kKeyBytesMax) {
    refuse(fmt::format("key {}: {} bytes, at most {} are allowed", printable_key(key), bytes, kKeyBytesMax));
    return false;
  }
  return true;
}

void WriteSet::set(std::string key, std::string value) {
  if (!accept_key(key, key.size())) return;
  PointWrite& write = points_[std::move(key)];
  write.kind = PointWrite::Kind::kSet;
  write.value = std::move(value);
  write.atomics.clear();
}

void WriteSet::clear(std::string key) {
  if (!accept_key(key, key.size())) return;
  PointWrite& write = points_[std::move(key)];
  write = PointWrite{.kind = PointWrite::Kind::kClear, .value = {}, .atomics = {}};
}

void WriteSet::clear_range(KeyRange range) {
  if (range.begin.size() > kKeyBytesMax + 1 || range.end.size() > kKeyBytesMax + 1) {
    return refuse(
        fmt::format("range from {}: its bounds have at most {} bytes", printable_key(range.begin), kKeyBytesMax + 1));
  }
  if (is_empty(range)) return;
  points_.erase(points_.lower_bound(range.begin), range.end.empty() ? points_.end() : points_.lower_bound(range.end));

  // Swallow every cleared range that overlaps or adjoins.
  auto first = cleared_.upper_bound(range.begin);
  if (first != cleared_.begin()) {
    const auto before = std::prev(first);
    if (before->second.empty() || before->second >= range.begin) first = before;
  }
  while (first != cleared_.end() && (range.end.empty() || first->first <= range.end)) {
    range.begin = std::min(range.begin, first->first);
    range.end = range.end.empty() || first->second.empty() ? std::string() : std::max(range.end, first->second);
    first = cleared_.erase(first);
  }
  cleared_.emplace(std::move(range.begin), std::move(range.end));
}

void WriteSet::atomic(Atomic operation, std::string key, std::uint64_t operand) {
  if (!accept_key(key, key.size())) return;
  const AtomicOperation step{operation, operand};
  auto found = points_.find(key);
  // Over a value that is known already, the result is too: a plain set.
  std::optional<std::string_view> known;
  if (found != points_.end()) {
    if (found->second.kind == PointWrite::Kind::kAtomic) {
      found->second.atomics.push_back(step);
      return;
    }
    if (found->second.kind == PointWrite::Kind::kSet) known = found->second.value;
  } else if (!is_cleared(key)) {
    points_[std::move(key)] = PointWrite{.kind = PointWrite::Kind::kAtomic, .value = {}, .atomics = {step}};
    return;
  }
  auto number = decode_counter(key, known);
  if (!number) return refuse(number.error().message());
  set(std::move(key), encode_counter(apply_atomic(*number, step)));
}

void WriteSet::stamp(std::string prefix, std::string suffix, std::string value) {
  if (!accept_key(prefix, prefix.size() + kStampBytes + suffix.size())) return;
  if (stamped_.size() >= kStampedKeysMax) {
    return refuse(fmt::format("transaction: more than {} versionstamped keys (use several)", kStampedKeysMax));
  }
  stamped_.push_back({std::move(prefix), std::move(suffix), std::move(value)});
}

std::size_t WriteSet::bytes() const noexcept {
  std::size_t total = 0;
  for (const auto& [key, write] : points_) {
    total += key.size() + (write.kind == PointWrite::Kind::kAtomic ? 8 : write.value.size());
  }
  for (const auto& [begin, end] : cleared_) total += begin.size() + end.size();
  for (const StampedKey& key : stamped_)
    total += key.prefix.size() + kStampBytes + key.suffix.size() + key.value.size();
  return total;
}

const PointWrite* WriteSet::find(std::string_view key) const {
  const auto found = points_.find(key);
  return found == points_.end() ? nullptr : &found->second;
}

bool WriteSet::is_cleared(std::string_view key) const {
  auto after = cleared_.upper_bound(key);
  return after != cleared_.begin() && before_end(key, std::prev(after)->second);
}

bool WriteSet::touches(const KeyRange& range) const {
  const auto point = points_.lower_bound(range.begin);
  if (point != points_.end() && before_end(point->first, range.end)) return true;
  auto after = cleared_.upper_bound(range.begin);
  if (after != cleared_.end() && before_end(after->first, range.end)) return true;
  return after != cleared_.begin() && before_end(range.begin, std::prev(after)->second);
}

Result<> WriteSet::check(const Limits& limits, std::size_t read_conflicts) const {
  if (error_) return std::unexpected(*error_);
  const auto check_value = [&](std::string_view key, std::size_t bytes) -> Result<> {
    if (bytes <= limits.value_bytes_max) return {};
    return fail(Errc::kInvalidArgument,
                fmt::format("key {}: a value of {} bytes, at most {} are allowed (split it over several keys)",
                            printable_key(key), bytes, limits.value_bytes_max));
  };
  for (const auto& [key, write] : points_) FF_TRY(check_value(key, write.value.size()));
  for (const StampedKey& key : stamped_) FF_TRY(check_value(key.prefix, key.value.size()));
  if (const std::size_t total = bytes(); total > limits.transaction_bytes_max) {
    return fail(Errc::kExhausted, fmt::format("transaction: writes {} bytes of keys and values, at most {} are allowed "
                                              "(split it into several that are each consistent)",
                                              total, limits.transaction_bytes_max));
  }
  const std::size_t all = operations() + read_conflicts;
  if (limits.transaction_operations_max != 0 && all > limits.transaction_operations_max) {
    return fail(Errc::kExhausted, fmt::format("transaction: {} writes and read conflicts, at most {} are allowed "
                                              "(split it into several that are each consistent)",
                                              all, limits.transaction_operations_max));
  }
  return {};
}

Result<std::vector<KeyValue>> overlay(const WriteSet& writes, const KeyRange& covered, std::vector<KeyValue> page,
                                      bool reverse) {
  if (reverse) std::ranges::reverse(page);
  std::vector<KeyValue> out;
  out.reserve(page.size());
  auto base = page.begin();
  const auto keep_base_before = [&](const std::string* key) {
    for (; base != page.end() && (key == nullptr || base->key < *key); ++base) {
      if (!writes.is_cleared(base->key)) out.push_back(std::move(*base));
    }
  };
  for (auto write = writes.points().lower_bound(covered.begin);
       write != writes.points().end() && before_end(write->first, covered.end); ++write) {
    const auto& [key, what] = *write;
    keep_base_before(&key);
    std::optional<std::string_view> under;
    if (base != page.end() && base->key == key) under = base++->value;
    if (what.kind == PointWrite::Kind::kSet) out.push_back({key, what.value});
    if (what.kind == PointWrite::Kind::kAtomic) {
      FF_TRY_ASSIGN(std::string value, apply_atomics(key, under, what.atomics));
      out.push_back({key, std::move(value)});
    }
  }
  keep_base_before(nullptr);
  if (reverse) std::ranges::reverse(out);
  return out;
}

}  // namespace ff::kv
