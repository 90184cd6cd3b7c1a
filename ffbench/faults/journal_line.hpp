// One line of `journalctl -o json`: an object whose values are strings (or, for bytes that are not text, lists).
//
// Threads  Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ff::bench {

struct JournalEntry {
  std::optional<std::int64_t> time_ns;  // __REALTIME_TIMESTAMP
  std::string host;                     // _HOSTNAME
  std::string message;                  // MESSAGE
  bool kernel = true;                   // _TRANSPORT is "kernel" or not given
};

// Nothing when the line is no JSON or has no MESSAGE that is text. Lines beyond 64 KiB are not read.
std::optional<JournalEntry> parse_journal_line(std::string_view line);

}  // namespace ff::bench
