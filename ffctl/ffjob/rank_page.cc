#include "ffctl/ffjob/rank_page.hpp"

#include <fmt/core.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

namespace ff::ctl {
namespace {

constexpr std::uint64_t kNapNs = 50'000'000;  // a wake-up that was missed costs no more

std::uint64_t monotonic_ns() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(now.tv_nsec);
}

void nap(const std::atomic<std::uint32_t>& word, std::uint32_t value, std::uint64_t ns) noexcept {
  timespec wait{static_cast<time_t>(ns / 1'000'000'000u), static_cast<long>(ns % 1'000'000'000u)};
  if (::syscall(SYS_futex, &word, FUTEX_WAIT, value, &wait, nullptr, 0) == 0) return;
  if (errno == EAGAIN || errno == EINTR || errno == ETIMEDOUT) return;
  const timespec pause{0, 1'000'000};  // a kernel that cannot: ask again in a while
  ::nanosleep(&pause, nullptr);
}

}  // namespace

RankPage::RankPage(Mapping control, Mapping ranks, std::uint32_t slot) noexcept
    : control_mapping_(std::move(control)),
      ranks_mapping_(std::move(ranks)),
      control_(reinterpret_cast<const ControlHead*>(control_mapping_.data())),
      ranks_(reinterpret_cast<RanksHead*>(ranks_mapping_.data())),
      slot_(reinterpret_cast<RankSlot*>(ranks_mapping_.data() + kHeadBytes) + slot),
      index_(slot) {}

Result<std::unique_ptr<RankPage>> RankPage::open(const std::string& folder, std::uint32_t slot) {
  FF_TRY_ASSIGN(Mapping control, Mapping::open(control_file(folder), kControlBytes, false));
  const auto* head = reinterpret_cast<const ControlHead*>(control.data());
  if (head->magic != kControlMagic) return fail(Errc::kCorrupt, control_file(folder) + ": no control page");
  if (head->version != kPageVersion)
    return fail(Errc::kUnsupported, fmt::format("{}: version {} (this libffjob speaks {}: use the agent's own)",
                                                control_file(folder), head->version, kPageVersion));
  const std::uint32_t slots = head->slots;
  if (slots == 0 || slots > kSlotsMax || head->state_bytes > kStateBytesMax)
    return fail(Errc::kCorrupt, control_file(folder) + ": impossible sizes");
  if (slot >= slots)
    return fail(Errc::kInvalidArgument, fmt::format("local rank {}: the page has {} slots", slot, slots));
  FF_TRY_ASSIGN(Mapping ranks, Mapping::open(ranks_file(folder), ranks_bytes(slots), true));
  std::unique_ptr<RankPage> page(new RankPage(std::move(control), std::move(ranks), slot));
  if (page->ranks_->magic != kRanksMagic || page->ranks_->slots != slots)
    return fail(Errc::kCorrupt, ranks_file(folder) + ": no page of ranks");
  page->slot_->state.store(static_cast<std::uint32_t>(RankState::kAlive), std::memory_order_relaxed);
  page->slot_->pid.store(static_cast<std::uint32_t>(::getpid()), std::memory_order_release);
  page->heartbeat();
  return page;
}

bool RankPage::obey(std::int64_t before, std::uint64_t step) noexcept {
  asked_steps_.store(true, std::memory_order_relaxed);
  for (;;) {
    const std::uint32_t changes = control_->changes.load(std::memory_order_acquire);
    const std::uint64_t word = control_->order.load(std::memory_order_acquire);
    const Order order = Order::of(word);
    if (order.suspend) slot_->seen.store(1, std::memory_order_relaxed);
    switch (verdict(order, before, step)) {
      case Verdict::kGoOn: return false;
      case Verdict::kLeave: leaving_.store(true, std::memory_order_relaxed); return true;
      case Verdict::kWait: break;
    }
    slot_->held.store(word, std::memory_order_seq_cst);
    const bool changed = wait(word, changes);
    slot_->held.store(0, std::memory_order_relaxed);
    if (!changed) return false;
  }
}

