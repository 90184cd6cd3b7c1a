// EpollPoller and EpollWatch: readiness of descriptors, edge-triggered: try, and wait only after EAGAIN.
#pragma once

#include <memory>

#include "libcommon/base/unique_fd.hpp"
#include "libcommon/runtime/wait_queue.hpp"

struct epoll_event;

namespace ff::runtime {

class EpollPoller {
 public:
  // Writes to `wake_fd`, an eventfd, end a poll(); nobody needs to read it.
  static Result<std::unique_ptr<EpollPoller>> create(int wake_fd);
  EpollPoller(const EpollPoller&) = delete;
  EpollPoller& operator=(const EpollPoller&) = delete;

  // Wakes the waits of what became ready. Sleeps for at most `wait`; Duration::max(): no limit.
  void poll(Duration wait);

 private:
  friend class EpollWatch;
  explicit EpollPoller(UniqueFd fd) noexcept : fd_(std::move(fd)) {}
  int wait_for_events(::epoll_event* events, int count, Duration wait);

  UniqueFd fd_;
  bool precise_ = true;  // the kernel has epoll_pwait2
};

// Watches one descriptor from the first wait on. The descriptor must outlive it.
class EpollWatch {
 public:
  EpollWatch(EpollPoller& poller, int fd) noexcept : poller_(poller), fd_(fd) {}
  EpollWatch(const EpollWatch&) = delete;
  EpollWatch& operator=(const EpollWatch&) = delete;
  ~EpollWatch();

  // Until reading (writing) may succeed or show an error. Wakes may be false: try, and wait again.
  Task<Result<>> readable();
  Task<Result<>> writable();

 private:
  friend class EpollPoller;
  Result<> begin();
  void happened(std::uint32_t events) noexcept;

  EpollPoller& poller_;
  int fd_;
  bool watching_ = false;
  WaitQueue readers_;
  WaitQueue writers_;
};

}  // namespace ff::runtime
