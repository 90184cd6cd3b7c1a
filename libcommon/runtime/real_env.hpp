// RealEnv: an Env over the kernel. Two backends with one behaviour and one test suite: io_uring (default), and epoll
// with a thread pool for files where io_uring is forbidden (seccomp, kernel.io_uring_disabled, old kernel).
//
//   FF_TRY_ASSIGN(auto env, RealEnv::create({}));
//   env->attach_network(net::make_tcp_network(*env, ...));
//   Result<int> result = env->run(program(*env));      // this thread becomes the reactor until the task has ended
//
// Threads    run() always on the same thread, which need not be the one that called create(); post() and stop() from
//            any thread (stop() also from a signal handler). Destroy it when no other thread can call it any more.
// Posts      are taken from create() until run() returns; those taken have run by then.
#pragma once

#include <sys/socket.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "libcommon/base/unique_fd.hpp"
#include "libcommon/runtime/env.hpp"
#include "libcommon/runtime/scope.hpp"
#include "libcommon/runtime/socket.hpp"

namespace ff::runtime {

enum class Backend : std::uint8_t { kAuto, kUring, kEpoll };

struct RealEnvOptions {
  Backend backend = Backend::kAuto;            // kUring: an error if the kernel refuses, which says what and why
  std::uint32_t queue_entries = 1024;          // of the submission ring
  std::uint32_t offload_threads = 4;           // for blocking libraries; the epoll backend's files too
  std::uint32_t offload_queue = 1024;          // beyond it: kExhausted
  std::uint64_t registered_bytes = 32u << 20;  // of DiskBuffer memory known to the kernel; 0: none
  std::uint32_t receive_buffers = 256;         // lent by Socket::receive()
  std::uint32_t receive_buffer_bytes = 32 << 10;
  int cpu = -1;                 // pin the reactor; -1: leave it
  Duration spin = Duration(0);  // poll this long before sleeping
};

class Mailbox;
class OffloadPool;

class RealEnv : public Env {
 public:
  ~RealEnv() override;

  // kAuto falls back to epoll; fallback_reason() then says why, for the program to log once.
  static Result<std::unique_ptr<RealEnv>> create(const RealEnvOptions& options);

  virtual Backend backend() const noexcept = 0;
  // Empty unless kAuto had to take epoll: "io_uring_setup: Operation not permitted (kernel.io_uring_disabled=2; ...)".
  const std::string& fallback_reason() const noexcept { return fallback_reason_; }

  // Runs `main` under a root context on this thread until it has ended. After stop() the root context is cancelled
  // (kCancelled), and run() returns what main then returns.
  template <class T>
  T run(Task<T> main) {
    std::optional<T> value;
    run_root(detail::store(std::move(main), value));
    return std::move(*value);
  }
  // For good: later runs begin cancelled.
  void stop() noexcept;

  Time now() const noexcept override;
  WallTime wall_now() const noexcept override;
  bool post(std::function<void()> work) override;
  Task<Result<>> offload(std::function<void()> work) override;

  void attach_network(std::shared_ptr<net::Network> network) noexcept { network_ = std::move(network); }
  net::Network& network() override;

  // For transports. Descriptors may be blocking or not (accept() and connect() may make theirs non-blocking). One
  // descriptor belongs to one Socket, or is in one accept() or connect() at a time: no two at once.
  // Ownership of `fd` goes to the Socket, which must go before the Env. REQUIRES: a connected stream socket.
  virtual std::unique_ptr<Socket> adopt(UniqueFd fd) = 0;
  // The next connection, non-blocking and close-on-exec. kExhausted when descriptors have run out, at once and each
  // time: wait a little before trying again.
  virtual Task<Result<UniqueFd>> accept(int listening_fd) = 0;
  // kUnavailable: refused, unreachable, nobody listens. After an error or a cancellation close `fd`.
  virtual Task<Result<>> connect(int fd, const sockaddr_storage& to, socklen_t length) = 0;

 protected:
  RealEnv(const RealEnvOptions& options, std::unique_ptr<Mailbox> mailbox);
  void run_root(Task<void> main);

  // What the backends implement. begin_run() and end_run() bracket run_root() on its thread. poll() sleeps until
  // something happens or `until`, then makes ready what did; kPollOnly: it does not sleep.
  static constexpr Time kPollOnly = Time::min();
  virtual void begin_run() = 0;
  virtual void end_run() = 0;
  virtual void poll(Time until) = 0;

  Mailbox& mailbox() noexcept { return *mailbox_; }
  OffloadPool& offload_pool() noexcept { return *offload_; }

 private:
  void run_ready();
  void wait_for_work();
  void pin() const;

  std::string fallback_reason_;
  std::shared_ptr<net::Network> network_;
  std::unique_ptr<Mailbox> mailbox_;
  std::unique_ptr<OffloadPool> offload_;
  const Duration spin_;
  const int cpu_;
  std::atomic<bool> stop_ = false;
};

}  // namespace ff::runtime
