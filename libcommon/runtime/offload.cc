#include "libcommon/runtime/offload.hpp"

#include <fmt/core.h>

#include <csignal>
#include <system_error>

#include "libcommon/base/assert.hpp"

namespace ff::runtime {

OffloadPool::OffloadPool(Mailbox& mailbox, std::uint32_t threads, std::uint32_t queue)
    : mailbox_(mailbox), threads_max_(threads), queue_max_(queue) {
  threads_.reserve(threads);
}

OffloadPool::~OffloadPool() {
  for (auto& thread : threads_) thread.request_stop();
  threads_.clear();
  FF_ASSERT(waiting_.empty());
}

Result<> OffloadPool::submit(OffloadJob& job, Limit limit) {
  bool start_thread = false;
  {
    std::lock_guard lock(mutex_);
    if (limit == Limit::kQueue && waiting_count_ >= queue_max_) {
      return fail(
          Errc::kExhausted,
          fmt::format("offload: {} jobs wait already (try again later, or configure more threads)", queue_max_));
    }
    waiting_.push_back(job);
    job.waiting_ = true;
    ++waiting_count_;
    start_thread = waiting_count_ > idle_ && threads_.size() < threads_max_;
  }
  has_work_.notify_one();
  if (!start_thread) return {};
  // Signals are for the threads that the program meant for them.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  Result<> result;
  try {
    threads_.emplace_back([this](std::stop_token stop) { work(stop); });
  } catch (const std::system_error& error) {
    if (threads_.empty() && withdraw(job)) {
      result = fail(Errc::kExhausted, fmt::format("offload: start a thread: {} (see ulimit -u)", error.what()));
    }
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return result;
}

bool OffloadPool::withdraw(OffloadJob& job) {
  std::lock_guard lock(mutex_);
  if (!std::exchange(job.waiting_, false)) return false;
  static_cast<Delivery&>(job).unlink();
  --waiting_count_;
  return true;
}

void OffloadPool::work(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    const bool found = has_work_.wait(lock, stop, [&] { return !waiting_.empty(); });
    --idle_;
    if (!found) return;
    auto* job = static_cast<OffloadJob*>(waiting_.pop_front());
    --waiting_count_;
    job->waiting_ = false;
    lock.unlock();
    job->run();
    mailbox_.deliver(*job);
    lock.lock();
  }
}

OffloadCall::~OffloadCall() { FF_ASSERT(!submitted_); }

bool OffloadCall::begin(Context& context, std::coroutine_handle<> handle) {
  if (context.cancelled()) {
    error_ = context.why();
    return false;
  }
  suspend(handle);
  if (auto result = pool_.submit(*this, limit_); !result) {
    error_ = std::move(result).error();
    return false;
  }
  submitted_ = true;
  context.add(*this);
  return true;
}

void OffloadCall::delivered() {
  submitted_ = false;
  CancelHook::unlink();
  env_.ready(*this);
}

void OffloadCall::on_cancel(const Error& why) {
  if (!pool_.withdraw(*this)) return;
  submitted_ = false;
  error_ = why;
  env_.ready(*this);
}

}  // namespace ff::runtime
