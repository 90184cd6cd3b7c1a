#include "hfreduce/shm/group.hpp"

#include <fmt/core.h>

namespace ff::hfreduce::shm {
namespace {

std::string describe(const CallRecord& record) {
  const auto kind = static_cast<Collective>(record.kind);
  std::string out = fmt::format("{}({}", collective_name(kind), dtype_name(static_cast<DType>(record.dtype)));
  const bool reduces = kind == Collective::kAllReduce || kind == Collective::kReduce ||
                       kind == Collective::kReduceScatter || kind == Collective::kReduceScatterV;
  if (reduces) out += fmt::format(", {}", op_name(static_cast<ReduceOp>(record.op)));
  out += fmt::format(", {} elements", record.count);
  if (record.root >= 0) out += fmt::format(", root {}", record.root);
  return out + ")";
}

}  // namespace

std::string Group::name_of(const Call& call) const {
  return fmt::format("call {}, {}({})", call.op.seq, collective_name(call.op.kind), dtype_name(call.op.dtype));
}

Error Group::trouble(Trouble::Kind kind, int peer, std::string detail) const {
  return failure->report({kind, peer >= 0 ? global(peer) : -1, std::move(detail)});
}

Error Group::gave_up(Backoff::Step step, int peer, const Call& call, std::string_view what) const {
  if (step == Backoff::Step::kFailed) return failure->verdict();
  return trouble(Trouble::Kind::kTimeout, peer,
                 fmt::format("{}: rank {} {} before the deadline (shared memory)", name_of(call), global(peer), what));
}

Error Group::mismatch(int peer, const Call& call) const {
  const CallRecord& ours = mine().record[call.parity()];
  const CallRecord& theirs = control(peer).record[call.parity()];
  return trouble(Trouble::Kind::kMismatch, peer,
                 fmt::format("call {}: rank {} called {}, rank {} called {} as number {}", ours.seq, global(rank),
                             describe(ours), global(peer), describe(theirs), theirs.seq));
}

Result<> Group::await_slowly(Flag& flag, std::uint32_t target, int peer, const Call& call,
                             std::string_view what) const {
  call.progress.waiting_for.store(global(peer), std::memory_order_relaxed);
  Backoff backoff(wait_policy, *failure, call.op.deadline);
  while (!reached(flag, target)) {
    const Backoff::Step step = backoff.next();
    if (step == Backoff::Step::kAgain) continue;
    if (step != Backoff::Step::kSleep) return fail(gave_up(step, peer, call, what));
    sleep_below(flag, target, backoff.slice());
  }
  call.progress.waiting_for.store(-1, std::memory_order_relaxed);
  return {};
}

Result<> Group::await_entries(const Call& call) const {
  const std::size_t parity = call.parity();
  post(mine().entry[parity].flag, call.number);
  const std::uint32_t signature = mine().entry[parity].signature;
  for (int step = 1; step < size; ++step) {
    // Beginning with the next rank: not all poll the same line at once.
    const int peer = (rank + step) % size;
    Entry& theirs = control(peer).entry[parity];
    if (!reached(theirs.flag, call.number)) {
      call.enter(Phase::kWaitPeers);
      FF_TRY(await_slowly(theirs.flag, call.number, peer, call, "did not enter the call"));
    }
    if (theirs.signature != signature) [[unlikely]]
      return fail(mismatch(peer, call));
  }
  return {};
}

}  // namespace ff::hfreduce::shm
