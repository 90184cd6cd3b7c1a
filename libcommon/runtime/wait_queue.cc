#include "libcommon/runtime/wait_queue.hpp"

namespace ff::runtime {

bool WaitQueue::Wait::begin(Context& context, std::coroutine_handle<> handle) {
  if (context.cancelled()) {
    error_ = context.why();
    return false;
  }
  env_ = &context.env();
  suspend(handle);
  queue_.waits_.push_back(*this);
  context.add(*this);
  return true;
}

void WaitQueue::Wait::wake() noexcept {
  CancelHook::unlink();
  env_->ready(*this);
}

void WaitQueue::Wait::on_cancel(const Error& why) {
  error_ = why;
  Waiter::unlink();
  env_->ready(*this);
}

bool WaitQueue::wake_one() noexcept {
  Waiter* waiter = waits_.pop_front();
  if (waiter == nullptr) return false;
  static_cast<Wait*>(waiter)->wake();
  return true;
}

void WaitQueue::wake_all() noexcept {
  while (wake_one()) {
  }
}

void WaitQueue::fail_all(const Error& why) {
  while (Waiter* waiter = waits_.pop_front()) {
    auto* wait = static_cast<Wait*>(waiter);
    wait->error_ = why;
    wait->wake();
  }
}

}  // namespace ff::runtime
