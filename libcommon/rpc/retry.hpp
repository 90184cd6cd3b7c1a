// When a call may be tried again, and after how long. Pure.
//
// Why so     An attempt that may have run must not run again unless that is the same as running once: because the
// method
//            says so (idempotency_level), or because the same start of the server remembers the key. An attempt that
//            surely did not run may always be repeated.
// Back-off   Exponential with jitter between half and all of it, so that clients that failed together do not return
//            together (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog 2015); never earlier than the
//            server advises.
// Budget     Retries may add a tenth to a client's load in the long run, plus a handful: a server that fails because
//            it is overloaded is not buried by retries. (As gRPC's retry throttling, gRFC A6.)
#pragma once

#include <cstdint>

#include "libcommon/base/error.hpp"
#include "libcommon/base/rng.hpp"
#include "libcommon/runtime/time.hpp"

namespace ff::rpc {

// How an attempt failed.
struct Failure {
  Errc code = Errc::kInternal;
  bool may_have_run = true;
  std::uint32_t retry_after_ms = 0;
};

// What is known of the operation.
struct Repeatable {
  bool by_method = false;  // idempotent, or without side effects
  bool by_key = false;     // it carries a key, and the server that has seen it is the one that would see it again
};

// kUnavailable, kExhausted and the timeout of one attempt pass; others are answers.
bool may_retry(const Failure& failure, Repeatable repeatable) noexcept;

// Before attempt 1 + `failures`; REQUIRES: failures >= 1.
runtime::Duration backoff(Rng& rng, std::uint32_t failures, runtime::Duration base, runtime::Duration most) noexcept;

class RetryBudget {
 public:
  // A call that needed no retry.
  void succeeded() noexcept { tenths_ = tenths_ < kMost ? tenths_ + 1 : kMost; }
  // True: one retry is spent.
  bool spend() noexcept {
    if (tenths_ < 10) return false;
    tenths_ -= 10;
    return true;
  }

 private:
  static constexpr std::uint32_t kMost = 1000;
  std::uint32_t tenths_ = kMost;
};

}  // namespace ff::rpc
