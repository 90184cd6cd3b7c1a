// Structured concurrency: Scope owns tasks that run beside each other; with_timeout(), when_all(), when_any().
//
//   Scope scope(co_await current_context());
//   scope.spawn(accept_loop(...));             // an error of it cancels the others and is what join() returns
//   auto result = co_await scope.join();       // or scope.cancel(...) first
//
// A Scope must have been joined when it is destroyed (asserted), except in a simulation that kills a node, where the
// frames are destroyed as they stand. Use with_scope() where an early return could skip the join.
#pragma once

#include <array>
#include <optional>
#include <tuple>
#include <utility>
#include <variant>

#include "libcommon/runtime/sleep.hpp"
#include "libcommon/runtime/sync.hpp"

namespace ff::runtime {

class Scope {
 public:
  // A child of `parent`; REQUIRES: parent outlives the scope.
  explicit Scope(Context& parent) : context_(parent) {}
  // A root: nothing above it.
  explicit Scope(Env& env, std::uint64_t trace = 0) : context_(env, trace) {}
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
  ~Scope();

  // Starts the task from the ready queue (not inside this call). The first error becomes the scope's and cancels the
  // rest; kCancelled from a task after cancel() is not an error.
  void spawn(Task<Result<>> task);
  // For tasks that deal with their failures themselves.
  void spawn(Task<void> task);

  // Cancels what runs; join() afterwards.
  void cancel(Error why) { context_.cancel(std::move(why)); }
  void cancel() { cancel(Error(Errc::kCancelled, "cancelled")); }
  // Waits for all tasks. Waits even when the awaiter's own context is cancelled: the tasks are then cancelled first
  // (their context is a child), and end. Returns the first error of a task.
  Task<Result<>> join();

  std::size_t running() const noexcept { return running_; }
  Context& context() noexcept { return context_; }

 private:
  struct Runner;  // the coroutine that drives one spawned task
  static Runner run(Scope* scope, Task<Result<>> task);
  static Runner run(Scope* scope, Task<void> task);
  void start(Runner runner);
  void finished(std::optional<Error> error);

  // Frames of running tasks.
  struct FrameHook : ListHook<FrameHook> {
    std::coroutine_handle<> frame;
  };
  // The one that waits in join(); not a WaitQueue, because cancellation must not end it.
  struct Join : Waiter {
    Scope& scope;
    explicit Join(Scope& s) noexcept : scope(s) {}
    bool await_ready() const noexcept { return scope.running_ == 0; }
    void await_suspend(std::coroutine_handle<> self) noexcept {
      suspend(self);
      scope.joining_ = this;
    }
    void await_resume() noexcept { scope.joining_ = nullptr; }
  };

  Context context_;
  IntrusiveList<FrameHook, FrameHook> frames_;
  std::size_t running_ = 0;
  std::optional<Error> error_;
  Join* joining_ = nullptr;
};

// Makes an Env's coming destruction of Scopes legal on this thread; the simulation holds one while it kills a node.
class KillGuard {
 public:
  KillGuard() noexcept;
  ~KillGuard();
};

// Runs body(scope), joins, and returns the first error (the body's own cancels the tasks).
template <class F>
Task<Result<>> with_scope(F body) {
  Scope scope(co_await current_context());
  Result<> result = co_await body(scope).under(scope.context());
  if (!result) scope.cancel(result.error());
  Result<> joined = co_await scope.join();
  co_return result ? joined : result;
}

// A context that is cancelled with kTimeout at a point in time.
class TimeoutContext final : private Timer {
 public:
  TimeoutContext(Context& parent, Time when, const char* what);
  Context& context() noexcept { return context_; }

 private:
  void expired() override;
  Context context_;
  const char* what_;
};

// Runs the task; what it waits for after `wait` ends with kTimeout "<what>: deadline passed".
// `what` names the operation and must be a literal.
template <class T>
Task<Result<T>> with_timeout(Duration wait, const char* what, Task<Result<T>> task) {
  Context& parent = co_await current_context();
  TimeoutContext timeout(parent, saturating_add(parent.env().now(), wait), what);
  co_return co_await std::move(task).under(timeout.context());
}
template <class T>
Task<Result<T>> with_deadline(Time deadline, const char* what, Task<Result<T>> task) {
  TimeoutContext timeout(co_await current_context(), deadline, what);
  co_return co_await std::move(task).under(timeout.context());
}

namespace detail {
template <class T>
Task<void> store(Task<T> task, std::optional<T>& out) {
  out.emplace(co_await std::move(task));
}
template <class T>
Task<void> store_first(Task<T> task, std::optional<T>& out, std::size_t index, std::optional<std::size_t>& first,
                       Scope& scope) {
  T value = co_await std::move(task);
  if (first) co_return;
  out.emplace(std::move(value));
  first = index;
  scope.cancel(Error(Errc::kCancelled, "another task was first"));
}
}  // namespace detail

// All values, when all have finished; an error value of one does not stop the others.
template <class... T>
Task<std::tuple<T...>> when_all(Task<T>... tasks) {
  Scope scope(co_await current_context());
  std::tuple<std::optional<T>...> values;
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    (scope.spawn(detail::store(std::move(tasks), std::get<I>(values))), ...);
  }(std::index_sequence_for<T...>{});
  (void)co_await scope.join();
  co_return std::apply([](auto&... value) { return std::tuple<T...>(std::move(*value)...); }, values);
}
template <class T>
Task<std::vector<T>> when_all(std::vector<Task<T>> tasks) {
  Scope scope(co_await current_context());
  std::vector<std::optional<T>> values(tasks.size());
  for (std::size_t i = 0; i < tasks.size(); ++i) scope.spawn(detail::store(std::move(tasks[i]), values[i]));
  (void)co_await scope.join();
  std::vector<T> out;
  out.reserve(values.size());
  for (auto& value : values) out.push_back(std::move(*value));
  co_return out;
}

// The value of the first to finish and its index; the others are cancelled and joined. REQUIRES: at least one task.
template <class T>
struct First {
  std::size_t index = 0;
  T value;
};
template <class T>
Task<First<T>> when_any(std::vector<Task<T>> tasks) {
  FF_ASSERT(!tasks.empty());
  Scope scope(co_await current_context());
  std::optional<T> value;
  std::optional<std::size_t> first;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    scope.spawn(detail::store_first(std::move(tasks[i]), value, i, first, scope));
  }
  (void)co_await scope.join();
  co_return First<T>{*first, std::move(*value)};
}

}  // namespace ff::runtime