// True: another order is there. False: the deadline has passed.
bool RankPage::wait(std::uint64_t word, std::uint32_t changes) noexcept {
  for (;;) {
    if (control_->order.load(std::memory_order_acquire) != word) return true;
    const std::uint64_t deadline = control_->deadline_ns.load(std::memory_order_relaxed);
    const std::uint64_t now = monotonic_ns();
    if (now >= deadline) return false;
    nap(control_->changes, changes, std::min(deadline - now, kNapNs));
    changes = control_->changes.load(std::memory_order_acquire);
  }
}

void RankPage::saving(std::uint64_t bytes, std::uint64_t eta_ms) noexcept {
  slot_->saving_bytes.store(bytes, std::memory_order_relaxed);
  slot_->saving_eta_ms.store(eta_ms, std::memory_order_relaxed);
  slot_->state.store(static_cast<std::uint32_t>(RankState::kSaving), std::memory_order_release);
  heartbeat();
}

void RankPage::saved(std::uint64_t step) noexcept {
  slot_->saved_step.store(step, std::memory_order_relaxed);
  // A program that never asks learns of the order otherwise (SIGUSR1), and saves because of it.
  const bool last =
      leaving_.load(std::memory_order_relaxed) || (!asked_steps_.load(std::memory_order_relaxed) && before_ < 0 &&
                                                   control_->order.load(std::memory_order_acquire) != 0);
  slot_->state.store(static_cast<std::uint32_t>(last ? RankState::kSaved : RankState::kAlive),
                     std::memory_order_release);
  heartbeat();
}

bool RankPage::yield() noexcept {
  leaving_.store(true, std::memory_order_relaxed);
  slot_->yielded.store(1, std::memory_order_relaxed);
  return control_->order.load(std::memory_order_acquire) != 0;
}

void RankPage::heartbeat() noexcept { slot_->heartbeat_ns.store(monotonic_ns(), std::memory_order_relaxed); }

std::atomic<std::uint64_t>* RankPage::state_words(std::uint64_t generation) const noexcept {
  return reinterpret_cast<std::atomic<std::uint64_t>*>(ranks_mapping_.data() + state_offset(control_->slots) +
                                                       (generation % 2) * kStateBytesMax);
}

std::string RankPage::state() {
  const std::lock_guard lock(state_mutex_);
  const std::uint64_t now = ranks_->state.load(std::memory_order_acquire);
  if (!first() || now >> 32 == 0) {
    const auto* initial = reinterpret_cast<const char*>(control_mapping_.data() + kHeadBytes);
    return {initial, control_->state_bytes};
  }
  std::string out(std::min<std::size_t>(now & 0xffffffffu, kStateBytesMax), '\0');
  const auto* words = state_words(now >> 32);
  for (std::size_t at = 0; at < out.size(); at += 8) {
    const std::uint64_t word = words[at / 8].load(std::memory_order_relaxed);
    std::memcpy(out.data() + at, &word, std::min<std::size_t>(8, out.size() - at));
  }
  return out;
}

Result<> RankPage::set_state(std::span<const std::byte> bytes) {
  if (bytes.size() > kStateBytesMax)
    return fail(Errc::kInvalidArgument, fmt::format("state: {} bytes are more than {}", bytes.size(), kStateBytesMax));
  if (!first()) return {};
  const std::lock_guard lock(state_mutex_);
  const std::uint64_t generation = (ranks_->state.load(std::memory_order_relaxed) >> 32) + 1;
  auto* words = state_words(generation);
  for (std::size_t at = 0; at < bytes.size(); at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, std::min<std::size_t>(8, bytes.size() - at));
    words[at / 8].store(word, std::memory_order_relaxed);
  }
  ranks_->state.store(generation << 32 | bytes.size(), std::memory_order_release);
  return {};
}

}  // namespace ff::ctl
