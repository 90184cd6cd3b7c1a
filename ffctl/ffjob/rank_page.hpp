// RankPage: a rank's side of the shared pages.
//
// Threads    should_stop() from one thread at a time; the others from any.
// Waits      should_stop() waits at a proposed fence only, until it is committed, replaced or withdrawn, and no longer
//            than the deadline in the page; after it the rank goes on, for nothing was agreed.
// Source     The fence: page.hpp.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "ffctl/ffjob/mapping.hpp"
#include "ffctl/ffjob/page.hpp"
#include "libcommon/base/result.hpp"

namespace ff::ctl {

class RankPage {
 public:
  // `slot`: which of the node's. kCorrupt for other files; kInvalidArgument for a slot beyond theirs.
  static Result<std::unique_ptr<RankPage>> open(const std::string& folder, std::uint32_t slot);

  // True: save and leave now. One load that hits the cache while nothing is asked.
  bool should_stop(std::uint64_t step) noexcept {
    slot_->step.store(step, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const std::int64_t before = before_;
    before_ = static_cast<std::int64_t>(step);
    if (control_->order.load(std::memory_order_acquire) == 0) [[likely]]
      return false;
    return obey(before, step);
  }
  void saving(std::uint64_t bytes, std::uint64_t eta_ms) noexcept;
  // Once it has been told to leave: its last word. Else a checkpoint in passing.
  void saved(std::uint64_t step) noexcept;
  // Will leave of its own accord. True: it was asked to.
  bool yield() noexcept;
  // saved() was its last word.
  bool has_saved() const noexcept {
    return slot_->state.load(std::memory_order_relaxed) == static_cast<std::uint32_t>(RankState::kSaved);
  }
  void heartbeat() noexcept;

  std::uint64_t resume_step() const noexcept { return control_->resume_step; }
  std::uint32_t attempt() const noexcept { return control_->attempt; }
  // The attempt's rank 0.
  bool first() const noexcept { return control_->first_rank == 0 && index_ == 0; }
  // With which the attempt began; for the first rank what it last set.
  std::string state();
  // Of the first rank; of others nothing happens. kInvalidArgument beyond kStateBytesMax.
  Result<> set_state(std::span<const std::byte> bytes);

 private:
  RankPage(Mapping control, Mapping ranks, std::uint32_t slot) noexcept;
  bool obey(std::int64_t before, std::uint64_t step) noexcept;
  bool wait(std::uint64_t word, std::uint32_t changes) noexcept;
  std::atomic<std::uint64_t>* state_words(std::uint64_t generation) const noexcept;

  Mapping control_mapping_;
  Mapping ranks_mapping_;
  const ControlHead* control_;
  RanksHead* ranks_;
  RankSlot* slot_;
  std::uint32_t index_;
  std::int64_t before_ = -1;
  std::atomic<bool> asked_steps_{false};
  std::atomic<bool> leaving_{false};
  std::mutex state_mutex_;
};

}  // namespace ff::ctl
