// A handler may do very little: it notes the signal and wakes a thread through an eventfd, and that thread requests the
// stop, whose callbacks may lock and allocate.
#include "ffbench/measure/signals.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <thread>

#include "libcommon/base/assert.hpp"
#include "libcommon/base/unique_fd.hpp"

namespace ff::bench {
namespace {

constexpr std::array<int, 2> kSignals = {SIGINT, SIGTERM};

std::atomic<int> caught{0};
std::atomic<int> wake_fd{-1};
std::atomic<pid_t> owner{0};
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<pid_t>::is_always_lock_free);

extern "C" void on_stop_signal(int number) {
  const int saved_errno = errno;
  for (const int each : kSignals) ::signal(each, SIG_DFL);
  if (::getpid() != owner.load(std::memory_order_relaxed)) {
    ::raise(number);
  } else {
    caught.store(number, std::memory_order_relaxed);
    const std::uint64_t one = 1;
    // A full counter is a wake that is under way already.
    [[maybe_unused]] const auto written = ::write(wake_fd.load(std::memory_order_relaxed), &one, sizeof one);
  }
  errno = saved_errno;
}

}  // namespace

struct StopOnSignal::State {
  UniqueFd wake;
  std::array<struct sigaction, kSignals.size()> before{};
  std::stop_source source;
  std::jthread watcher;

  void watch(const std::stop_token& ended) {
    while (!ended.stop_requested()) {
      pollfd waiting{.fd = wake.get(), .events = POLLIN, .revents = 0};
      if (::poll(&waiting, 1, 1000) > 0 && caught.load(std::memory_order_relaxed) != 0) {
        source.request_stop();
        return;
      }
    }
  }
};

Result<std::unique_ptr<StopOnSignal>> StopOnSignal::install() {
  FF_ASSERT(wake_fd.load() == -1, wake_fd.load());
  auto state = std::make_unique<State>();
  state->wake = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!state->wake) return fail(errno_error("eventfd"));
  caught = 0;
  owner = ::getpid();
  wake_fd = state->wake.get();
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    struct sigaction action{};
    action.sa_handler = on_stop_signal;
    // Interrupted reads and waits go on; the token ends them.
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    for (const int each : kSignals) sigaddset(&action.sa_mask, each);
    ::sigaction(kSignals[i], nullptr, &state->before[i]);
    if (state->before[i].sa_handler != SIG_IGN) ::sigaction(kSignals[i], &action, nullptr);
  }
  state->watcher = std::jthread([at = state.get()](const std::stop_token& ended) { at->watch(ended); });
  return std::unique_ptr<StopOnSignal>(new StopOnSignal(std::move(state)));
}

StopOnSignal::StopOnSignal(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}

StopOnSignal::~StopOnSignal() {
  for (std::size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &state_->before[i], nullptr);
  state_->watcher.request_stop();
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(state_->wake.get(), &one, sizeof one);
  state_->watcher.join();
  wake_fd = -1;
}

std::stop_token StopOnSignal::token() const noexcept { return state_->source.get_token(); }
int StopOnSignal::signal() const noexcept { return caught.load(std::memory_order_relaxed); }

}  // namespace ff::bench
