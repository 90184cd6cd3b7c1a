// EventLog: what happened in a simulation, in order. Every event goes into a running hash (two runs of one seed must
// agree on it) and into a ring of the last lines; text is made only when somebody reads them.
//
// Threads  One at a time.
// Cost     Some nanoseconds an event without text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "libcommon/runtime/time.hpp"

namespace ff::testing {

using NodeId = std::uint32_t;
inline constexpr NodeId kNoNode = ~NodeId{0};  // the world itself

// The kind of an event: a format with up to two "{}" for its numbers. A literal: made while compiling.
struct EventKind {
  consteval EventKind(const char* text) : format(text) {  // NOLINT(google-explicit-constructor)
    for (const char* c = text; *c != '\0'; ++c) id = (id ^ static_cast<unsigned char>(*c)) * 0x100000001b3ULL;
  }
  const char* format;
  std::uint64_t id = 0xcbf29ce484222325ULL;
};

class EventLog {
 public:
  // Keeps the last `lines` (at least one); `live` prints each to standard error as it happens.
  EventLog(std::size_t lines, bool live);

  void record(runtime::Time when, NodeId node, EventKind kind, std::uint64_t a = 0, std::uint64_t b = 0) {
    mix(static_cast<std::uint64_t>(when.time_since_epoch().count()) ^ kind.id, (a << 32 | a >> 32) ^ b ^ node);
    store(when, node, kind.format, a, b).clear();
    if (live_) [[unlikely]]
      print_last();
  }
  // Free text: what a node or a scenario wants to have in the log.
  void record(runtime::Time when, NodeId node, std::string text);

  std::uint64_t hash() const noexcept { return hash_; }
  std::uint64_t events() const noexcept { return events_; }
  bool live() const noexcept { return live_; }
  // The last lines, oldest first: "12.000345 s  n3  deliver 64 bytes on connection 7".
  std::string text() const;

 private:
  struct Line {
    runtime::Time when;
    NodeId node;
    const char* format;  // null: `text` is all
    std::uint64_t a, b;
    std::string text;
  };
  void mix(std::uint64_t x, std::uint64_t y) noexcept {
    hash_ = (hash_ ^ x) * 0x9e3779b97f4a7c15ULL;
    hash_ = ((hash_ >> 29 | hash_ << 35) ^ y) * 0xbf58476d1ce4e5b9ULL;
  }
  std::string& store(runtime::Time when, NodeId node, const char* format, std::uint64_t a, std::uint64_t b) {
    const std::size_t place = events_++ % capacity_;
    if (place == lines_.size()) lines_.emplace_back();
    Line& line = lines_[place];
    line.when = when;
    line.node = node;
    line.format = format;
    line.a = a;
    line.b = b;
    return line.text;
  }
  static std::string line_text(const Line& line);
  void print_last() const;

  std::size_t capacity_;
  bool live_;
  std::vector<Line> lines_;
  std::uint64_t events_ = 0;
  std::uint64_t hash_ = 0x243f6a8885a308d3ULL;
};

}  // namespace ff::testing
