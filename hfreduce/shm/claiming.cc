#include "hfreduce/shm/claiming.hpp"

namespace ff::hfreduce::shm {
namespace {

// Somebody who is still at work, for the message; else the next rank.
int busy_rank(const Group& group, const Call& call) noexcept {
  for (int step = 1; step < group.size; ++step) {
    const int peer = (group.rank + step) % group.size;
    if (group.control(peer).claims[call.parity()].busy.load(std::memory_order_relaxed) != 0) return peer;
  }
  return (group.rank + 1) % group.size;
}

}  // namespace

void reset_claims(const Group& group, const Call& call) noexcept {
  Claims& mine = group.mine().claims[call.parity()];
  mine.next.store(0, std::memory_order_relaxed);
  mine.busy.store(0, std::memory_order_relaxed);
  if (group.rank == 0) group.mine().done[call.parity()].flag.value.store(0, std::memory_order_relaxed);
}

Result<> may_touch(const Group& group, const Call& call) {
  if (group.failure->failed()) return fail(group.failure->verdict());
  if (group.control(0).broken.flag.value.load(std::memory_order_acquire) == 0) return {};
  return fail(
      group.trouble(Trouble::Kind::kTimeout, -1, group.name_of(call) + ": another rank has given up this call"));
}

Result<> await_chunks(const Group& group, const Call& call, std::uint32_t finished, std::uint32_t total) {
  Flag& done = group.control(0).done[call.parity()].flag;
  if (finished > 0) {
    // A locked addition also drains non-temporal stores, so the results are visible before the count.
    const std::uint32_t before = done.value.fetch_add(finished, std::memory_order_seq_cst);
    if (before + finished == total) {
      if (done.sleepers.load(std::memory_order_seq_cst) != 0) wake_all(done);
      return {};
    }
  }
  if (reached(done, total)) return {};
  Backoff backoff(group.wait_policy, *group.failure, call.op.deadline);
  while (!reached(done, total)) {
    const Backoff::Step step = backoff.next();
    if (step == Backoff::Step::kAgain) continue;
    const int peer = busy_rank(group, call);
    if (step != Backoff::Step::kSleep) return fail(group.gave_up(step, peer, call, "did not finish its chunks"));
    call.progress.waiting_for.store(group.global(peer), std::memory_order_relaxed);
    sleep_below(done, total, backoff.slice());
  }
  call.progress.waiting_for.store(-1, std::memory_order_relaxed);
  return {};
}

}  // namespace ff::hfreduce::shm
