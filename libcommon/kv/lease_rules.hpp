// What every engine demands of a lease's arguments, and what is said of one that was lost.
#pragma once

#include <string>

#include "libcommon/base/result.hpp"
#include "libcommon/runtime/time.hpp"

namespace ff::kv {

inline constexpr std::size_t kLeaseNameBytesMax = 256;
inline constexpr std::size_t kLeaseHolderBytesMax = 4096;

Result<> check_lease_arguments(const std::string& name, const std::string& holder, runtime::Duration ttl);
Error lease_lost_error(const std::string& name);

}  // namespace ff::kv
