// Semaphore, Mutex, Event, Channel: for tasks of one Env (they never block a thread). All waits end with the error of
// their context's cancellation; put a with_timeout() around what must not wait for ever.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <utility>

#include "libcommon/base/assert.hpp"
#include "libcommon/runtime/wait_queue.hpp"

namespace ff::runtime {

// A number of permits; acquired in the order of asking, so that a large request is not starved by small ones.
class Semaphore {
 public:
  // Permits given back when it goes.
  class [[nodiscard]] Permit {
   public:
    Permit() noexcept = default;
    Permit(Permit&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)), count_(other.count_) {}
    Permit& operator=(Permit&& other) noexcept {
      std::swap(owner_, other.owner_);
      std::swap(count_, other.count_);
      return *this;
    }
    ~Permit() { release(); }
    void release() noexcept {
      if (owner_ != nullptr) std::exchange(owner_, nullptr)->release(count_);
    }

   private:
    friend class Semaphore;
    Permit(Semaphore& owner, std::uint64_t count) noexcept : owner_(&owner), count_(count) {}
    Semaphore* owner_ = nullptr;
    std::uint64_t count_ = 0;
  };

  explicit Semaphore(std::uint64_t permits) noexcept : available_(permits), capacity_(permits) {}

  // kInvalidArgument when count exceeds the capacity: it would never be granted.
  Task<Result<Permit>> acquire(std::uint64_t count = 1);
  std::optional<Permit> try_acquire(std::uint64_t count = 1) noexcept;
  std::uint64_t available() const noexcept { return available_; }
  std::uint64_t capacity() const noexcept { return capacity_; }
  bool contended() const noexcept { return has_head_; }

 private:
  void release(std::uint64_t count) noexcept;

  std::uint64_t available_;
  std::uint64_t capacity_;
  bool has_head_ = false;  // somebody is the first in line, or has been woken to be
  WaitQueue turn_;         // those behind the first
  WaitQueue permits_;      // the first, waiting for permits
};

class Mutex {
 public:
  using Lock = Semaphore::Permit;
  [[clang::coro_wrapper]] Task<Result<Lock>> lock() { return semaphore_.acquire(1); }
  std::optional<Lock> try_lock() noexcept { return semaphore_.try_acquire(1); }

 private:
  Semaphore semaphore_{1};
};

// Set once (or reset): all waits end.
class Event {
 public:
  void set() noexcept {
    set_ = true;
    queue_.wake_all();
  }
  void reset() noexcept { set_ = false; }
  bool is_set() const noexcept { return set_; }
  Task<Result<>> wait() {
    while (!set_) FF_CO_TRY(co_await queue_.wait());
    co_return {};
  }

 private:
  bool set_ = false;
  WaitQueue queue_;
};

// A bounded queue between tasks. After close() receivers get what is left, then kCancelled "channel closed".
template <class T>
class Channel {
 public:
  explicit Channel(std::size_t capacity) : capacity_(capacity) { FF_ASSERT(capacity > 0); }

  // Waits while full. kCancelled when closed; the item is lost then.
  Task<Result<>> send(T item) {
    while (!closed_ && items_.size() >= capacity_) FF_CO_TRY(co_await senders_.wait());
    if (closed_) co_return closed_error();
    push(std::move(item));
    co_return {};
  }
  // False when full or closed; `item` is untouched then.
  bool try_send(T& item) {
    if (closed_ || items_.size() >= capacity_) return false;
    push(std::move(item));
    return true;
  }
  Task<Result<T>> receive() {
    while (items_.empty()) {
      if (closed_) co_return closed_error();
      FF_CO_TRY(co_await receivers_.wait());
    }
    co_return pop();
  }
  std::optional<T> try_receive() {
    if (items_.empty()) return std::nullopt;
    return pop();
  }
  void close() noexcept {
    closed_ = true;
    senders_.wake_all();
    receivers_.wake_all();
  }
  bool closed() const noexcept { return closed_; }
  std::size_t size() const noexcept { return items_.size(); }

 private:
  static std::unexpected<Error> closed_error() { return fail(Errc::kCancelled, "channel closed"); }
  void push(T item) {
    items_.push_back(std::move(item));
    receivers_.wake_one();
  }
  T pop() {
    T item = std::move(items_.front());
    items_.pop_front();
    senders_.wake_one();
    // A receiver that was woken for an item which somebody else took waits again; wake another for what is left.
    if (!items_.empty()) receivers_.wake_one();
    return item;
  }

  std::size_t capacity_;
  bool closed_ = false;
  std::deque<T> items_;
  WaitQueue senders_;
  WaitQueue receivers_;
};

}  // namespace ff::runtime
