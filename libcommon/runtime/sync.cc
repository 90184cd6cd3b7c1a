#include "libcommon/runtime/sync.hpp"

#include <fmt/core.h>

namespace ff::runtime {

Task<Result<Semaphore::Permit>> Semaphore::acquire(std::uint64_t count) {
  if (count > capacity_) {
    co_return fail(Errc::kInvalidArgument,
                   fmt::format("semaphore: {} permits asked, only {} exist (ask for fewer)", count, capacity_));
  }
  if (waiting_ > 0 || available_ < count) {
    struct Counted {
      std::uint64_t& n;
      explicit Counted(std::uint64_t& counter) noexcept : n(counter) { ++n; }
      ~Counted() { --n; }
    } counted(waiting_);
    // Whoever leaves the head of the line, with permits or without, lets the next one up.
    struct NextTurn {
      WaitQueue& turn;
      bool head = false;
      ~NextTurn() {
        if (head) turn.wake_one();
      }
    } next{turn_};
    if (waiting_ > 1) FF_CO_TRY(co_await turn_.wait());
    next.head = true;
    while (available_ < count) FF_CO_TRY(co_await permits_.wait());
    available_ -= count;
    co_return Permit(*this, count);
  }
  available_ -= count;
  co_return Permit(*this, count);
}

std::optional<Semaphore::Permit> Semaphore::try_acquire(std::uint64_t count) noexcept {
  if (waiting_ > 0 || available_ < count) return std::nullopt;
  available_ -= count;
  return Permit(*this, count);
}

void Semaphore::release(std::uint64_t count) noexcept {
  available_ += count;
  permits_.wake_one();
}

}  // namespace ff::runtime
