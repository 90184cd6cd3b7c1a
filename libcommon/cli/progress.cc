#include "libcommon/cli/progress.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "libcommon/base/byte_size.hpp"
#include "libcommon/base/duration.hpp"

namespace ff::cli {
namespace {

constexpr std::chrono::milliseconds kRedrawInterval{100};
// Back to the first column and erase to the end of the line.
constexpr const char* kEraseLine = "\r\x1b[K";

std::string amount(const ProgressState& state, std::uint64_t n) {
  return state.bytes ? format_byte_size(n) : fmt::format("{}", n);
}

}  // namespace

void ProgressOption::add_to(Command& command) {
  command.options.push_back({.names = "--progress",
                             .target = &mode_,
                             .help = "draw progress on standard error; auto draws on a terminal",
                             .value_name = "WHEN",
                             .choices = {"auto", "always", "never"}});
}

bool ProgressOption::enabled() const { return mode_ == "always" || (mode_ == "auto" && ::isatty(STDERR_FILENO) == 1); }

std::string progress_line(const ProgressState& state) {
  const double seconds = std::chrono::duration<double>(state.elapsed).count();
  const double rate = seconds > 0 ? static_cast<double>(state.done) / seconds : 0;
  const std::string rate_text = state.bytes ? format_byte_rate(rate) : fmt::format("{:.3g}/s", rate);
  if (state.total == 0) return fmt::format("{}: {}, {}", state.label, amount(state, state.done), rate_text);
  const std::uint64_t done = std::min(state.done, state.total);
  const double share = static_cast<double>(done) / static_cast<double>(state.total);
  std::string line = fmt::format("{}: {:.0f}% ({} of {}), {}", state.label, 100 * share, amount(state, done),
                                 amount(state, state.total), rate_text);
  const double left = rate > 0 ? static_cast<double>(state.total - done) / rate : 0;
  // A guess of more than a year is no information.
  if (left > 0 && left < 3e7)
    line += fmt::format(", {} left",
                        format_duration(std::chrono::ceil<std::chrono::seconds>(std::chrono::duration<double>(left))));
  return line;
}

Progress::Progress(Options options)
    : state_{.label = std::move(options.label), .total = options.total, .bytes = options.bytes},
      enabled_(options.enabled),
      terminal_(::isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
  if (drawn_ && terminal_) std::fputs(kEraseLine, stderr);
}

void Progress::update(std::uint64_t done) {
  state_.done = done;
  if (!enabled_) return;
  const auto now = Clock::now();
  if (drawn_ && now - last_ < kRedrawInterval) return;
  draw(now);
}

void Progress::finish() {
  if (!enabled_) return;
  draw(Clock::now());
  if (terminal_) std::fputc('\n', stderr);
  drawn_ = false;
  enabled_ = false;
}

void Progress::draw(Clock::time_point now) {
  last_ = now;
  drawn_ = true;
  state_.elapsed = now - start_;
  const std::string line = progress_line(state_);
  std::fprintf(stderr, terminal_ ? "%s%s" : "%s%s\n", terminal_ ? kEraseLine : "", line.c_str());
  std::fflush(stderr);
}

}  // namespace ff::cli
