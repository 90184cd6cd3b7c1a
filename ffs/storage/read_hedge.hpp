// ReadHedge: when a read that got no answer is asked of another replica as well. A slow replica (a paused process, a
// disk that recovers a sector) then costs a client milliseconds, not the attempt's timeout; a bound on the share of
// reads that are asked twice keeps an overloaded cluster from getting twice the load.
//
// Source   Dean and Barroso, "The Tail at Scale", CACM 2013: a second request after the 95th percentile.
// Threads  One.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "libcommon/runtime/time.hpp"

namespace ff::ffs {

struct ReadHedgeOptions {
  bool enabled = true;
  runtime::Duration least = std::chrono::milliseconds(5);    // below it a second request costs more than it saves
  runtime::Duration first = std::chrono::milliseconds(100);  // as long as too few reads were measured
  double percentile = 0.95;
  double factor = 2;       // of that percentile
  std::size_t share = 20;  // one hedge for so many reads, and
  std::size_t burst = 8;   // so many that were not used before
};

class ReadHedge {
 public:
  explicit ReadHedge(const ReadHedgeOptions& options) : options_(options), tokens_(options.burst * options.share) {}

  // A read of `bytes` was answered after so long.
  void answered(std::size_t bytes, runtime::Duration after) {
    Class& of = classes_[class_of(bytes)];
    of.latest[of.next] = after;
    of.next = (of.next + 1) % kLatest;
    of.filled = std::min(of.filled + 1, kLatest);
    // Not at each read: sorting is dearer than recording.
    if (of.next % kEvery == 0) of.delay = delay_of(of);
    tokens_ = std::min(tokens_ + 1, options_.burst * options_.share);
  }
  // How long to wait for an answer before another replica is asked.
  runtime::Duration delay(std::size_t bytes) const noexcept {
    return classes_[class_of(bytes)].delay.value_or(options_.first);
  }
  // Whether another replica may be asked now; counts it.
  bool take() noexcept {
    if (!options_.enabled || tokens_ < options_.share) return false;
    tokens_ -= options_.share;
    ++hedges_;
    return true;
  }
  std::uint64_t hedges() const noexcept { return hedges_; }

 private:
  static constexpr std::size_t kLatest = 128, kEvery = 32;
  struct Class {
    std::array<runtime::Duration, kLatest> latest{};
    std::size_t next = 0, filled = 0;
    std::optional<runtime::Duration> delay;
  };
  // Up to 64 KiB, up to 1 MiB, more: their times have nothing in common.
  static std::size_t class_of(std::size_t bytes) noexcept { return bytes <= 64u << 10 ? 0 : bytes <= 1u << 20 ? 1 : 2; }
  runtime::Duration delay_of(const Class& of) const {
    std::vector<runtime::Duration> sorted(of.latest.begin(),
                                          of.latest.begin() + static_cast<std::ptrdiff_t>(of.filled));
    const auto at = static_cast<std::size_t>(options_.percentile * static_cast<double>(sorted.size() - 1));
    std::ranges::nth_element(sorted, sorted.begin() + static_cast<std::ptrdiff_t>(at));
    const double nanoseconds = static_cast<double>(sorted[at].count()) * options_.factor;
    return std::max(options_.least, runtime::Duration(static_cast<runtime::Duration::rep>(nanoseconds)));
  }

  const ReadHedgeOptions options_;
  std::array<Class, 3> classes_;
  std::size_t tokens_;
  std::uint64_t hedges_ = 0;
};

}  // namespace ff::ffs
