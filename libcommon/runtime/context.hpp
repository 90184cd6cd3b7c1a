// Context: what a tree of tasks shares: its Env, whether it has been cancelled and why, its deadline, its trace id.
// A task inherits the context of whoever awaits it; a Scope and with_timeout() make children. Cancelling a context
// cancels its children; every suspended wait below it ends with the given error.
//
// Ownership  Lives in the frame (or object) that made it and outlives all tasks that run under it.
// Threads    Those of its Env: one.
#pragma once

#include <cstdint>
#include <optional>

#include "libcommon/base/error.hpp"
#include "libcommon/runtime/list.hpp"
#include "libcommon/runtime/time.hpp"

namespace ff::runtime {

class Env;

// Something that wants to know when its context is cancelled: a wait, or a child context.
class CancelHook : public ListHook<CancelHook> {
 public:
  virtual void on_cancel(const Error& why) = 0;

 protected:
  ~CancelHook() = default;
};

class Context final : private CancelHook {
 public:
  // The root of a tree; trace 0 means none.
  explicit Context(Env& env, std::uint64_t trace = 0) noexcept : env_(env), trace_(trace) {}
  // A child: cancelled with its parent, no later deadline than it, same trace.
  explicit Context(Context& parent);
  ~Context() = default;

  Env& env() const noexcept { return env_; }

  // Ends every wait below with `why`; later waits fail at once. The first call counts, others do nothing.
  void cancel(Error why);
  bool cancelled() const noexcept { return why_.has_value(); }
  // REQUIRES: cancelled().
  const Error& why() const noexcept { return *why_; }

  // When the tree should have finished; what a remote call passes on. It does not cancel by itself: with_timeout()
  // arms the timer that does.
  Time deadline() const noexcept { return deadline_; }
  void set_deadline(Time deadline) noexcept {
    if (deadline < deadline_) deadline_ = deadline;
  }

  std::uint64_t trace() const noexcept { return trace_; }
  void set_trace(std::uint64_t trace) noexcept { trace_ = trace; }

  // REQUIRES: not cancelled. The hook leaves by unlink() or by being destroyed; it is unlinked before on_cancel().
  void add(CancelHook& hook) noexcept { hooks_.push_back(hook); }

 private:
  void on_cancel(const Error& why) override { cancel(why); }

  Env& env_;
  std::uint64_t trace_;
  Time deadline_ = kNever;
  std::optional<Error> why_;
  IntrusiveList<CancelHook, CancelHook> hooks_;
};

}  // namespace ff::runtime
