#include "ffbench/faults/log_prefix.hpp"

#include <algorithm>
#include <charconv>

#include "ffbench/faults/civil_time.hpp"

namespace ff::bench {
namespace {

constexpr std::size_t kWordBytesMax = 255;  // of a host's name
constexpr double kUptimeSecondsMax = 3e9;   // a century

void skip_spaces(std::string_view& text) {
  while (!text.empty() && (text[0] == ' ' || text[0] == '\t')) text.remove_prefix(1);
}

std::string_view first_word(std::string_view text) { return text.substr(0, text.find_first_of(" \t")); }

std::optional<std::int64_t> seconds_ns(std::string_view text, double seconds_max) {
  double seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds, std::chars_format::fixed);
  if (error != std::errc() || end != text.data() + text.size() || !(seconds >= 0 && seconds <= seconds_max))
    return std::nullopt;
  return static_cast<std::int64_t>(seconds * 1e9);
}

bool take_word(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text.remove_prefix(word.size());
  return true;
}

std::optional<unsigned> take_number(std::string_view& text, unsigned max) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || value > max) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

// "00:17:32"
std::optional<std::int64_t> take_clock(std::string_view& text) {
  std::string_view rest = text;
  const auto hour = take_number(rest, 23);
  if (!hour || !take_word(rest, ":")) return std::nullopt;
  const auto minute = take_number(rest, 59);
  if (!minute || !take_word(rest, ":")) return std::nullopt;
  const auto second = take_number(rest, 60);
  if (!second) return std::nullopt;
  text = rest;
  return (*hour * 3600 + *minute * 60 + *second) * kSecondNs;
}

// "Nov 23 00:17:32", without the year.
std::optional<std::int64_t> take_syslog_time(std::string_view& text, std::int64_t reference_ns) {
  const unsigned month = month_number(text.substr(0, 3));
  if (month == 0) return std::nullopt;
  std::string_view rest = text.substr(3);
  skip_spaces(rest);
  const auto day = take_number(rest, 31);
  if (!day || !take_word(rest, " ")) return std::nullopt;
  const auto clock = take_clock(rest);
  if (!clock) return std::nullopt;
  const int year = year_of(reference_ns);
  // Eight years: February 29 exists in one of them at least, also around 2100.
  for (int back = -1; back < 8; ++back) {
    const auto start = civil_ns(year - back, month, *day);
    if (!start || *start + *clock > reference_ns + kDayNs) continue;
    text = rest;
    return *start + *clock;
  }
  return std::nullopt;
}

// The inside of "[Mon Nov 23 00:17:32 2026]".
std::optional<std::int64_t> dmesg_date(std::string_view text) {
  const auto space = text.find(' ');
  if (space != 3) return std::nullopt;
  text.remove_prefix(4);
  const unsigned month = month_number(text.substr(0, 3));
  if (month == 0 || text.size() < 4) return std::nullopt;
  text.remove_prefix(3);
  skip_spaces(text);
  const auto day = take_number(text, 31);
  if (!day || !take_word(text, " ")) return std::nullopt;
  const auto clock = take_clock(text);
  if (!clock || !take_word(text, " ")) return std::nullopt;
  const auto year = take_number(text, 2199);
  if (!year || !text.empty()) return std::nullopt;
  const auto start = civil_ns(static_cast<int>(*year), month, *day);
  if (!start) return std::nullopt;
  return *start + *clock;
}

// "[22934.862938]" or "[Mon Nov 23 00:17:32 2026]" at the start of `text`.
bool take_bracket(std::string_view& text, LogPrefix& prefix) {
  if (!text.starts_with('[')) return false;
  const auto close = text.find(']');
  if (close == std::string_view::npos || close > 64) return false;
  std::string_view inside = text.substr(1, close - 1);
  skip_spaces(inside);
  if (const auto uptime = seconds_ns(inside, kUptimeSecondsMax)) {
    prefix.uptime_ns = uptime;
  } else if (const auto date = dmesg_date(inside)) {
    prefix.time_ns = date;
  } else {
    return false;
  }
  text.remove_prefix(close + 1);
  skip_spaces(text);
  return true;
}

