// The ranks' output on the launcher's side: whole lines with a prefix, never mixed inside a line.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "libcommon/base/result.hpp"
#include "libcommon/base/unique_fd.hpp"

namespace ff::hfreduce::run {

// Writes to a descriptor that others share (a terminal, a pipe), so it stays blocking: a piece is written only when
// poll says that there is room. Bounded by its user, which stops producing while full().
class OutputSink {
 public:
  static constexpr std::size_t kPendingMax = 1u << 20;

  explicit OutputSink(int fd);
  void append(std::string_view bytes) {
    if (!broken_) pending_ += bytes;
  }
  bool full() const noexcept { return pending_.size() - written_ >= kPendingMax; }
  bool empty() const noexcept { return written_ == pending_.size(); }
  int fd() const noexcept { return fd_; }
  // Call after POLLOUT. kIo when the reader is gone (EPIPE rides along) or the disk is full; from then on everything is
  // dropped, so that ranks which still write can be ended without a wait.
  Result<> write_some();

 private:
  int fd_;
  bool regular_;  // files take everything at once
  bool broken_ = false;
  std::string pending_;
  std::size_t written_ = 0;  // of pending_; dropped in large steps, as pieces are small
};

// Collects what arrives of one stream of one rank and gives it on in whole lines. A line beyond kLineMax is given on in
// pieces, so memory stays bounded.
class LineBuffer {
 public:
  static constexpr std::size_t kLineMax = 64u << 10;

  // An empty prefix passes bytes through in whole lines; `verbatim` passes them at once (one rank, nothing to mix
  // with).
  LineBuffer(std::string prefix, bool verbatim) : prefix_(std::move(prefix)), verbatim_(verbatim) {}
  void feed(std::string_view bytes, std::string& out);
  // What is left of an unfinished line; with a prefix it gets its newline, so that the next line starts at the margin.
  void finish(std::string& out);

 private:
  void give(std::string_view line, std::string& out);

  std::string prefix_;
  bool verbatim_;
  bool at_margin_ = true;
  std::string partial_;
};

// Files rank-R.out and rank-R.err with the raw bytes of each rank.
class LogFolder {
 public:
  LogFolder() = default;
  // Creates the folder if it is missing, and the files of `ranks` ranks; existing files are emptied.
  static Result<LogFolder> create(const std::string& path, int ranks);
  explicit operator bool() const noexcept { return !files_.empty(); }
  Result<> write(int rank, int stream, std::string_view bytes);

 private:
  std::vector<std::array<UniqueFd, 2>> files_;
};

}  // namespace ff::hfreduce::run
