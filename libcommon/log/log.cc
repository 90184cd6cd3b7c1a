#include "libcommon/log/log.hpp"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <mutex>

#include "libcommon/report/json.hpp"
#include "libcommon/report/utf8.hpp"

namespace ff::log {
namespace {

constexpr std::array<std::string_view, 6> kLevelNames = {"trace", "debug", "info", "warn", "error", "off"};

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::kTrace: return spdlog::level::trace;
    case Level::kDebug: return spdlog::level::debug;
    case Level::kInfo: return spdlog::level::info;
    case Level::kWarn: return spdlog::level::warn;
    case Level::kError: return spdlog::level::err;
    case Level::kOff: return spdlog::level::off;
  }
  return spdlog::level::off;
}

std::string_view name_of(spdlog::level::level_enum level) {
  for (std::size_t i = 0; i < kLevelNames.size(); ++i)
    if (to_spdlog(static_cast<Level>(i)) == level) return kLevelNames[i];
  return "error";
}

// ISO 8601 in UTC with milliseconds: records of many nodes sort by text.
std::string timestamp(spdlog::log_clock::time_point when) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(when.time_since_epoch()).count();
  const std::time_t seconds = static_cast<std::time_t>(ms / 1000);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                     utc.tm_hour, utc.tm_min, utc.tm_sec, ms % 1000);
}

// One record, one line, whatever the message holds.
class LineFormatter : public spdlog::formatter {
 public:
  LineFormatter(std::string tool, bool json) : tool_(std::move(tool)), json_(json) {}

  void format(const spdlog::details::log_msg& record, spdlog::memory_buf_t& out) override {
    const std::string_view message(record.payload.data(), record.payload.size());
    const std::string_view level = name_of(record.level);
    std::string line;
    if (json_) {
      report::JsonWriter json;
      json.begin_object().field("time", std::string_view(timestamp(record.time))).field("level", level);
      json.field("tool", std::string_view(tool_)).field("message", message).end_object();
      line = json.take();
    } else {
      line = fmt::format("{} {}{}{}: {}", timestamp(record.time), tool_, tool_.empty() ? "" : ": ", level,
                         report::printable(message));
    }
    line += '\n';
    out.append(line.data(), line.data() + line.size());
  }

  std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<LineFormatter>(tool_, json_); }

 private:
  std::string tool_;
  bool json_;
};

std::shared_ptr<spdlog::logger> make_logger(const Options& options) {
  auto logger = std::make_shared<spdlog::logger>(options.tool, std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_formatter(std::make_unique<LineFormatter>(options.tool, options.json));
  // enabled() filters before a message is formatted; the engine lets all through.
  logger->set_level(spdlog::level::trace);
  return logger;
}

struct State {
  std::atomic<Level> level{Level::kWarn};
  std::mutex mutex;                        // guards logger
  std::shared_ptr<spdlog::logger> logger;  // made at the first record when init() was not called
};

// Never destroyed: threads may log while the program exits.
State& state() {
  static State* instance = new State;
  return *instance;
}

std::shared_ptr<spdlog::logger> current_logger() {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  if (!s.logger) s.logger = make_logger({});
  return s.logger;
}

}  // namespace

Result<Level> parse_level(std::string_view text) {
  for (std::size_t i = 0; i < kLevelNames.size(); ++i)
    if (kLevelNames[i] == text) return static_cast<Level>(i);
  return fail(Errc::kInvalidArgument,
              fmt::format("'{}' is not a log level (use trace, debug, info, warn, error or off)", text));
}

Result<Level> level_from_environment(Level otherwise) {
  const char* text = std::getenv("FF_LOG");
  if (text == nullptr || *text == '\0') return otherwise;
  auto level = parse_level(text);
  if (!level) return fail(std::move(level).error().context("FF_LOG"));
  return *level;
}

void init(const Options& options) {
  auto logger = make_logger(options);
  State& s = state();
  const std::lock_guard lock(s.mutex);
  s.logger = std::move(logger);
  s.level.store(options.level, std::memory_order_relaxed);
}

bool enabled(Level level) noexcept {
  return level != Level::kOff && level >= state().level.load(std::memory_order_relaxed);
}

void write(Level level, std::string_view message) {
  if (!enabled(level)) return;
  current_logger()->log(to_spdlog(level), spdlog::string_view_t(message.data(), message.size()));
}

void RateLimit::warn(std::string_view message) {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  const std::int64_t now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  if (last_ms_ != INT64_MIN && now_ms - last_ms_ < every_ms_) {
    ++dropped_;
    return;
  }
  if (dropped_ == 0)
    write(Level::kWarn, message);
  else
    write(Level::kWarn, fmt::format("{} ({} more like this dropped)", message, dropped_));
  last_ms_ = now_ms;
  dropped_ = 0;
}

}  // namespace ff::log
