// Ordinary buffers, through slots that all ranks see and that stay in the cache. Each chunk has an owner: its only
// destination, else its only source, else the ranks in turn. The others put their input into slots; the owner
// combines its own private input with the slots into its own output and the result slot; the others take the result.
//
//   rank 0:   put 1 | combine 0 | put 3 | take 1 | combine 2 | ...
//   rank 1:   put 0 | combine 1 | put 2 | take 0 | combine 3 | ...
//
// Every rank has three cursors over the chunks (put, combine, take), each in order, and advances whichever can. A slot
// is used again `depth` chunks later: a put waits until the owner of what was in it has combined that, a combine until
// all have taken the former result.
//
// No deadlock  Of all steps not done, one of the lowest chunk can always be done: what it waits for belongs to lower
// chunks
//              or to an earlier step of its own. A rank sleeps only on the step of its own lowest cursor, so the rank
//              whose step that is does not sleep.
// At the start all slots are free: every rank has finished every earlier call (layout.hpp).

#include <algorithm>

#include "hfreduce/cpu/reduce.hpp"
#include "hfreduce/shm/paths.hpp"

namespace ff::hfreduce::shm {
namespace {

class StagedCall {
  static constexpr std::uint32_t kNone = ~0U;

 public:
  StagedCall(Group& group, const Call& call, const Plan& plan)
      : group_(group),
        call_(call),
        chunks_(plan.chunks()),
        base_(group.staged_base),
        end_(static_cast<std::uint32_t>(plan.chunks().size())),
        depth_(group.shape.staged_depth) {
    group.staged_content.assign(depth_, kNone);
  }

  Result<> run() {
    RankControl& mine = group_.mine();
    publish(mine.filled.flag, put_ = next_put(0));
    publish(mine.reduced.flag, combine_ = next_combine(0));
    publish(mine.copied.flag, take_ = next_take(0));
    Backoff backoff(group_.wait_policy, *group_.failure, call_.op.deadline);
    while (std::min({put_, combine_, take_}) < end_) {
      if (advance()) {
        backoff.reset();
        continue;
      }
      const Backoff::Step step = backoff.next();
      if (step == Backoff::Step::kAgain) continue;
      const Obstacle obstacle = lowest_obstacle();
      if (obstacle.flag == nullptr) continue;  // it has gone meanwhile
      if (step != Backoff::Step::kSleep)
        return fail(group_.gave_up(step, obstacle.peer, call_, "did not advance its chunks"));
      call_.progress.waiting_for.store(group_.global(obstacle.peer), std::memory_order_relaxed);
      sleep_below(*obstacle.flag, obstacle.target, backoff.slice());
    }
    call_.progress.waiting_for.store(-1, std::memory_order_relaxed);
    return {};
  }

 private:
  // What a step waits for, and who must do it. No flag: nothing.
  struct Obstacle {
    Flag* flag = nullptr;
    std::uint32_t target = 0;
    int peer = -1;
  };

  int owner(std::uint32_t index) const noexcept {
    const Chunk& c = chunks_[index];
    if (c.destination != Segment::kAll) return c.destination;
    return c.source != Segment::kAll ? c.source : static_cast<int>(index % static_cast<std::uint32_t>(group_.size));
  }
  std::uint32_t next_put(std::uint32_t from) const noexcept {
    while (from < end_ && (owner(from) == group_.rank || !chunks_[from].from(group_.rank))) ++from;
    return from;
  }
  std::uint32_t next_combine(std::uint32_t from) const noexcept {
    while (from < end_ && owner(from) != group_.rank) ++from;
    return from;
  }
  std::uint32_t next_take(std::uint32_t from) const noexcept {
    while (from < end_ && (owner(from) == group_.rank || !chunks_[from].to(group_.rank))) ++from;
    return from;
  }
  void publish(Flag& flag, std::uint32_t index) const noexcept { post(flag, base_ + index); }

