// FaultCounts: sums of faults by class and code, by GPU (or other device), by host and by day, in bounded memory.
//
// Bounds   kKeysMax different keys in each of these tables; further ones count under "(others)". De-duplication
//          remembers as many faults; the one seen longest ago is forgotten first.
// Shares   Of all faults counted, in percent.
// Threads  One at a time for each object.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "ffbench/faults/fault_event.hpp"

namespace ff::bench {

using ClassCounts = std::array<std::uint64_t, kFaultClassCount>;

class FaultCounts {
 public:
  static constexpr std::size_t kKeysMax = 65'536;

  struct CodeKey {
    FaultClass fault;
    unsigned number;  // orders codes as numbers; 0 for codes that are words
    std::string code;
    auto operator<=>(const CodeKey&) const = default;
  };

  // `window` above 0 leaves out a fault when the same one (host, device, class, code) came less than that before, each
  // one seen making the window anew. Faults without any time are never left out.
  explicit FaultCounts(std::chrono::nanoseconds window = std::chrono::nanoseconds(0)) : window_(window) {}

  // False when it was a duplicate or the end of a fault (a link that came up).
  bool add(const FaultEvent& event);

  std::uint64_t total() const noexcept { return total_; }
  std::uint64_t duplicates() const noexcept { return duplicates_; }
  std::uint64_t links_up() const noexcept { return links_up_; }
  const ClassCounts& by_class() const noexcept { return by_class_; }
  const std::map<CodeKey, std::uint64_t>& by_code() const noexcept { return by_code_; }
  const std::map<std::pair<std::string, std::string>, ClassCounts>& by_device() const noexcept { return by_device_; }
  const std::map<std::string, ClassCounts>& by_host() const noexcept { return by_host_; }
  const std::map<std::string, ClassCounts>& by_day() const noexcept { return by_day_; }
  double share_percent(std::uint64_t count) const noexcept;

 private:
  bool is_duplicate(const FaultEvent& event);

  std::chrono::nanoseconds window_;
  std::uint64_t total_ = 0, duplicates_ = 0, links_up_ = 0;
  ClassCounts by_class_{};
  std::map<CodeKey, std::uint64_t> by_code_;
  std::map<std::pair<std::string, std::string>, ClassCounts> by_device_;  // host, device
  std::map<std::string, ClassCounts> by_host_, by_day_;
  std::unordered_map<std::string, std::int64_t> last_seen_;
};

std::uint64_t sum(const ClassCounts& counts) noexcept;

}  // namespace ff::bench
