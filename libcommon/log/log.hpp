// Logging front: one line a record on stderr. The engine (spdlog) stays in log.cc; this header costs little to include.
//
// Programs log, libraries return errors. Nothing logs on a hot path. Survived failures end in ", ignoring"; names in
// single quotes; data as key=value.
// Threads  Safe from any thread after init(); before it, records go to stderr in the default form.
// Level    FF_LOG (trace debug info warn error off), else warn; cli::run() calls init() with it.
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "libcommon/base/result.hpp"

namespace ff::log {

enum class Level : std::uint8_t { kTrace, kDebug, kInfo, kWarn, kError, kOff };

struct Options {
  std::string tool;  // shown in each line
  Level level = Level::kWarn;
  bool json = false;  // one JSON object a line: time, level, tool, message
};

Result<Level> parse_level(std::string_view text);
// The level that FF_LOG asks for; kInvalidArgument names the bad word.
Result<Level> level_from_environment(Level otherwise);
// Opens standard error as the only sink. May be called again, to change the options.
void init(const Options& options);
bool enabled(Level level) noexcept;
void write(Level level, std::string_view message);

template <class... A>
void debug(fmt::format_string<A...> f, A&&... a) {
  if (enabled(Level::kDebug)) write(Level::kDebug, fmt::format(f, std::forward<A>(a)...));
}
template <class... A>
void info(fmt::format_string<A...> f, A&&... a) {
  if (enabled(Level::kInfo)) write(Level::kInfo, fmt::format(f, std::forward<A>(a)...));
}
template <class... A>
void warn(fmt::format_string<A...> f, A&&... a) {
  if (enabled(Level::kWarn)) write(Level::kWarn, fmt::format(f, std::forward<A>(a)...));
}
template <class... A>
void error(fmt::format_string<A...> f, A&&... a) {
  if (enabled(Level::kError)) write(Level::kError, fmt::format(f, std::forward<A>(a)...));
}

// At most one record per `every` for each instance; the count of dropped records is added to the next one.
// Threads: one at a time for each instance.
class RateLimit {
 public:
  explicit RateLimit(std::int64_t every_ms) : every_ms_(every_ms) {}
  void warn(std::string_view message);

 private:
  std::int64_t every_ms_;
  std::int64_t last_ms_ = INT64_MIN;
  std::uint64_t dropped_ = 0;
};

}  // namespace ff::log
