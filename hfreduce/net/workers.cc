#include "hfreduce/net/workers.hpp"

#include "libcommon/base/assert.hpp"

namespace ff::hfreduce::net {

Workers::Workers(int helpers) {
  for (int i = 1; i <= helpers; ++i) threads_.emplace_back([this, i] { serve(i); });
}

Workers::~Workers() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  begin_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Workers::run(int count, const std::function<void(int)>& function) {
  FF_ASSERT(count >= 1 && count <= static_cast<int>(threads_.size()) + 1, count, threads_.size());
  if (count > 1) {
    std::lock_guard lock(mutex_);
    function_ = &function;
    count_ = count;
    running_ = count - 1;
    ++generation_;
    begin_.notify_all();
  }
  function(0);
  if (count == 1) return;
  std::unique_lock lock(mutex_);
  end_.wait(lock, [this] { return running_ == 0; });
}

void Workers::serve(int number) {
  unsigned seen = 0;
  std::unique_lock lock(mutex_);
  for (;;) {
    begin_.wait(lock, [&] { return stop_ || generation_ != seen; });
    if (stop_) return;
    seen = generation_;
    if (number >= count_) continue;
    const auto* function = function_;
    lock.unlock();
    (*function)(number);
    lock.lock();
    if (--running_ == 0) end_.notify_all();
  }
}

}  // namespace ff::hfreduce::net
