#include "ffbench/faults/line_reader.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

namespace ff::bench {
namespace {

class Splitter {
 public:
  Splitter(const std::function<Result<>(std::string_view)>& line, LinesRead& counts) : line_(line), counts_(counts) {}

  Result<> take(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto newline = bytes.find('\n');
      keep(bytes.substr(0, newline));
      if (newline == std::string_view::npos) return {};
      FF_TRY(finish());
      bytes.remove_prefix(newline + 1);
    }
    return {};
  }

  Result<> end() { return open_ ? finish() : Result<>(); }

 private:
  void keep(std::string_view part) {
    open_ = true;
    const std::size_t room = kLineBytesMax - pending_.size();
    pending_.append(part.substr(0, room));
    if (part.size() > room && !cut_) {
      cut_ = true;
      ++counts_.cut;
    }
  }

  Result<> finish() {
    std::string_view text = pending_;
    if (text.ends_with('\r')) text.remove_suffix(1);
    ++counts_.lines;
    auto outcome = line_(text);
    pending_.clear();
    open_ = cut_ = false;
    return outcome;
  }

  const std::function<Result<>(std::string_view)>& line_;
  LinesRead& counts_;
  std::string pending_;
  bool open_ = false;  // something of a line was read, if only its end is missing
  bool cut_ = false;
};

}  // namespace

Result<LinesRead> read_lines(int fd, const std::string& name, const std::function<Result<>(std::string_view)>& line,
                             const std::function<bool()>& stopped) {
  LinesRead counts;
  Splitter splitter(line, counts);
  std::vector<char> buffer(kLineBytesMax);
  for (;;) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    const int problem = got < 0 ? errno : 0;
    if (stopped && stopped()) {
      counts.interrupted = true;
      break;
    }
    if (problem == EINTR || problem == EPIPE) continue;
    if (problem == EAGAIN || got == 0) break;
    if (problem != 0) return fail(errno_error("read " + name, problem));
    FF_TRY(splitter.take({buffer.data(), static_cast<std::size_t>(got)}));
  }
  FF_TRY(splitter.end());
  return counts;
}

}  // namespace ff::bench
