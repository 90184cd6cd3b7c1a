#include "libcommon/kv/lease_rules.hpp"

#include <fmt/core.h>

#include <chrono>

namespace ff::kv {

Result<> check_lease_arguments(const std::string& name, const std::string& holder, runtime::Duration ttl) {
  if (name.empty() || name.size() > kLeaseNameBytesMax) {
    return fail(Errc::kInvalidArgument,
                fmt::format("lease: a name of {} bytes (1 to {} are allowed)", name.size(), kLeaseNameBytesMax));
  }
  if (holder.size() > kLeaseHolderBytesMax) {
    return fail(Errc::kInvalidArgument, fmt::format("lease '{}': a holder of {} bytes (at most {} are allowed)", name,
                                                    holder.size(), kLeaseHolderBytesMax));
  }
  if (ttl < std::chrono::seconds(1)) {
    return fail(Errc::kInvalidArgument,
                fmt::format("lease '{}': a time to live of {} ms (at least 1 s is needed)", name,
                            std::chrono::duration_cast<std::chrono::milliseconds>(ttl).count()));
  }
  return {};
}

Error lease_lost_error(const std::string& name) {
  return {Errc::kUnavailable, fmt::format("lease '{}': is not held any more (acquire it again)", name)};
}

}  // namespace ff::kv
