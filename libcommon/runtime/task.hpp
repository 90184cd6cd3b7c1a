// Task<T>: a lazy coroutine with one owner. Nothing runs until it is awaited (or given to Scope::spawn); awaiting it
// runs it under the awaiter's Context and gives its value. Destroying a Task destroys its frame and, with it, all that
// it awaits: only a simulation that kills a node does so while the task is suspended; elsewhere cancel and join.
//
//   Task<Result<int>> f(Env& env) {
//     FF_CO_TRY(co_await sleep(1s));
//     FF_CO_TRY_ASSIGN(auto n, co_await g());
//     co_return n + 1;
//   }
//
// Arguments  A coroutine keeps its parameters, not what they refer to. Take by value, or by reference to what outlives
//            the task. A lambda with captures must outlive its coroutine: prefer functions, or capture nothing.
// Errors     Results. An exception that leaves a task ends the program: those who call throwing libraries catch.
// Wrappers   A plain function that returns a Task is marked [[clang::coro_wrapper]]; the compiler then checks, for
// every
//            call, that temporaries bound to reference parameters outlive the Task.
// Threads    A task runs on the thread of its Env, always.
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include "libcommon/base/result.hpp"
#include "libcommon/runtime/context.hpp"
#include "libcommon/runtime/frame_pool.hpp"

namespace ff::runtime {

// What the promise of every coroutine of ours has; leaf waits read the context from it.
struct PromiseBase {
  Context* context = nullptr;
  std::coroutine_handle<> continuation;

  static void* operator new(std::size_t bytes) { return allocate_frame(bytes); }
  static void operator delete(void* frame, std::size_t bytes) noexcept { free_frame(frame, bytes); }

  std::suspend_always initial_suspend() noexcept { return {}; }
  void unhandled_exception() noexcept { std::terminate(); }

  struct FinalAwaiter {
    bool await_ready() noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) noexcept {
      return self.promise().continuation;
    }
    void await_resume() noexcept {}
  };
  FinalAwaiter final_suspend() noexcept { return {}; }
};

template <class Promise>
concept TaskPromise = std::is_base_of_v<PromiseBase, Promise>;

template <class T = void>
class [[nodiscard, clang::coro_return_type, clang::coro_lifetimebound]] Task {
 public:
  struct promise_type;
  using Handle = std::coroutine_handle<promise_type>;
  using value_type = T;

  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      if (handle_) handle_.destroy();
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  class Awaiter;
  Awaiter operator co_await() && noexcept { return Awaiter(std::exchange(handle_, nullptr), nullptr); }
  // Awaits it under `context` instead of the awaiter's own. REQUIRES: `context` outlives the await.
  Awaiter under(Context& context) && noexcept { return Awaiter(std::exchange(handle_, nullptr), &context); }

 private:
  explicit Task(Handle handle) noexcept : handle_(handle) {}
  Handle handle_;
};

template <class T>
struct TaskPromiseValue : PromiseBase {
  std::optional<T> value;
  template <class U = T>
    requires std::is_constructible_v<T, U&&>
  void return_value(U&& result) {
    value.emplace(std::forward<U>(result));
  }
};
template <>
struct TaskPromiseValue<void> : PromiseBase {
  void return_void() noexcept {}
};

template <class T>
struct Task<T>::promise_type : TaskPromiseValue<T> {
  [[clang::coro_wrapper]] Task get_return_object() noexcept { return Task(Handle::from_promise(*this)); }
};

template <class T>
class Task<T>::Awaiter {
 public:
  Awaiter(Handle handle, Context* context) noexcept : handle_(handle), context_(context) {}
  Awaiter(const Awaiter&) = delete;
  Awaiter& operator=(const Awaiter&) = delete;
  ~Awaiter() {
    if (handle_) handle_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  template <TaskPromise Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    handle_.promise().continuation = awaiting;
    handle_.promise().context = context_ != nullptr ? context_ : awaiting.promise().context;
    return handle_;
  }
  T await_resume() {
    if constexpr (!std::is_void_v<T>) return std::move(*handle_.promise().value);
  }

 private:
  Handle handle_;
  Context* context_;
};

// co_await current_context(): the Context this coroutine runs under.
struct CurrentContext {
  Context* context = nullptr;
  bool await_ready() const noexcept { return false; }
  template <TaskPromise Promise>
  bool await_suspend(std::coroutine_handle<Promise> self) noexcept {
    context = self.promise().context;
    return false;
  }
  Context& await_resume() const noexcept { return *context; }
};
inline CurrentContext current_context() noexcept { return {}; }

}  // namespace ff::runtime

// In a coroutine that returns Result: evaluates a Result; on error co_returns it.
#define FF_CO_TRY(expr)                                                                                           \
  do {                                                                                                            \
    if (auto ff_try_result = (expr); !ff_try_result) co_return std::unexpected(std::move(ff_try_result).error()); \
  } while (false)

// FF_CO_TRY_ASSIGN(auto reply, co_await call()); declares or assigns `lhs` from the value.
#define FF_CO_TRY_ASSIGN(lhs, expr) FF_CO_TRY_ASSIGN_INNER(FF_CONCAT(ff_try_, __LINE__), lhs, expr)
#define FF_CO_TRY_ASSIGN_INNER(tmp, lhs, expr)                 \
  auto tmp = (expr);                                           \
  if (!tmp) co_return std::unexpected(std::move(tmp).error()); \
  lhs = std::move(*tmp)

// As FF_CO_TRY, with what this layer knows.
#define FF_CO_TRY_CTX(expr, what)                                                \
  do {                                                                           \
    if (auto ff_try_result = (expr); !ff_try_result)                             \
      co_return std::unexpected(std::move(ff_try_result).error().context(what)); \
  } while (false)
