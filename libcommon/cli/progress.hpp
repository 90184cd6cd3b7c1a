// Progress: one line on standard error that is drawn over: share, rate, time left. Nothing is drawn where standard
// error is no terminal, unless --progress=always asks for it; then each state is a line of its own.
// Threads: one at a time. Cost: update() reads a clock; it draws ten times a second at most.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "libcommon/cli/app.hpp"

namespace ff::cli {

// The option --progress; must outlive run().
class ProgressOption {
 public:
  ProgressOption() = default;
  ProgressOption(const ProgressOption&) = delete;
  ProgressOption& operator=(const ProgressOption&) = delete;

  void add_to(Command& command);
  // Whether to draw, with `auto` decided by standard error.
  bool enabled() const;

 private:
  std::string mode_ = "auto";
};

struct ProgressState {
  std::string label;
  std::uint64_t done = 0;
  std::uint64_t total = 0;  // 0: not known
  std::chrono::nanoseconds elapsed{0};
  bool bytes = false;  // done and total are bytes; else a plain count
};

// "read: 25% (16MiB of 64MiB), 1.05MB/s, 48s left"; pure, for tests.
std::string progress_line(const ProgressState& state);

class Progress {
 public:
  struct Options {
    std::string label;
    std::uint64_t total = 0;
    bool bytes = false;
    bool enabled = false;
  };
  explicit Progress(Options options);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  // Wipes the line.
  ~Progress();

  void update(std::uint64_t done);
  // Draws the last state and leaves it standing.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  void draw(Clock::time_point now);

  ProgressState state_;
  bool enabled_;
  bool terminal_;
  bool drawn_ = false;
  Clock::time_point start_ = Clock::now();
  Clock::time_point last_{};
};

}  // namespace ff::cli
