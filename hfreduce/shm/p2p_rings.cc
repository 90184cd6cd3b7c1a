#include "hfreduce/shm/p2p_rings.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "hfreduce/cpu/reduce.hpp"

namespace ff::hfreduce::shm {
namespace {

struct Transfer {
  const P2pOp* op = nullptr;
  std::uint64_t moved = 0;
  bool finished = false;
};

class P2pCall {
 public:
  P2pCall(const Group& group, std::span<const P2pOp> ops, const Call& call) : group_(group), call_(call) {
    transfers_.reserve(ops.size());
    for (const P2pOp& op : ops) transfers_.push_back({.op = &op});
    occupied_.resize(2 * static_cast<std::size_t>(group.size));
  }

  Result<> run() {
    Flag& bell = group_.mine().doorbell.flag;
    Backoff backoff(group_.wait_policy, *group_.failure, call_.op.deadline);
    while (left() > 0) {
      bool moved = false;
      FF_TRY_ASSIGN(moved, advance_all());
      if (moved) {
        backoff.reset();
        continue;
      }
      const Backoff::Step step = backoff.next();
      if (step == Backoff::Step::kAgain) continue;
      const int peer = first_left().op->peer;
      if (step != Backoff::Step::kSleep)
        return fail(group_.gave_up(
            step, peer, call_,
            first_left().op->is_send ? "did not receive what it was sent" : "did not send what was expected"));
      call_.progress.waiting_for.store(group_.global(peer), std::memory_order_relaxed);
      FF_TRY(sleep(bell, backoff));
    }
    call_.progress.waiting_for.store(-1, std::memory_order_relaxed);
    return {};
  }

 private:
  // A peer rings after each slot if somebody sleeps, so: announce the sleep, look once more, then sleep; the
  // announcement stands throughout, or a slot that comes between the look and the sleep would ring for nobody.
  Result<> sleep(Flag& bell, Backoff& backoff) {
    bell.sleepers.fetch_add(1, std::memory_order_seq_cst);
    const std::uint32_t seen = bell.value.load(std::memory_order_seq_cst);
    const Result<bool> moved = advance_all();
    if (moved && !*moved) sleep_announced(bell, seen, backoff.slice());
    bell.sleepers.fetch_sub(1, std::memory_order_seq_cst);
    if (!moved) return fail(moved.error());
    if (*moved) backoff.reset();
    return {};
  }

  void ring_bell(int of) const noexcept {
    Flag& bell = group_.control(of).doorbell.flag;
    if (bell.sleepers.load(std::memory_order_seq_cst) == 0) return;
    bell.value.fetch_add(1, std::memory_order_seq_cst);
    wake_all(bell);
  }

  std::size_t left() const noexcept {
    return static_cast<std::size_t>(
        std::count_if(transfers_.begin(), transfers_.end(), [](const Transfer& t) { return !t.finished; }));
  }
  const Transfer& first_left() const noexcept {
    return *std::find_if(transfers_.begin(), transfers_.end(), [](const Transfer& t) { return !t.finished; });
  }

  // One round over the list; of each direction of each pair only the first unfinished one is looked at.
  Result<bool> advance_all() {
    std::fill(occupied_.begin(), occupied_.end(), false);
    bool moved = false;
    for (Transfer& t : transfers_) {
      if (t.finished) continue;
      const std::size_t lane = 2 * static_cast<std::size_t>(t.op->peer) + (t.op->is_send ? 1 : 0);
      if (occupied_[lane]) continue;
      if (t.op->is_send) {
        moved |= advance_send(t);
      } else {
        FF_TRY_ASSIGN(const bool received, advance_receive(t));
        moved |= received;
      }
      occupied_[lane] = !t.finished;
    }
    return moved;
  }

  RingControl& ring(int from, int to) const noexcept {
    return reinterpret_cast<RingControl*>(group_.arena.base() + group_.layout.ring_controls)[from * group_.size + to];
  }
  RingSlot& slot(int from, int to, std::uint32_t index) const noexcept {
    const auto pair = static_cast<std::size_t>(from * group_.size + to);
    return reinterpret_cast<RingSlot*>(group_.arena.base() +
                                       group_.layout.ring_slots)[pair * kRingSlots + index % kRingSlots];
  }

  bool advance_send(Transfer& t) const {
    const int me = group_.rank, peer = t.op->peer;
    RingControl& control = ring(me, peer);
    bool moved = false;
    while (!t.finished) {
      const std::uint32_t head = control.head.load(std::memory_order_relaxed);
      if (head - control.tail.load(std::memory_order_acquire) >= kRingSlots) break;
      RingSlot& s = slot(me, peer, head);
      s.total = t.op->bytes;
      s.bytes = std::min(kRingSlotBytes, t.op->bytes - t.moved);
      void* out[] = {s.data};
      if (s.bytes > 0) cpu::copy(static_cast<const std::byte*>(t.op->send) + t.moved, out, s.bytes, false);
      t.moved += s.bytes;
      t.finished = t.moved == t.op->bytes;
      control.head.store(head + 1, std::memory_order_seq_cst);
      ring_bell(peer);
      moved = true;
    }
    return moved;
  }

  Result<bool> advance_receive(Transfer& t) const {
    const int me = group_.rank, peer = t.op->peer;
    RingControl& control = ring(peer, me);
    bool moved = false;
    while (!t.finished) {
      const std::uint32_t tail = control.tail.load(std::memory_order_relaxed);
      if (control.head.load(std::memory_order_acquire) == tail) break;
      const RingSlot& s = slot(peer, me, tail);
      if (s.total != t.op->bytes || s.bytes > t.op->bytes - t.moved || s.bytes > kRingSlotBytes)
        return fail(
            group_.trouble(Trouble::Kind::kMismatch, peer,
                           fmt::format("call {}: rank {} sends {} bytes to rank {}, which expects {}", call_.op.seq,
                                       group_.global(peer), s.total, group_.global(me), t.op->bytes)));
      void* out[] = {static_cast<std::byte*>(t.op->recv) + t.moved};
      if (s.bytes > 0) cpu::copy(s.data, out, s.bytes, false);
      t.moved += s.bytes;
      t.finished = t.moved == t.op->bytes;
      control.tail.store(tail + 1, std::memory_order_seq_cst);
      ring_bell(peer);
      moved = true;
    }
    return moved;
  }

  const Group& group_;
  const Call& call_;
  std::vector<Transfer> transfers_;
  std::vector<bool> occupied_;
};

}  // namespace

Result<> run_p2p(const Group& group, std::span<const P2pOp> ops, const Call& call) {
  for (const P2pOp& op : ops)
    if (op.peer < 0 || op.peer >= group.size)
      return fail(Errc::kInvalidArgument,
                  fmt::format("sendrecv: rank {} is not in the group of {}", op.peer, group.size));
  call.enter(Phase::kIntraCopy);
  return P2pCall(group, ops, call).run();
}

}  // namespace ff::hfreduce::shm
