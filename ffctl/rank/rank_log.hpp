// What a rank printed: segments in a folder of its own, each named by the offset of its first byte in the whole output
// (20 digits). When the segments are more than the limit the oldest go; offsets keep counting.
//
// Never      slower than the disk, never cut. A disk that takes nothing drops bytes, and says so in the log when it
// takes
//            them again: the rank is not held up.
// Threads    The writer is one process; readers are any.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "libcommon/base/result.hpp"
#include "libcommon/base/unique_fd.hpp"

namespace ff::ctl {

class LogWriter {
 public:
  // Bytes kept, at least kLimitMin; a segment is an eighth of it. Files are readable by group `gid` (-1: as it comes).
  static constexpr std::uint64_t kLimitMin = 64u << 10;
  LogWriter(std::string folder, std::uint64_t limit, gid_t gid);

  void append(std::string_view bytes);
  std::uint64_t end() const noexcept { return segment_start_ + segment_bytes_; }
  std::uint64_t dropped() const noexcept { return dropped_; }

 private:
  bool open_segment();
  bool put(std::string_view& bytes);
  void drop_old();

  const std::string folder_;
  const std::uint64_t limit_;
  const gid_t gid_;
  UniqueFd fd_;
  std::uint64_t segment_start_ = 0;
  std::uint64_t segment_bytes_ = 0;
  std::uint64_t dropped_ = 0;  // since the last that was written
};

struct LogPart {
  std::string data;
  std::uint64_t offset = 0;  // of data; later than asked for where older segments are gone
  std::uint64_t end = 0;
};
// At most `bytes` from `offset`; with `from_end` the offset counts back from the end. kNotFound: no such folder.
Result<LogPart> read_log(const std::string& folder, std::uint64_t offset, std::size_t bytes, bool from_end);

}  // namespace ff::ctl
