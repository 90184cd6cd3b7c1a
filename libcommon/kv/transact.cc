#include "libcommon/kv/transact.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace ff::kv::detail {

runtime::Duration backoff(Rng& rng, unsigned attempt) noexcept {
  constexpr std::uint64_t kFirstNs = 1'000'000;
  const std::uint64_t bound = kFirstNs << std::min(attempt, 7U);  // at most 128 ms
  return runtime::Duration(rng.below(bound));
}

Error gave_up(Error why, unsigned conflicts, bool maybe_committed) {
  if (maybe_committed) return std::move(why).context("transaction: an earlier attempt may have been committed");
  if (conflicts == 0) return why;
  return std::move(why).context(fmt::format("transaction: conflicted {} times", conflicts));
}

Error outcome_unknown() {
  return {Errc::kUnavailable,
          "transaction: outcome unknown, it may have been committed (read what it would have written, or make it "
          "harmless to repeat and retry)"};
}

}  // namespace ff::kv::detail
