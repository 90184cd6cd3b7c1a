#include "ffbench/faults/journal_line.hpp"

#include <charconv>

#include "libcommon/report/json_value.hpp"

namespace ff::bench {
namespace {

constexpr report::JsonLimits kLimits{.bytes_max = 64u << 10, .depth_max = 4, .values_max = 65'536};
constexpr std::int64_t kMicrosecondsMax = 7'000'000'000'000'000;  // the year 2191

std::string text_of(const report::JsonValue& entry, std::string_view name) {
  const report::JsonValue* value = entry.find(name);
  return value == nullptr || value->text() == nullptr ? std::string() : *value->text();
}

}  // namespace

std::optional<JournalEntry> parse_journal_line(std::string_view line) {
  const auto object = report::JsonValue::parse(line, kLimits);
  if (!object || object->find("MESSAGE") == nullptr || object->find("MESSAGE")->text() == nullptr) return std::nullopt;
  JournalEntry entry;
  entry.message = text_of(*object, "MESSAGE");
  entry.host = text_of(*object, "_HOSTNAME");
  const std::string transport = text_of(*object, "_TRANSPORT");
  entry.kernel = transport.empty() || transport == "kernel";
  const std::string time = text_of(*object, "__REALTIME_TIMESTAMP");
  std::int64_t microseconds = -1;
  const auto [end, error] = std::from_chars(time.data(), time.data() + time.size(), microseconds);
  if (error == std::errc() && end == time.data() + time.size() && microseconds >= 0 && microseconds < kMicrosecondsMax)
    entry.time_ns = microseconds * 1000;
  return entry;
}

}  // namespace ff::bench
