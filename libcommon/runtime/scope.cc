#include "libcommon/runtime/scope.hpp"

#include <fmt/core.h>

namespace ff::runtime {

namespace {
thread_local int kill_guards = 0;
}

KillGuard::KillGuard() noexcept { ++kill_guards; }
KillGuard::~KillGuard() { --kill_guards; }

// Owned by the scope's list of frames; destroys itself when the task has ended.
struct Scope::Runner {
  struct promise_type : PromiseBase, FrameHook, Waiter {
    Scope* scope;
    template <class TaskType>
    promise_type(Scope* owner, TaskType&) noexcept : scope(owner) {
      context = &owner->context_;
    }
    Runner get_return_object() noexcept { return Runner{std::coroutine_handle<promise_type>::from_promise(*this)}; }
    struct Final {
      std::optional<Error> error;
      bool await_ready() const noexcept { return false; }
      void await_suspend(std::coroutine_handle<promise_type> self) noexcept {
        Scope& owner = *self.promise().scope;
        std::optional<Error> failure = std::move(self.promise().error);
        self.destroy();
        owner.finished(std::move(failure));
      }
      void await_resume() noexcept {}
    };
    Final final_suspend() noexcept { return {}; }
    void return_value(std::optional<Error> failure) noexcept { error = std::move(failure); }
    std::optional<Error> error;
  };
  std::coroutine_handle<promise_type> handle;
};

Scope::Runner Scope::run(Scope*, Task<Result<>> task) {
  Result<> result = co_await std::move(task);
  if (result) co_return std::nullopt;
  co_return std::move(result).error();
}

Scope::Runner Scope::run(Scope*, Task<void> task) {
  co_await std::move(task);
  co_return std::nullopt;
}

void Scope::start(Runner runner) {
  auto& promise = runner.handle.promise();
  promise.frame = runner.handle;
  frames_.push_back(promise);
  ++running_;
  promise.suspend(runner.handle);
  context_.env().ready(promise);
}

void Scope::spawn(Task<Result<>> task) { start(run(this, std::move(task))); }
void Scope::spawn(Task<void> task) { start(run(this, std::move(task))); }

void Scope::finished(std::optional<Error> error) {
  --running_;
  if (error && !error_ && !(context_.cancelled() && error->code() == Errc::kCancelled)) {
    error_ = error;
    context_.cancel(std::move(*error));
  }
  // Once: tasks may be spawned and end again before the one that joins has run.
  if (running_ == 0 && joining_ != nullptr) context_.env().ready(*std::exchange(joining_, nullptr));
}

Task<Result<>> Scope::join() {
  // Again if somebody spawned between our waking and now.
  while (running_ > 0) co_await Join(*this);
  if (error_) co_return std::unexpected(*error_);
  co_return {};
}

Scope::~Scope() {
  FF_ASSERT(running_ == 0 || kill_guards > 0, running_);
  while (FrameHook* hook = frames_.pop_front()) hook->frame.destroy();
}

TimeoutContext::TimeoutContext(Context& parent, Time when, const char* what) : context_(parent), what_(what) {
  context_.set_deadline(when);
  if (!context_.cancelled() && when != kNever) context_.env().arm(*this, when);
}

void TimeoutContext::expired() { context_.cancel(Error(Errc::kTimeout, fmt::format("{}: deadline passed", what_))); }

}  // namespace ff::runtime
