#include "ffbench/faults/fault_counts.hpp"

#include <algorithm>
#include <numeric>

#include "ffbench/faults/civil_time.hpp"

namespace ff::bench {
namespace {

const std::string kOthers = "(others)";

// The entry of `key`, or that of `others` when the table is full.
template <class Map>
typename Map::mapped_type& entry(Map& map, const typename Map::key_type& key, const typename Map::key_type& others) {
  const auto at = map.find(key);
  if (at != map.end()) return at->second;
  return map[map.size() < FaultCounts::kKeysMax ? key : others];
}

std::string identity(const FaultEvent& event) {
  std::string key(fault_class_name(event.fault));
  for (const std::string* part : {&event.host, &event.device, &event.code}) key += '\0' + *part;
  return key;
}

}  // namespace

bool FaultCounts::is_duplicate(const FaultEvent& event) {
  if (window_.count() <= 0) return false;
  const auto time = event.time_ns ? event.time_ns : event.uptime_ns;
  if (!time) return false;
  if (last_seen_.size() >= kKeysMax) {
    const auto oldest = std::ranges::min_element(last_seen_, {}, [](const auto& seen) { return seen.second; });
    last_seen_.erase(oldest);
  }
  const auto [at, fresh] = last_seen_.try_emplace(identity(event), *time);
  if (fresh) return false;
  // Logs merged from several files run backwards now and then: a time before the last one is no duplicate's.
  const bool duplicate = *time >= at->second && *time - at->second < window_.count();
  at->second = *time;
  return duplicate;
}

bool FaultCounts::add(const FaultEvent& event) {
  if (event.link_up) {
    ++links_up_;
    return false;
  }
  if (is_duplicate(event)) {
    ++duplicates_;
    return false;
  }
  // Repeats that a line reports are duplicates by themselves.
  const std::uint64_t count = window_.count() > 0 ? 1 : event.repeats;
  duplicates_ += event.repeats - count;
  const auto index = static_cast<std::size_t>(event.fault);
  const std::string host = event.host.empty() ? "(unknown)" : event.host;
  const std::string day = event.time_ns ? day_text(*event.time_ns) : "(unknown)";
  total_ += count;
  by_class_[index] += count;
  entry(by_code_, {event.fault, event.number.value_or(0), event.code}, {event.fault, UINT32_MAX, kOthers}) += count;
  entry(by_device_, {host, event.device}, {kOthers, kOthers})[index] += count;
  entry(by_host_, host, kOthers)[index] += count;
  entry(by_day_, day, kOthers)[index] += count;
  return true;
}

double FaultCounts::share_percent(std::uint64_t count) const noexcept {
  return total_ == 0 ? 0.0 : 100.0 * static_cast<double>(count) / static_cast<double>(total_);
}

std::uint64_t sum(const ClassCounts& counts) noexcept {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

}  // namespace ff::bench
