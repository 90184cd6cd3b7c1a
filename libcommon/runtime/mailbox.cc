#include "libcommon/runtime/mailbox.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace ff::runtime {

Result<std::unique_ptr<Mailbox>> Mailbox::create() {
  // Blocking, because io_uring answers a read of a non-blocking descriptor at once on some kernels.
  UniqueFd fd(::eventfd(0, EFD_CLOEXEC));
  if (!fd) return fail(errno_error("eventfd"));
  return std::unique_ptr<Mailbox>(new Mailbox(std::move(fd)));
}

bool Mailbox::post(std::function<void()> work) {
  std::lock_guard lock(mutex_);
  if (closed_) return false;
  posted_.push_back(std::move(work));
  tell();
  return true;
}

void Mailbox::deliver(Delivery& delivery) {
  std::lock_guard lock(mutex_);
  delivered_.push_back(delivery);
  tell();
}

void Mailbox::tell() noexcept {
  has_mail_.store(true, std::memory_order_release);
  if (!asleep_) return;
  asleep_ = false;
  // Under the lock: whoever sees the mail may let the mailbox be destroyed.
  interrupt();
}

void Mailbox::interrupt() noexcept {
  const int saved_errno = errno;
  const std::uint64_t one = 1;
  // It can only fail when the counter is full, and then the reactor is awake already.
  [[maybe_unused]] const ssize_t written = ::write(fd_.get(), &one, sizeof one);
  errno = saved_errno;
}

void Mailbox::drain() {
  std::vector<std::function<void()>> posted;
  IntrusiveList<Delivery, Delivery> delivered;
  {
    std::lock_guard lock(mutex_);
    has_mail_.store(false, std::memory_order_relaxed);
    posted.swap(posted_);
    delivered.splice_back(delivered_);
  }
  while (Delivery* delivery = delivered.pop_front()) delivery->delivered();
  for (auto& work : posted) work();
}

bool Mailbox::announce_sleep() {
  std::lock_guard lock(mutex_);
  if (!posted_.empty() || !delivered_.empty()) return false;
  asleep_ = true;
  return true;
}

void Mailbox::awake() {
  std::lock_guard lock(mutex_);
  asleep_ = false;
}

void Mailbox::open() {
  std::lock_guard lock(mutex_);
  closed_ = false;
}

void Mailbox::close() {
  std::lock_guard lock(mutex_);
  closed_ = true;
}

}  // namespace ff::runtime
