#include "libcommon/runtime/sync.hpp"

#include <fmt/core.h>

namespace ff::runtime {

Task<Result<Semaphore::Permit>> Semaphore::acquire(std::uint64_t count) {
  if (count > capacity_) {
    co_return fail(Errc::kInvalidArgument,
                   fmt::format("semaphore: {} permits asked, only {} exist (ask for fewer)", count, capacity_));
  }
  if (has_head_ || available_ < count) {
    // Whoever leaves the head of the line, with permits or without, lets the next one up. Those who gave up while they
    // were behind it have left the line already, though they may not have run yet.
    struct Headship {
      Semaphore& line;
      bool held = false;
      ~Headship() {
        if (held && !line.turn_.wake_one()) line.has_head_ = false;
      }
    } headship{*this};
    if (has_head_) FF_CO_TRY(co_await turn_.wait());
    headship.held = has_head_ = true;
    while (available_ < count) FF_CO_TRY(co_await permits_.wait());
    available_ -= count;
    co_return Permit(*this, count);
  }
  available_ -= count;
  co_return Permit(*this, count);
}

std::optional<Semaphore::Permit> Semaphore::try_acquire(std::uint64_t count) noexcept {
  if (has_head_ || available_ < count) return std::nullopt;
  available_ -= count;
  return Permit(*this, count);
}

void Semaphore::release(std::uint64_t count) noexcept {
  available_ += count;
  permits_.wake_one();
}

}  // namespace ff::runtime
