// until_stopped(): a task over an Env that ends when a std::stop_token says so, from whichever thread.
//
//   co_return co_await until_stopped(stop, work(env, stop));
//
// Stop       The task sees the token itself and has kStopGrace to end in its own way (a write under way ends); then
//            what it waits for ends with kCancelled. A cluster that does not answer therefore holds nobody up.
// Threads    That of the Env; the token's owner may be anywhere.
#pragma once

#include <chrono>
#include <optional>
#include <stop_token>

#include "libcommon/runtime/scope.hpp"

namespace ff::bench {

inline constexpr auto kStopSeen = std::chrono::milliseconds(20);
inline constexpr auto kStopGrace = std::chrono::seconds(1);

namespace detail {
template <class T>
runtime::Task<void> keep(runtime::Task<Result<T>> task, std::optional<Result<T>>& out) {
  out.emplace(co_await std::move(task));
}

// Ends when it is cancelled, or with `working`.
inline runtime::Task<void> watch_stop(runtime::Scope& working, std::stop_token stop) {
  while (!stop.stop_requested())
    if (!co_await runtime::sleep(kStopSeen)) co_return;
  if (!co_await runtime::sleep(kStopGrace)) co_return;
  working.cancel(Error(Errc::kCancelled, "stopped"));
}
}  // namespace detail

template <class T>
runtime::Task<Result<T>> until_stopped(std::stop_token stop, runtime::Task<Result<T>> task) {
  runtime::Context& here = co_await runtime::current_context();
  std::optional<Result<T>> value;
  runtime::Scope working(here), watching(here);
  working.spawn(detail::keep(std::move(task), value));
  watching.spawn(detail::watch_stop(working, std::move(stop)));
  (void)co_await working.join();
  watching.cancel();
  (void)co_await watching.join();
  co_return std::move(*value);
}

}  // namespace ff::bench
