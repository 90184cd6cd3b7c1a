// StopOnSignal: SIGINT and SIGTERM as a stop token. The first one asks the measurement to end; a second one has its
// usual effect and ends the process at once. A signal that was ignored (nohup) stays so.
// Threads  One object a process at a time (asserted); the token may be used anywhere, its callbacks run on a thread of
//          this object. A child made by fork() without exec ends on the first signal, as if none of this were there.
#pragma once

#include <memory>
#include <stop_token>

#include "libcommon/base/result.hpp"

namespace ff::bench {

class StopOnSignal {
 public:
  static Result<std::unique_ptr<StopOnSignal>> install();
  StopOnSignal(const StopOnSignal&) = delete;
  StopOnSignal& operator=(const StopOnSignal&) = delete;
  // Puts back what the signals did before.
  ~StopOnSignal();

  std::stop_token token() const noexcept;
  // The one that came; 0: none has.
  int signal() const noexcept;

 private:
  struct State;
  explicit StopOnSignal(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

}  // namespace ff::bench
