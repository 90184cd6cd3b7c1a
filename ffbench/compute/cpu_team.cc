#include "ffbench/compute/cpu_team.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>

#include "ffbench/measure/processors.hpp"

namespace ff::bench {
namespace {

// What the threads and the caller tell each other. All fields are guarded by the mutex.
struct Muster {
  enum class Order { kWait, kWork, kGoHome };
  std::mutex mutex;
  std::condition_variable changed;
  Order order = Order::kWait;
  std::size_t bound = 0;
  std::size_t ended = 0;
  std::optional<Error> error;
};

void serve(Muster& muster, int cpu, std::size_t index, const std::function<void(std::size_t)>& work) {
  const auto pinned = pin_this_thread({&cpu, 1});
  std::unique_lock lock(muster.mutex);
  ++muster.bound;
  if (!pinned) muster.error = pinned.error();
  muster.changed.notify_all();
  // The caller decides as soon as every thread has reported, which each does at once.
  muster.changed.wait(lock, [&] { return muster.order != Muster::Order::kWait; });
  if (muster.order == Muster::Order::kWork) {
    lock.unlock();
    work(index);
    lock.lock();
  }
  ++muster.ended;
  muster.changed.notify_all();
}

}  // namespace

Result<std::vector<int>> usable_cpus(const std::vector<int>& wanted) {
  if (wanted.empty()) return allowed_processors();
  FF_TRY(check_processors(wanted));
  for (auto cpu = wanted.begin(); cpu != wanted.end(); ++cpu) {
    if (std::find(wanted.begin(), cpu, *cpu) != cpu)
      return fail(Errc::kInvalidArgument, fmt::format("processor {}: named twice (give each once)", *cpu));
  }
  return wanted;
}

Result<> run_on_cpus(std::span<const int> cpus, const std::function<void(std::size_t)>& work,
                     const std::function<void()>& tick) {
  Muster muster;
  std::vector<std::jthread> threads;
  threads.reserve(cpus.size());
  bool started = true;
  for (std::size_t i = 0; i < cpus.size() && started; ++i) {
    try {
      threads.emplace_back([&muster, &work, cpu = cpus[i], i] { serve(muster, cpu, i, work); });
    } catch (const std::system_error&) {
      started = false;
    }
  }
  std::unique_lock lock(muster.mutex);
  muster.changed.wait(lock, [&] { return muster.bound == threads.size(); });
  const bool go = started && !muster.error;
  muster.order = go ? Muster::Order::kWork : Muster::Order::kGoHome;
  muster.changed.notify_all();
  while (muster.ended < threads.size()) {
    if (muster.changed.wait_for(lock, std::chrono::milliseconds(100)) == std::cv_status::timeout && tick && go) {
      lock.unlock();
      tick();
      lock.lock();
    }
  }
  lock.unlock();
  if (!started)
    return fail(Errc::kExhausted, fmt::format("thread {} of {}: not started (raise the limit of processes)",
                                              threads.size(), cpus.size()));
  if (muster.error) return fail(*std::move(muster.error));
  return {};
}

Share share_of(std::size_t count, std::size_t unit, std::size_t index, std::size_t parts) noexcept {
  const std::size_t units = count / unit;
  const auto start = [&](std::size_t i) {
    return static_cast<std::size_t>(static_cast<unsigned __int128>(units) * i / parts) * unit;
  };
  return {start(index), index + 1 == parts ? count : start(index + 1)};
}

}  // namespace ff::bench
