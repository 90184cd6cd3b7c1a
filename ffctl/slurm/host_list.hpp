// Slurm's short form of many nodes, "gpu[001-004,7],login": the names. Pure.
// Errors: kCorrupt: is no such list; kExhausted: more than kHostsMax names.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "libcommon/base/result.hpp"

namespace ff::ctl {

inline constexpr std::size_t kHostsMax = 100'000;

Result<std::vector<std::string>> expand_hosts(std::string_view text);

}  // namespace ff::ctl
