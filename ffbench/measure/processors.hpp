// Which processors (logical cores) a measurement runs on: lists as the kernel and taskset write them, and pinning.
// Errors   kInvalidArgument names the list or the processor; kIo when the kernel refuses.
// Threads  Any.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "libcommon/base/result.hpp"

namespace ff::bench {

// "0-3,8" -> {0, 1, 2, 3, 8}: sorted, each once. Refuses an empty list, signs, spaces, backward ranges and numbers
// that no kernel has (1023 is the highest).
Result<std::vector<int>> parse_processors(std::string_view text);
// The shortest list that parse_processors() reads back: "0-3,8".
std::string format_processors(std::span<const int> processors);

// Those that the calling thread may use now, sorted.
Result<std::vector<int>> allowed_processors();
// kInvalidArgument when one of them is not allowed: "processor 9: not available to this process (it may use 0-3)".
Result<> check_processors(std::span<const int> processors);
// Binds the calling thread, and the threads and processes it starts from now on. REQUIRES: not empty.
Result<> pin_this_thread(std::span<const int> processors);
// The same without asking what the thread may use now: for one that was bound and is to leave its binding. What the
// machine does not have is left out by the kernel. REQUIRES: not empty.
Result<> move_this_thread(std::span<const int> processors);

}  // namespace ff::bench
