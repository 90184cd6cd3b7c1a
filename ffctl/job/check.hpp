// What a resolved description must keep to, whoever made it: the one list of rules for job files, options, what arrays
// and sweeps make of them, and the master. Threads: pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "ffctl/proto/job.pb.h"

namespace ff::ctl {

// Of a whole resolved description.
inline constexpr std::size_t kJobBytesMax = 128u << 10;
inline constexpr std::uint64_t kTenYearsMs = 10ull * 366 * 24 * 3600 * 1000;

struct SpecFault {
  std::string key;   // of the job file, "run.env"; "job": of the whole
  std::string what;  // "is not absolute (...)"
};
// The first one.
std::optional<SpecFault> check_spec(const JobSpec& spec);

// [A-Za-z0-9._-]{1,255}: names of jobs, queues, nodes, and what a sweep varies.
bool plain_name(std::string_view text) noexcept;
// The name of a label: the same, and '/' and ':'.
bool label_name(std::string_view text) noexcept;

}  // namespace ff::ctl
