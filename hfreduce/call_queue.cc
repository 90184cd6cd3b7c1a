#include "hfreduce/call_queue.hpp"

#include <new>

namespace ff::hfreduce {

void Request::State::queued() {
  const std::lock_guard lock(mutex);
  collected = false;
}

void Request::State::finish(Result<> outcome, std::int64_t begin, std::int64_t end) {
  const std::lock_guard lock(mutex);
  result = std::move(outcome);
  collected = false;
  begin_ns = begin;
  end_ns = end;
  done = true;
  changed.notify_all();
}

Result<> Request::wait() {
  if (!state_) return fail(Errc::kInvalidArgument, "wait: this request was never given to a call");
  std::unique_lock lock(state_->mutex);
  if (state_->collected)
    return fail(Errc::kInvalidArgument, "wait: the call is in a group that has not ended (call group_end first)");
  state_->changed.wait(lock, [this] { return state_->done; });
  return state_->result;
}

bool Request::done() const {
  if (!state_) return false;
  const std::lock_guard lock(state_->mutex);
  return state_->done;
}

std::int64_t Request::begin_ns() const {
  if (!state_) return 0;
  const std::lock_guard lock(state_->mutex);
  return state_->begin_ns;
}

std::int64_t Request::end_ns() const {
  if (!state_) return 0;
  const std::lock_guard lock(state_->mutex);
  return state_->end_ns;
}

CallQueue::~CallQueue() { stop(); }

void CallQueue::stop() noexcept {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    wake_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

// busy_ and queued_ are sequentially consistent: either the releaser sees the new item and wakes the thread, or the
// pushing thread's wake-up finds the queue released.
bool CallQueue::try_claim() noexcept { return queued_.load() == 0 && !busy_.exchange(true); }

void CallQueue::release() noexcept {
  busy_.store(false);
  if (queued_.load() == 0) return;
  const std::lock_guard lock(mutex_);
  wake_.notify_one();
}

void CallQueue::push(Work work, States states) {
  const std::lock_guard lock(mutex_);
  // What can fail comes first.
  if (!thread_.joinable()) thread_ = std::thread([this] { serve(); });
  queue_.push_back({std::move(work), std::move(states)});
  queued_.fetch_add(1);
  for (const auto& state : queue_.back().states) state->queued();
  wake_.notify_one();
}

void CallQueue::serve() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return (stop_ && queue_.empty()) || (!queue_.empty() && !busy_.exchange(true)); });
    if (queue_.empty()) return;
    Item item = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    const std::int64_t begin = Trace::now_ns();
    Result<> outcome = item.work();
    item.work = nullptr;
    // Free the queue before anyone learns of the end, so that a blocking call made then runs on its own thread.
    busy_.store(false);
    queued_.fetch_sub(1);
    const std::int64_t end = Trace::now_ns();
    for (const auto& state : item.states) {
      try {
        state->finish(outcome, begin, end);
      } catch (const std::bad_alloc&) {  // copying a long message; this one fits without memory
        state->finish(fail(Errc::kExhausted, "out of memory"), begin, end);
      }
    }
    lock.lock();
  }
}

}  // namespace ff::hfreduce
