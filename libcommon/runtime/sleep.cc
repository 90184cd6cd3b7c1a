#include "libcommon/runtime/sleep.hpp"

namespace ff::runtime {

bool Sleep::begin(Context& context, std::coroutine_handle<> handle) {
  if (context.cancelled()) {
    error_ = context.why();
    return false;
  }
  env_ = &context.env();
  suspend(handle);
  context.add(*this);
  const Time after_wait = wait_ == Duration::max() ? kNever : saturating_add(env_->now(), wait_);
  env_->arm(*this, after_wait < until_ ? after_wait : until_);
  return true;
}

void Sleep::expired() {
  CancelHook::unlink();
  env_->ready(*this);
}

void Sleep::on_cancel(const Error& why) {
  error_ = why;
  disarm();
  env_->ready(*this);
}

}  // namespace ff::runtime
