// each_path(): what a command does to each of the paths that it was given.
#pragma once

#include <string>
#include <vector>

#include "libcommon/runtime/task.hpp"

namespace ff::ffs {

// What becomes of a command of which one path failed: it ends with the error, or this was told and others may be done.
Result<> tell_and_go_on(const Error& error, bool alone);

// One after the other, each with what `one` (Task<Result<>>(std::string)) makes of it. Of several paths, one that fails
// is told on standard error and the others are done; the exit code is then 1. A single path gives its error. The file
// system's own failures (nobody answers, Ctrl-C) and wrong usage end it at once.
template <class F>
runtime::Task<Result<int>> each_path(std::vector<std::string> paths, F one) {
  int code = 0;
  for (const std::string& path : paths) {
    const Result<> done = co_await one(path);
    if (done) continue;
    FF_CO_TRY(tell_and_go_on(done.error(), paths.size() == 1));
    code = 1;
  }
  co_return code;
}

}  // namespace ff::ffs
