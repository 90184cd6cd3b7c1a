// Programs that are run to their ends: with input, several at a time, each within its time.
//
// Safety   Words are passed as they are: no shell is between. Children die with this process.
// Threads  The caller has one thread (run_children forks). Waits block.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "libcommon/base/result.hpp"

namespace ff::ctl {

inline constexpr std::size_t kChildOutputMax = 1u << 20;  // of each stream; more is read and dropped

struct ChildCommand {
  std::string name;                // for messages
  std::vector<std::string> words;  // argv; the first is a path, or a name that is looked up in PATH
  std::string input;               // all of its standard input
  std::chrono::milliseconds patience{10'000};
  std::vector<std::pair<std::string, std::string>> environment;  // over ours
};

struct ChildResult {
  int code = 0;  // its exit code, or 128 + the signal that ended it
  std::string output, errors;
};

// One result for each command, in their order. Errors of one: kNotFound, kIo: could not be started; kTimeout: was
// killed.
std::vector<Result<ChildResult>> run_children(const std::vector<ChildCommand>& commands, std::size_t at_once);
Result<ChildResult> run_child(const ChildCommand& command);

// "NAME=value" of our environment, with these over it.
std::vector<std::string> environment_with(const std::vector<std::pair<std::string, std::string>>& over);

// The last line that says something, of what a child wrote on its standard error.
std::string last_line(const std::string& text);

}  // namespace ff::ctl
