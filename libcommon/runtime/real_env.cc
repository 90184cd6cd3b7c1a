#include "libcommon/runtime/real_env.hpp"

#include <fmt/core.h>
#include <sched.h>
#include <sys/random.h>

#include <algorithm>
#include <cerrno>

#include "libcommon/base/assert.hpp"
#include "libcommon/base/defer.hpp"
#include "libcommon/runtime/epoll_env.hpp"
#include "libcommon/runtime/mailbox.hpp"
#include "libcommon/runtime/offload.hpp"
#include "libcommon/runtime/uring_env.hpp"

namespace ff::runtime {

namespace {

std::uint64_t next_env_id() noexcept {
  static std::atomic<std::uint64_t> last = 0;
  return ++last;
}

std::uint64_t random_seed() {
  std::uint64_t seed = 0;
  // Up to 256 bytes come whole once the kernel's generator is ready; before that we wait.
  while (::getrandom(&seed, sizeof seed, 0) != sizeof seed) FF_ASSERT(errno == EINTR, errno);
  return seed;
}

Result<> check_range(const char* name, std::uint64_t value, std::uint64_t min, std::uint64_t max) {
  if (value >= min && value <= max) return {};
  return fail(Errc::kInvalidArgument,
              fmt::format("RealEnvOptions::{}: {} is out of range (give {} to {})", name, value, min, max));
}

Result<> check(const RealEnvOptions& options) {
  FF_TRY(check_range("queue_entries", options.queue_entries, 8, 32768));
  FF_TRY(check_range("offload_threads", options.offload_threads, 1, 1024));
  FF_TRY(check_range("offload_queue", options.offload_queue, 1, 1u << 20));
  FF_TRY(check_range("registered_bytes", options.registered_bytes, 0, std::uint64_t{1} << 40));
  FF_TRY(check_range("receive_buffers", options.receive_buffers, 1, 32768));
  FF_TRY(check_range("receive_buffer_bytes", options.receive_buffer_bytes, 64, 16u << 20));
  if (options.spin < Duration(0))
    return fail(Errc::kInvalidArgument, "RealEnvOptions::spin: negative (give 0 or more)");
  if (options.cpu < 0) return {};
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return fail(errno_error("sched_getaffinity"));
  if (options.cpu >= CPU_SETSIZE || !CPU_ISSET(options.cpu, &allowed)) {
    return fail(
        Errc::kInvalidArgument,
        fmt::format("RealEnvOptions::cpu: CPU {} is not one this process may use (see taskset -p)", options.cpu));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<RealEnv>> RealEnv::create(const RealEnvOptions& options) {
  FF_TRY(check(options));
  std::string fallback_reason;
  if (options.backend != Backend::kEpoll) {
    auto env = UringEnv::create(options);
    if (env) return std::unique_ptr<RealEnv>(std::move(*env));
    // Too few descriptors or too little memory is nothing that another backend would cure.
    if (options.backend == Backend::kUring || env.error().code() == Errc::kExhausted) {
      return fail(std::move(env).error());
    }
    fallback_reason = env.error().message();
  }
  FF_TRY_ASSIGN(std::unique_ptr<RealEnv> env, EpollEnv::create(options));
  env->fallback_reason_ = std::move(fallback_reason);
  return env;
}

RealEnv::RealEnv(const RealEnvOptions& options, std::unique_ptr<Mailbox> mailbox)
    : Env(next_env_id(), random_seed()),
      mailbox_(std::move(mailbox)),
      offload_(std::make_unique<OffloadPool>(*mailbox_, options.offload_threads, options.offload_queue)),
      spin_(options.spin),
      cpu_(options.cpu) {}

RealEnv::~RealEnv() = default;

Time RealEnv::now() const noexcept { return std::chrono::steady_clock::now(); }
WallTime RealEnv::wall_now() const noexcept { return std::chrono::system_clock::now(); }

net::Network& RealEnv::network() {
  FF_ASSERT(network_ != nullptr);
  return *network_;
}

bool RealEnv::post(std::function<void()> work) { return mailbox_->post(std::move(work)); }

void RealEnv::stop() noexcept {
  stop_.store(true, std::memory_order_release);
  mailbox_->interrupt();
}

Task<Result<>> RealEnv::offload(std::function<void()> work) {
  co_return co_await OffloadCall(*this, *offload_, OffloadPool::Limit::kQueue, std::move(work));
}

void RealEnv::run_root(Task<void> main) {
  pin();
  begin_run();
  mailbox_->open();
  {
    Scope root(*this);
    root.spawn(std::move(main));
    while (root.running() > 0) {
      if (stop_.load(std::memory_order_acquire) && !root.context().cancelled()) {
        root.cancel(Error(Errc::kCancelled, "stopped on request"));
      }
      run_ready();
      if (mailbox_->has_mail()) mailbox_->drain();
      timers_.expire(now());
      if (root.running() > 0) wait_for_work();
    }
  }
  mailbox_->close();
  mailbox_->drain();
  run_ready();
  end_run();
}

void RealEnv::pin() const {
  if (cpu_ < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu_, &set);
  // create() has checked the CPU; if it has been taken from us since, running elsewhere is the better answer.
  (void)::sched_setaffinity(0, sizeof set, &set);
}

void RealEnv::run_ready() {
  // What becomes ready meanwhile waits for the next round, so that tasks which wake each other do not keep the kernel's
  // news and the timers waiting; a few rounds share one system call.
  constexpr int kRounds = 8;
  for (int round = 0; round < kRounds && !ready_.empty(); ++round) {
    IntrusiveList<Waiter, Waiter> batch;
    batch.splice_back(ready_);
    while (Waiter* waiter = batch.pop_front()) waiter->resume();
  }
}

void RealEnv::wait_for_work() {
  if (!ready_.empty() || mailbox_->has_mail()) return poll(kPollOnly);
  const Time next = timers_.next();
  if (spin_ > Duration(0)) {
    const Time until = std::min(next, saturating_add(now(), spin_));
    do {
      poll(kPollOnly);
      if (!ready_.empty() || mailbox_->has_mail() || stop_.load(std::memory_order_relaxed)) return;
    } while (now() < until);
  }
  if (!mailbox_->announce_sleep()) return poll(kPollOnly);
  poll(next);
  mailbox_->awake();
}

}  // namespace ff::runtime
