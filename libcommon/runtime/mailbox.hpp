// Mailbox: how other threads reach a reactor: posted work, finished offload jobs, and the request to stop. An eventfd
// wakes the reactor, and is written only when it sleeps.
//
// Threads  post(), deliver() and interrupt() from any; the rest from the reactor's. interrupt() is safe in a signal
//          handler.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "libcommon/base/result.hpp"
#include "libcommon/base/unique_fd.hpp"
#include "libcommon/runtime/list.hpp"

namespace ff::runtime {

// What a worker thread hands back. In a list of the pool, then of the mailbox.
class Delivery : public ListHook<Delivery> {
 public:
  // On the reactor's thread.
  virtual void delivered() = 0;

 protected:
  ~Delivery() = default;
};

class Mailbox {
 public:
  static Result<std::unique_ptr<Mailbox>> create();
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  // False, and nothing is kept, while closed.
  bool post(std::function<void()> work);
  // Also while closed.
  void deliver(Delivery& delivery);
  // Wakes the reactor whether it sleeps or not.
  void interrupt() noexcept;

  // Reads as counter once for all wakes since the last read; blocking.
  int fd() const noexcept { return fd_.get(); }
  bool has_mail() const noexcept { return has_mail_.load(std::memory_order_acquire); }
  // Runs what has come.
  void drain();
  // Call before sleeping: from now on mail wakes. False: there is mail already, do not sleep.
  bool announce_sleep();
  // Call after sleeping.
  void awake();
  void open();
  // Posts are refused from now on; those accepted before are there for a last drain().
  void close();

 private:
  explicit Mailbox(UniqueFd fd) noexcept : fd_(std::move(fd)) {}
  // REQUIRES: mutex_ held.
  void tell() noexcept;

  UniqueFd fd_;
  std::atomic<bool> has_mail_ = false;
  std::mutex mutex_;  // guards all below
  std::vector<std::function<void()>> posted_;
  IntrusiveList<Delivery, Delivery> delivered_;
  bool asleep_ = false;
  bool closed_ = false;
};

}  // namespace ff::runtime
