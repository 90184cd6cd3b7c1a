#include "libcommon/rpc/retry.hpp"

#include <algorithm>

namespace ff::rpc {

bool may_retry(const Failure& failure, Repeatable repeatable) noexcept {
  const bool passes =
      failure.code == Errc::kUnavailable || failure.code == Errc::kExhausted || failure.code == Errc::kTimeout;
  return passes && (!failure.may_have_run || repeatable.by_method || repeatable.by_key);
}

runtime::Duration backoff(Rng& rng, std::uint32_t failures, runtime::Duration base, runtime::Duration most) noexcept {
  const auto doublings = std::min<std::uint32_t>(failures - 1, 20);
  const std::int64_t whole = std::min(most.count(), base.count() << doublings);
  const std::int64_t half = whole / 2;
  return runtime::Duration(half + static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(whole - half) + 1)));
}

}  // namespace ff::rpc
