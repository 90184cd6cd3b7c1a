#include "hfreduce/run/output.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "libcommon/base/file.hpp"

namespace ff::hfreduce::run {

OutputSink::OutputSink(int fd) : fd_(fd), regular_(false) {
  struct stat status{};
  regular_ = ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

Result<> OutputSink::write_some() {
  const std::size_t left = pending_.size() - written_;
  // A pipe that polls writable has room for PIPE_BUF bytes; more could block with the signals unheard.
  const std::size_t bytes = regular_ ? left : std::min<std::size_t>(left, PIPE_BUF);
  const ssize_t n = ::write(fd_, pending_.data() + written_, bytes);
  if (n < 0 && errno != EINTR && errno != EAGAIN) {
    const int reason = errno;
    broken_ = true;
    pending_.clear();
    written_ = 0;
    return fail(errno_error(fd_ == STDERR_FILENO ? "write to standard error" : "write to standard output", reason));
  }
  if (n > 0) written_ += static_cast<std::size_t>(n);
  if (written_ == pending_.size() || written_ >= kPendingMax / 2) {
    pending_.erase(0, written_);
    written_ = 0;
  }
  return {};
}

void LineBuffer::give(std::string_view line, std::string& out) {
  if (at_margin_) out += prefix_;
  out += line;
  at_margin_ = line.ends_with('\n');
}

void LineBuffer::feed(std::string_view bytes, std::string& out) {
  if (verbatim_) {
    out += bytes;
    return;
  }
  while (!bytes.empty()) {
    const auto newline = bytes.find('\n');
    if (newline == std::string_view::npos) {
      partial_ += bytes;
      break;
    }
    partial_ += bytes.substr(0, newline + 1);
    give(partial_, out);
    partial_.clear();
    bytes.remove_prefix(newline + 1);
  }
  if (partial_.size() > kLineMax) {
    give(partial_, out);
    partial_.clear();
  }
}

void LineBuffer::finish(std::string& out) {
  if (!partial_.empty()) give(partial_, out);
  partial_.clear();
  if (!prefix_.empty() && !at_margin_) out += '\n';
  at_margin_ = true;
}

Result<LogFolder> LogFolder::create(const std::string& path, int ranks) {
  if (::mkdir(path.c_str(), 0777) != 0 && errno != EEXIST) return fail(errno_error(fmt::format("create '{}'", path)));
  LogFolder folder;
  for (int rank = 0; rank < ranks; ++rank) {
    std::array<UniqueFd, 2> pair;
    for (std::size_t stream = 0; stream < 2; ++stream) {
      const std::string name = fmt::format("{}/rank-{}.{}", path, rank, stream == 0 ? "out" : "err");
      pair[stream].reset(::open(name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
      if (!pair[stream]) return fail(errno_error(fmt::format("create '{}'", name)));
    }
    folder.files_.push_back(std::move(pair));
  }
  return folder;
}

Result<> LogFolder::write(int rank, int stream, std::string_view bytes) {
  const UniqueFd& fd = files_[static_cast<std::size_t>(rank)][static_cast<std::size_t>(stream - 1)];
  return write_all(fd.get(), std::as_bytes(std::span(bytes)));
}

}  // namespace ff::hfreduce::run
