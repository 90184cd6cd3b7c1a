// The words by which people name jobs on a command line.
//
//   12         the job            12@2       its second attempt, where an attempt can be meant (logs)
//   12..20     jobs 12 to 20      last       the caller's newest
//   train      the job of that name; train@2 its second attempt
//   user:ann   all of hers        label:k=v  with that label, or label:k with any value
//   state:running, state:failed   in that phase, or done with that result
// Errors: kInvalidArgument. Threads: pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ffctl/proto/job.pb.h"
#include "libcommon/base/result.hpp"

namespace ff::ctl {

struct Selector {
  enum class Kind : std::uint8_t { kIds, kLast, kName, kUser, kLabel, kState };
  Kind kind = Kind::kIds;
  std::uint64_t first = 0, last = 0;  // of kIds
  std::string text;                   // of kName, kUser, kLabel
  JobPhase phase = JOB_NONE;          // of kState
  JobResult result = RESULT_NONE;     // of kState; then phase is DONE
  std::uint32_t attempt = 0;          // 0: the last

  // May stand for more than one job.
  bool several() const noexcept {
    return kind == Kind::kIds ? first != last : kind != Kind::kLast && kind != Kind::kName;
  }
};
Result<Selector> parse_selector(std::string_view text);

// A phase or a result by its name; kState.
Result<Selector> parse_state(std::string_view text);

}  // namespace ff::ctl
