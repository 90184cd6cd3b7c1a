// Reads lines from a descriptor in bounded memory: logs can be endless, and lines without an end happen.
//
// Lines    without their "\n" or "\r\n"; beyond kLineBytesMax a line is cut and its rest skipped. A last line without
// an
//          end counts.
// Kernel   /dev/kmsg gives one record a read and refuses to wait when opened so: EAGAIN is the end there, EPIPE
// (records
//          were overwritten) is not.
// Threads  One at a time for each object.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "libcommon/base/result.hpp"

namespace ff::bench {

inline constexpr std::size_t kLineBytesMax = 64u << 10;

struct LinesRead {
  std::uint64_t lines = 0;
  std::uint64_t cut = 0;     // lines longer than kLineBytesMax
  bool interrupted = false;  // `stopped` said so; what was read before it was handed over
};

// Calls `line` for each line until the end of the input, or until `stopped` (asked after every read, also one that a
// signal interrupted) says so. An error of `line` ends it. kIo names `name`.
Result<LinesRead> read_lines(int fd, const std::string& name, const std::function<Result<>(std::string_view)>& line,
                             const std::function<bool()>& stopped);

}  // namespace ff::bench
