#include "libcommon/runtime/stop_signal.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>

#include "libcommon/base/assert.hpp"
#include "libcommon/runtime/real_env.hpp"

namespace ff::runtime {

namespace {

constexpr std::array<int, 3> kSignals = {SIGINT, SIGTERM, SIGHUP};

// What a handler may reach.
std::atomic<RealEnv*> stopped_env{nullptr};
std::atomic<int> caught_signal{0};
static_assert(std::atomic<RealEnv*>::is_always_lock_free && std::atomic<int>::is_always_lock_free);
std::array<struct sigaction, kSignals.size()> former{};

extern "C" void stop_env(int number) {
  const int saved_errno = errno;
  for (const int each : kSignals) ::signal(each, SIG_DFL);
  caught_signal.store(number, std::memory_order_relaxed);
  if (RealEnv* const env = stopped_env.load(std::memory_order_relaxed)) env->stop();
  errno = saved_errno;
}

}  // namespace

StopOnSignals::StopOnSignals(RealEnv& env) {
  RealEnv* none = nullptr;
  FF_ASSERT(stopped_env.compare_exchange_strong(none, &env), "one StopOnSignals at a time");
  caught_signal = 0;
  struct sigaction action{};
  action.sa_handler = stop_env;
  for (std::size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &action, &former[i]);
}

StopOnSignals::~StopOnSignals() {
  for (std::size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &former[i], nullptr);
  stopped_env = nullptr;
}

int StopOnSignals::caught() const noexcept { return caught_signal.load(std::memory_order_relaxed); }

}  // namespace ff::runtime
