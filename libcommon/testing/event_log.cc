#include "libcommon/testing/event_log.hpp"

#include <fmt/format.h>

#include <cstdio>

#include "libcommon/base/assert.hpp"

namespace ff::testing {

EventLog::EventLog(std::size_t lines, bool live) : capacity_(lines), live_(live) { FF_ASSERT(lines > 0); }

void EventLog::record(runtime::Time when, NodeId node, std::string text) {
  std::uint64_t sum = text.size();
  for (const char c : text) sum = (sum ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  mix(static_cast<std::uint64_t>(when.time_since_epoch().count()), sum ^ node);
  store(when, node, nullptr, 0, 0) = std::move(text);
  if (live_) print_last();
}

std::string EventLog::line_text(const Line& line) {
  const double seconds = static_cast<double>(line.when.time_since_epoch().count()) * 1e-9;
  const std::string who = line.node == kNoNode ? "world" : fmt::format("n{}", line.node);
  const std::string what = line.format == nullptr ? line.text : fmt::format(fmt::runtime(line.format), line.a, line.b);
  return fmt::format("{:14.9f} s  {:<5}  {}\n", seconds, who, what);
}

void EventLog::print_last() const { std::fputs(line_text(lines_[(events_ - 1) % capacity_]).c_str(), stderr); }

std::string EventLog::text() const {
  std::string out;
  const std::uint64_t first = events_ > lines_.size() ? events_ - lines_.size() : 0;
  if (first > 0) out += fmt::format("({} earlier events left out)\n", first);
  for (std::uint64_t i = first; i < events_; ++i) out += line_text(lines_[i % capacity_]);
  return out;
}

}  // namespace ff::testing
