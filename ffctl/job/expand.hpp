// One description to the jobs of an array, a sweep, or the lines of a file. In each the words {i}, {NAME} and {line} of
// the command and the values of its environment are replaced. Other braces stay as they are.
// Each result keeps to check_spec(). Errors: kInvalidArgument, as "PLACE: array: ..." or "PLACE: sweep: ...".
// Threads: pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ffctl/proto/job.pb.h"
#include "libcommon/base/result.hpp"
#include "libcommon/config/config.hpp"

namespace ff::ctl {

inline constexpr std::size_t kArrayMax = 10'000;

struct Array {
  std::vector<std::uint32_t> indices;  // growing
  std::uint32_t limit = 0;             // that run at a time; 0: all
};
// "0-9", "1,3,5", "0-100:10", "0-99%8".
Result<Array> parse_array(std::string_view text);

struct Variants {
  std::string array;                              // empty: no array
  config::TextMap sweep;                          // name to values, separated by commas
  std::optional<std::vector<std::string>> lines;  // a job for each; appended to a command without {line}
  std::string place = {};                         // where that was said, for errors: "job.yaml:7"
};
// At most one of them may be there. Without any: the job itself.
Result<std::vector<JobSpec>> expand_job(const JobSpec& spec, const Variants& variants);

}  // namespace ff::ctl