  Obstacle unless_reached(Flag& flag, std::uint32_t index, int peer) const noexcept {
    const std::uint32_t target = base_ + index;
    return reached(flag, target) ? Obstacle{} : Obstacle{&flag, target, peer};
  }
  // The slot's former content may be older than one round: there are chunks to which this rank puts nothing.
  Obstacle to_put(std::uint32_t index) const noexcept {
    const std::uint32_t former = group_.staged_content[index % depth_];
    if (former == kNone) return {};
    return unless_reached(group_.control(owner(former)).reduced.flag, former + 1, owner(former));
  }
  Obstacle to_combine(std::uint32_t index) const noexcept {
    const Chunk& c = chunks_[index];
    for (int step = 1; step < group_.size; ++step) {
      const int peer = (group_.rank + step) % group_.size;
      if (!c.from(peer)) continue;
      if (const Obstacle o = unless_reached(group_.control(peer).filled.flag, index + 1, peer); o.flag) return o;
    }
    if (c.destination != Segment::kAll || index < depth_) return {};
    for (int peer = 0; peer < group_.size; ++peer)
      if (const Obstacle o = unless_reached(group_.control(peer).copied.flag, index - depth_ + 1, peer); o.flag)
        return o;
    return {};
  }
  Obstacle to_take(std::uint32_t index) const noexcept {
    const int from = owner(index);
    return unless_reached(group_.control(from).reduced.flag, index + 1, from);
  }
  Obstacle lowest_obstacle() const noexcept {
    const std::uint32_t lowest = std::min({put_, combine_, take_});
    if (put_ == lowest) return to_put(lowest);
    return combine_ == lowest ? to_combine(lowest) : to_take(lowest);
  }

  // Does what can be done of one step each; false if nothing could.
  bool advance() {
    bool moved = false;
    if (put_ < end_ && !to_put(put_).flag) {
      put(chunks_[put_]);
      group_.staged_content[put_ % depth_] = put_;
      publish(group_.mine().filled.flag, put_ = next_put(put_ + 1));
      moved = true;
    }
    if (combine_ < end_ && !to_combine(combine_).flag) {
      combine(chunks_[combine_]);
      publish(group_.mine().reduced.flag, combine_ = next_combine(combine_ + 1));
      moved = true;
    }
    if (take_ < end_ && !to_take(take_).flag) {
      take(chunks_[take_]);
      publish(group_.mine().copied.flag, take_ = next_take(take_ + 1));
      moved = true;
    }
    return moved;
  }

  const std::byte* send(const Chunk& c) const noexcept {
    return static_cast<const std::byte*>(call_.op.send) + c.send_offset;
  }
  std::byte* recv(const Chunk& c) const noexcept { return static_cast<std::byte*>(call_.op.recv) + c.recv_offset; }
  std::byte* result() const noexcept { return group_.staged_slot(group_.size, combine_); }

  void put(const Chunk& c) const {
    void* slot[] = {group_.staged_slot(group_.rank, put_)};
    cpu::copy(send(c), slot, c.bytes, false);
  }

  void combine(const Chunk& c) const {
    group_.outputs.clear();
    const bool shared = c.destination == Segment::kAll;
    if (c.source != Segment::kAll) {
      const std::byte* from = c.source == group_.rank ? send(c) : group_.staged_slot(c.source, combine_);
      if (recv(c) != from) group_.outputs.push_back(recv(c));
      if (shared) group_.outputs.push_back(result());
      if (!group_.outputs.empty()) cpu::copy(from, group_.outputs, c.bytes, !shared && call_.non_temporal);
      return;
    }
    for (int r = 0; r < group_.size; ++r)
      group_.inputs[static_cast<std::size_t>(r)] =
          r == group_.rank ? static_cast<const void*>(send(c)) : group_.staged_slot(r, combine_);
    group_.outputs.push_back(recv(c));
    if (shared) group_.outputs.push_back(result());
    // The result slot must stay in the cache for those who take it, so only what nobody takes is written around it.
    cpu::reduce({call_.op.dtype, call_.op.op, c.bytes / dtype_size(call_.op.dtype), call_.divisor,
                 !shared && call_.non_temporal},
                group_.inputs, group_.outputs);
  }

  void take(const Chunk& c) const {
    void* out[] = {recv(c)};
    cpu::copy(group_.staged_slot(group_.size, take_), out, c.bytes, call_.non_temporal);
  }

  Group& group_;
  const Call& call_;
  const std::vector<Chunk>& chunks_;
  const std::uint32_t base_;
  const std::uint32_t end_;
  const std::uint32_t depth_;
  std::uint32_t put_ = 0, combine_ = 0, take_ = 0;
};

}  // namespace

Result<> run_staged(Group& group, const Call& call, const Plan& plan) {
  call.enter(Phase::kIntraReduce);
  FF_TRY(StagedCall(group, call, plan).run());
  group.staged_base += static_cast<std::uint32_t>(plan.chunks().size());
  return {};
}

}  // namespace ff::hfreduce::shm
