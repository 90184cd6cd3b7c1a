// The retry loop that kv_store.hpp declares.
//
// The body runs once for each attempt, on a transaction of its own; it must be harmless to run again. An error that it
// returns abandons the transaction and is what transact() returns, as are errors of commit(). Cancellation and the
// timeout end the loop at the next wait, with the context's error, which says how often there was a conflict, or that
// the outcome is unknown.
#pragma once

#include <type_traits>

#include "libcommon/kv/kv_store.hpp"
#include "libcommon/runtime/scope.hpp"

namespace ff::kv {

namespace detail {
// How long to wait before attempt number `attempt` (from 1): random, and longer the more attempts failed.
runtime::Duration backoff(Rng& rng, unsigned attempt) noexcept;
// Adds what the loop knows when it is given up.
Error gave_up(Error why, unsigned conflicts, bool maybe_committed);
Error outcome_unknown();

template <class Body, class TaskType = std::invoke_result_t<Body&, Transaction&>>
TaskType transact_until_done(runtime::Env& env, KvStore& store, bool retry_maybe_committed, Body& body) {
  runtime::Context& context = co_await runtime::current_context();
  bool maybe_committed = false;
  for (unsigned attempt = 1;; ++attempt) {
    const std::unique_ptr<Transaction> transaction = store.begin();
    typename TaskType::value_type result = co_await body(*transaction);
    if (!result) {
      if (!context.cancelled()) co_return result;
      co_return std::unexpected(gave_up(std::move(result).error(), attempt - 1, maybe_committed));
    }
    Result<Commit> commit = co_await transaction->commit();
    if (!commit) co_return std::unexpected(gave_up(std::move(commit).error(), attempt - 1, maybe_committed));
    if (commit->outcome == Outcome::kCommitted) co_return result;
    if (commit->outcome == Outcome::kMaybeCommitted) {
      if (!retry_maybe_committed) co_return std::unexpected(outcome_unknown());
      maybe_committed = true;
    }
    if (auto waited = co_await runtime::sleep(backoff(env.rng(), attempt)); !waited) {
      co_return std::unexpected(gave_up(std::move(waited).error(), attempt, maybe_committed));
    }
  }
}
}  // namespace detail

template <class Body>
auto transact(runtime::Env& env, KvStore& store, TransactOptions options, Body body)
    -> std::invoke_result_t<Body&, Transaction&> {
  co_return co_await runtime::with_timeout(
      options.timeout, "transaction", detail::transact_until_done(env, store, options.retry_maybe_committed, body));
}

}  // namespace ff::kv
