// What a job's comment keeps for `ffctl ls`, `show` and selectors, because Slurm has no place for it: labels, priority,
// launcher, ranks, checkpoint, and of the command what fits. Printable; Slurm takes 1,024 bytes. Pure.
//
// A comment that is not ours, or was changed, is none: decode_comment() is given whatever others wrote.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "ffctl/proto/job.pb.h"
#include "libcommon/base/result.hpp"

namespace ff::ctl {

inline constexpr std::size_t kCommentBytesMax = 1023;

// kInvalidArgument: labels and checkpoint alone are too long.
Result<std::string> encode_comment(const JobSpec& spec);
std::optional<JobSpec> decode_comment(std::string_view comment);

}  // namespace ff::ctl
