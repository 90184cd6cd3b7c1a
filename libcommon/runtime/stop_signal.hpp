// StopOnSignals: SIGINT, SIGTERM and SIGHUP end what a RealEnv runs, as stop() does; a second one ends the process at
// once.
//
//   const runtime::StopOnSignals signals(*env);
//   const auto result = env->run(program(*env));
//   if (signals.caught() != 0) ...                 // exit with 128 + the signal
//
// Threads    One object at a time in a process. The Env outlives it.
#pragma once

namespace ff::runtime {

class RealEnv;

class StopOnSignals {
 public:
  explicit StopOnSignals(RealEnv& env);
  // Puts the former actions back.
  ~StopOnSignals();
  StopOnSignals(const StopOnSignals&) = delete;
  StopOnSignals& operator=(const StopOnSignals&) = delete;

  // The signal that came, or 0.
  int caught() const noexcept;
};

}  // namespace ff::runtime