// "6,1234,22934862938,-;" of /dev/kmsg: priority, sequence, microseconds since the boot, flags.
bool take_kmsg(std::string_view& text, LogPrefix& prefix) {
  std::string_view rest = text;
  std::uint64_t fields[3] = {};
  for (std::uint64_t& field : fields) {
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), field);
    if (error != std::errc()) return false;
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    if (!take_word(rest, ",")) return false;
  }
  const auto semicolon = rest.find(';');
  if (semicolon == std::string_view::npos || semicolon > 128 || fields[2] > 3'000'000'000'000'000u) return false;
  prefix.uptime_ns = static_cast<std::int64_t>(fields[2]) * 1000;
  text = rest.substr(semicolon + 1);
  return true;
}

// "<6>" and "kern  :err   : ".
void take_level(std::string_view& text) {
  if (text.starts_with('<')) {
    const auto close = text.find('>');
    if (close != std::string_view::npos && close <= 4) text.remove_prefix(close + 1);
  }
  if (!text.starts_with("kern ")) return;
  const auto first = text.find(':');
  const auto second = first == std::string_view::npos ? first : text.find(':', first + 1);
  if (second == std::string_view::npos || second > 24) return;
  text.remove_prefix(second + 1);
  skip_spaces(text);
}

bool take_time(std::string_view& text, LogPrefix& prefix, std::int64_t reference_ns) {
  std::optional<std::int64_t> time = take_instant(text);
  if (!time) time = take_syslog_time(text, reference_ns);
  if (!time) {
    const std::string_view word = first_word(text);
    if (word.find('.') == std::string_view::npos || word.size() < 12) return false;
    time = seconds_ns(word, 7e9);
    if (!time) return false;
    text.remove_prefix(word.size());
  }
  prefix.time_ns = time;
  skip_spaces(text);
  return true;
}

bool is_host(std::string_view word) {
  return !word.empty() && word.size() <= kWordBytesMax &&
         word.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") ==
             std::string_view::npos;
}

// "kernel:", "kernel[0]:", "systemd[1]:".
bool is_kernel_tag(std::string_view word) {
  return word == "kernel:" || (word.starts_with("kernel[") && word.ends_with("]:"));
}

// "host kernel: " after a time.
void take_host_and_tag(std::string_view& text, LogPrefix& prefix, bool host_expected) {
  std::string_view rest = text;
  const std::string_view host = first_word(rest);
  if (!is_host(host)) return;
  rest.remove_prefix(host.size());
  skip_spaces(rest);
  const std::string_view tag = first_word(rest);
  const bool kernel = is_kernel_tag(tag);
  // Only programs have a process number in their tag; "NVRM:" is the message of a log that writes no tag.
  const bool program = !kernel && tag.ends_with("]:") && tag.find('[') != std::string_view::npos;
  if (!kernel && !program && !host_expected) return;
  prefix.host = host;
  prefix.foreign = program;
  text = rest;
  if (!kernel) return;
  text.remove_prefix(tag.size());
  skip_spaces(text);
}

}  // namespace

LogPrefix split_log_line(std::string_view line, std::int64_t reference_ns) {
  LogPrefix prefix;
  std::string_view text = line;
  skip_spaces(text);
  // "node7: " before a whole line; words of messages ("NVRM:") have no time after them.
  const std::string_view word = first_word(text);
  if (word.size() > 1 && word.ends_with(':') && is_host(word.substr(0, word.size() - 1))) {
    std::string_view rest = text.substr(word.size());
    skip_spaces(rest);
    LogPrefix inner = split_log_line(rest.substr(0, std::min<std::size_t>(rest.size(), 512)), reference_ns);
    if (inner.time_ns || inner.uptime_ns) {
      const auto used = static_cast<std::size_t>(inner.message.data() - rest.data());
      inner.message = rest.substr(used);
      if (inner.host.empty()) inner.host = word.substr(0, word.size() - 1);
      return inner;
    }
  }
  take_level(text);
  if (take_kmsg(text, prefix)) {
    prefix.message = text;
    return prefix;
  }
  bool syslog = false;
  if (take_bracket(text, prefix)) {
    take_host_and_tag(text, prefix, false);
  } else if (const bool named_month = month_number(text.substr(0, 3)) != 0; take_time(text, prefix, reference_ns)) {
    syslog = named_month;
    take_host_and_tag(text, prefix, syslog);
  }
  // A time since the boot, repeated by the kernel itself behind the log's own time.
  if (prefix.time_ns) take_bracket(text, prefix);
  prefix.message = text;
  return prefix;
}

}  // namespace ff::bench
