#include "libcommon/runtime/timer.hpp"

#include "libcommon/base/assert.hpp"

namespace ff::runtime {

Timer::~Timer() { disarm(); }

void Timer::disarm() noexcept {
  if (queue_ != nullptr) queue_->remove(*this);
}

TimerQueue::~TimerQueue() {
  for (Timer* timer : heap_) timer->queue_ = nullptr;
}

void TimerQueue::arm(Timer& timer, Time when) {
  FF_ASSERT(!timer.armed());
  timer.queue_ = this;
  timer.when_ = when;
  timer.order_ = next_order_++;
  heap_.push_back(&timer);
  timer.index_ = heap_.size() - 1;
  sift_up(timer.index_);
}

std::size_t TimerQueue::expire(Time now) {
  const std::uint64_t armed_before = next_order_;
  std::size_t count = 0;
  // A timer that re-arms itself for a moment that has passed must not keep this loop going for ever.
  while (!heap_.empty() && heap_.front()->when_ <= now && heap_.front()->order_ < armed_before) {
    Timer& timer = *heap_.front();
    remove(timer);
    ++count;
    timer.expired();
  }
  return count;
}

void TimerQueue::remove(Timer& timer) noexcept {
  const std::size_t index = timer.index_;
  Timer* last = heap_.back();
  heap_.pop_back();
  timer.queue_ = nullptr;
  if (last == &timer) return;
  place(index, last);
  sift_up(index);
  sift_down(last->index_);
}

void TimerQueue::sift_up(std::size_t index) noexcept {
  Timer* timer = heap_[index];
  while (index > 0) {
    const std::size_t parent = (index - 1) / 2;
    if (!before(*timer, *heap_[parent])) break;
    place(index, heap_[parent]);
    index = parent;
  }
  place(index, timer);
}

void TimerQueue::sift_down(std::size_t index) noexcept {
  Timer* timer = heap_[index];
  for (;;) {
    std::size_t child = 2 * index + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && before(*heap_[child + 1], *heap_[child])) ++child;
    if (!before(*heap_[child], *timer)) break;
    place(index, heap_[child]);
    index = child;
  }
  place(index, timer);
}

}  // namespace ff::runtime
