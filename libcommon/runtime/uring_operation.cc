#include "libcommon/runtime/uring_operation.hpp"

#include <liburing.h>

#include <cerrno>

#include "libcommon/base/assert.hpp"

namespace ff::runtime {

UringOperationBase::~UringOperationBase() { FF_ASSERT(!in_flight_); }

bool UringOperationBase::begin(Context& context, std::coroutine_handle<> handle) {
  if (context.cancelled()) {
    error_ = context.why();
    return false;
  }
  env_ = &context.env();
  suspend(handle);
  io_uring_sqe& sqe = ring_.prepare(this);
  const auto user_data = sqe.user_data;
  fill(sqe);
  sqe.user_data = user_data;
  in_flight_ = true;
  context.add(*this);
  ring_.filled(sqe);
  return true;
}

Result<int> UringOperationBase::await_resume() {
  const bool interrupted = result_ == -ECANCELED || result_ == -EINTR;
  if (error_ && (env_ == nullptr || interrupted)) return std::unexpected(std::move(*error_));
  return result_;
}

void UringOperationBase::completed(int result, std::uint32_t flags) {
  in_flight_ = false;
  result_ = result;
  flags_ = flags;
  CancelHook::unlink();
  env_->ready(*this);
}

void UringOperationBase::on_cancel(const Error& why) {
  error_ = why;
  ring_.cancel(*this);
}

}  // namespace ff::runtime
