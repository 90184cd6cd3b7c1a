#include "ffctl/node/attempt.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "libcommon/report/utf8.hpp"

namespace ff::ctl {

using namespace std::chrono_literals;
using runtime::Duration;
using runtime::Time;

namespace {

constexpr auto kTermGrace = 5s;   // from SIGTERM to SIGKILL where nobody says how long
constexpr auto kAgain = 500ms;    // orders to supervisors are repeated: one may just be starting
constexpr auto kAliveAfter = 1s;  // of a rank that never calls ff_init
constexpr auto kRateWindow = 1s;
constexpr int kExitRequeue = 75;

// So that nothing overflows; longer than any job.
Time after_ms(Time now, std::uint64_t ms) {
  return runtime::saturating_add(now, std::chrono::milliseconds(std::min<std::uint64_t>(ms, 1ull << 40)));
}

RankReport::State shown(const RankStatus& status, const SlotView& view, Duration age) {
  if (status.over()) return RankReport::ENDED;
  if (view.state == RankState::kSaving) return RankReport::SAVING;
  if (view.state == RankState::kSaved) return RankReport::SAVED;
  if (view.used || age >= kAliveAfter) return RankReport::ALIVE;
  return RankReport::SPAWNED;
}

// What several processes of one rank (torchrun) come to.
SlotView together(const std::vector<SlotView>& views) {
  SlotView all;
  bool first = true;
  for (const SlotView& view : views) {
    if (!view.used) continue;
    if (first) all = view;
    all.step = std::max(all.step, view.step);
    all.saved_step = std::min(all.saved_step, view.saved_step);
    all.seen = all.seen && view.seen;
    all.yielded = all.yielded || view.yielded;
    if (view.state == RankState::kSaving || all.state != RankState::kSaving)
      all.state = view.state == RankState::kSaving ? view.state : std::min(all.state, view.state);
    first = false;
  }
  return all;
}

}  // namespace

void NodeAttempt::want(const DesiredAttempt& desired, Time now) {
  told_ = true;
  unwanted_ = false;
  const auto before = desired_.want();
  desired_.set_want(desired.want());
  *desired_.mutable_fence() = desired.fence();
  grace_until_ = after_ms(now, desired.grace_left_ms());
  max_grace_until_ = std::max(grace_until_, after_ms(now, desired.max_grace_left_ms()));
  if (before != desired.want()) suspend_term_at_.reset();
  if (launched_ && page_) page_->set_deadline(grace_until_.time_since_epoch());
}

void NodeAttempt::tick(Time now) {
  if (!launched_ || absent_ || done()) return;
  look(now);
  if (std::ranges::all_of(ranks_, [](const Rank& rank) { return rank.link->status().over(); })) {
    drive_cleaning(now);
  } else {
    drive(now);
  }
}

void NodeAttempt::look(Time now) {
  bool all_started = true, any_over = false;
  for (Rank& rank : ranks_) {
    const RankStatus& status = rank.link->status();
    all_started = all_started && status.state != RankStatus::State::kStarting;
    any_over = any_over || status.over();
    fenced_ = fenced_ || status.fenced;
    if (status.state == RankStatus::State::kFailed && start_failure_.empty()) start_failure_ = status.reason;
    const bool bad = status.state == RankStatus::State::kFailed ||
                     (status.over() && status.exit_code != 0 && status.exit_code != kExitRequeue);
    if (bad && !local_kill_at_) local_kill_at_ = now + kTermGrace;
  }
  if (state_ == AttemptReport::PREPARING && all_started) state_ = AttemptReport::RUNNING;
  const bool told_to_end = unwanted_ || fenced_ || (told_ && desired_.want() != DesiredAttempt::RUN);
  if (state_ == AttemptReport::RUNNING && (any_over || told_to_end)) state_ = AttemptReport::ENDING;
  if (page_) look_at_page(now);
}

void NodeAttempt::look_at_page(Time now) {
  const auto views = page_->slot_views();
  if (!views) {
    trouble_ = views.error().message();
    return;
  }
  const bool shared_slots = views->size() != ranks_.size();
  std::uint64_t step_max = step_max_;
  bool seen = false, all_saved = true;
  for (std::size_t i = 0; i < ranks_.size(); ++i) {
    ranks_[i].view = shared_slots ? together(*views) : (*views)[i];
    step_max = std::max(step_max, ranks_[i].view.step);
    seen = seen || ranks_[i].view.seen;
    all_saved = all_saved && ranks_[i].view.state == RankState::kSaved;
  }
  if (step_max > step_max_) last_step_ms_ = wall_ms();
  step_max_ = step_max;
  if (seen && first_seen_ms_ == 0) first_seen_ms_ = wall_ms();
  if (all_saved && saved_ms_ == 0) saved_ms_ = wall_ms();
  if (rate_at_ == Time{} || now - rate_at_ >= kRateWindow) {
    const double seconds = std::chrono::duration<double>(now - rate_at_).count();
    const double rate = rate_at_ == Time{} ? 0 : static_cast<double>(step_max_ - rate_step_) / seconds;
    rate_ = rate_ == 0 ? rate : (rate_ + rate) / 2;
    rate_at_ = now;
    rate_step_ = step_max_;
  }
  if (auto state = page_->new_state(state_generation_)) user_state_ = std::move(*state);
  const Order order = page_->order();
  if (order.suspend && !order.committed && order.step != 0 && !fence_holds_) {
    std::vector<bool> ended;
    if (!shared_slots)
      for (const Rank& rank : ranks_) ended.push_back(rank.link->status().over());
    fence_holds_ = AgentPage::fence_holds(order, *views, ended);
  }
}

void NodeAttempt::set_order(const Order& order) {
  if (!page_ || page_->order() == order) return;
  if (!order.committed) fence_holds_ = false;
  page_->set_order(order);
}

void NodeAttempt::drive(Time now) {
  if (unwanted_) return kill_ranks(now);
  if (fenced_ && desired_.want() != DesiredAttempt::KILL) return drive_fenced(now);
  if (!told_) return;  // a restarted agent, and the master has not spoken yet: nothing changes
  switch (desired_.want()) {
    case DesiredAttempt::KILL: return kill_ranks(now);
    case DesiredAttempt::STOP: return drive_stop(now, grace_until_);
    case DesiredAttempt::SUSPEND: drive_suspend(now); break;
    default: set_order({}); break;
  }
  if (local_kill_at_) drive_stop(now, *local_kill_at_);
}

void NodeAttempt::drive_suspend(Time now) {
  const FenceOrder& fence = desired_.fence();
  set_order({true, fence.committed(), static_cast<std::uint16_t>(fence.round() & 0x3fff), fence.step()});
  if (fence.round() != fence_round_) {
    fence_round_ = fence.round();
    look_at_page(now);  // so that the answer to this very order knows
  }
  const bool saving =
      std::ranges::any_of(ranks_, [](const Rank& rank) { return rank.view.state == RankState::kSaving; });
  tell_those_without_the_library(now);
  if (now < (saving ? max_grace_until_ : grace_until_)) return;
  if (!suspend_term_at_) suspend_term_at_ = now;
  drive_stop(now, *suspend_term_at_ + kTermGrace);
}

// The processes beside the ranks send SIGTERM and kill when it is time.
void NodeAttempt::drive_fenced(Time now) {
  const std::uint64_t left = host_.lease.stop > lease_clock_ms() ? host_.lease.stop - lease_clock_ms() : 0;
  if (page_) page_->set_deadline(after_ms(now, left).time_since_epoch());
  set_order({true, true, static_cast<std::uint16_t>((fence_round_ + 1) & 0x3fff), 0});
  for (Rank& rank : ranks_)
    if (!rank.link->status().over() && !rank.link->status().fenced) rank.link->fence();
  tell_those_without_the_library(now);
}

void NodeAttempt::tell_those_without_the_library(Time now) {
  for (Rank& rank : ranks_) {
    if (rank.usr1_sent || rank.view.used || rank.link->status().over() || !rank.link->followed()) continue;
    // One that has only just been started may not have come to ff_init, and would be killed by the signal.
    if (now - rank.since < kAliveAfter) continue;
    rank.link->signal(SIGUSR1);
    rank.usr1_sent = true;
  }
}

void NodeAttempt::drive_stop(Time now, Time kill_at) {
  for (Rank& rank : ranks_) {
    if (rank.term_sent || rank.link->status().over() || !rank.link->followed()) continue;
    rank.link->signal(SIGTERM);
    rank.term_sent = true;
  }
  if (now >= kill_at) kill_ranks(now);
}

void NodeAttempt::kill_ranks(Time now) {
  if (now < kill_again_) return;
  kill_again_ = now + kAgain;
  for (Rank& rank : ranks_)
    if (!rank.link->status().over()) rank.link->kill();
}

void NodeAttempt::drive_cleaning(Time now) {
  if (state_ != AttemptReport::UNCLEAN) state_ = AttemptReport::ENDED;
  const bool all_clean = std::ranges::all_of(ranks_, [](const Rank& rank) { return rank.link->status().clean; });
  if (!all_clean) {
    if (now < clean_again_) return;
    clean_again_ = now + kAgain;
    for (Rank& rank : ranks_) {
      if (rank.link->status().clean) continue;
      rank.link->clean();
      if (!rank.link->status().unclean.empty()) {
        state_ = AttemptReport::UNCLEAN;
        trouble_ = rank.link->status().unclean;
      }
    }
    return;
  }
  if (verifying_ || now < verify_again_) return;
  verifying_ = true;
  host_.spawn(verify(shared_from_this()));
}

AttemptReport NodeAttempt::report() const {
  AttemptReport out;
  out.set_job(desired_.job());
  out.set_attempt(desired_.attempt());
  out.set_state(state_);
  out.set_found_again(found_again_);
  out.set_fenced(fenced_);
  out.set_trouble(report::printable(trouble_));
  out.set_fence_round(fence_round_);
  out.set_fence_holds(fence_holds_);
  out.set_step_max(step_max_);
  out.set_steps_per_second(rate_);
  out.set_last_step_ms(last_step_ms_);
  out.set_first_seen_ms(first_seen_ms_);
  out.set_saved_ms(saved_ms_);
  out.set_user_state(user_state_);
  const Time now = host_.env.now();
  for (std::size_t i = 0; i < ranks_.size(); ++i) {
    const RankStatus& status = ranks_[i].link->status();
    const SlotView& view = ranks_[i].view;
    RankReport& rank = *out.add_ranks();
    rank.set_rank(first_rank(desired_) + static_cast<std::uint32_t>(i));
    rank.set_state(shown(status, view, now - ranks_[i].since));
    rank.set_pid(status.pid);
    rank.set_exit_code(status.state == RankStatus::State::kFailed ? 127 : status.exit_code);
    rank.set_out_of_memory(status.out_of_memory);
    rank.set_step(view.step);
    rank.set_saved_step(view.saved_step);
    rank.set_seen(view.seen);
    rank.set_left(view.state == RankState::kSaved || view.yielded);
    rank.set_ended_ms(status.ended_ms);
    out.set_log_bytes(out.log_bytes() + status.log_bytes);
    out.set_last_output_ms(std::max(out.last_output_ms(), status.output_ms));
  }
  return out;
}

bool NodeAttempt::log_complete(std::uint32_t rank) const {
  const std::uint32_t first = first_rank(desired_);
  if (rank < first || rank - first >= ranks_.size()) return done();
  return ranks_[rank - first].link->status().clean;
}

std::vector<std::pair<std::uint32_t, pid_t>> NodeAttempt::rank_processes() const {
  std::vector<std::pair<std::uint32_t, pid_t>> out;
  for (std::size_t i = 0; i < ranks_.size(); ++i) {
    const RankStatus& status = ranks_[i].link->status();
    if (status.state == RankStatus::State::kRunning)
      out.emplace_back(first_rank(desired_) + static_cast<std::uint32_t>(i), status.pid);
  }
  return out;
}

std::uint32_t NodeAttempt::send_signal(int signo, const std::vector<std::uint32_t>& ranks) {
  std::uint32_t count = 0;
  for (std::size_t i = 0; i < ranks_.size(); ++i) {
    const std::uint32_t number = first_rank(desired_) + static_cast<std::uint32_t>(i);
    if (!ranks.empty() && std::ranges::find(ranks, number) == ranks.end()) continue;
    if (ranks_[i].link->status().state != RankStatus::State::kRunning || !ranks_[i].link->followed()) continue;
    ranks_[i].link->signal(signo);
    ++count;
  }
  return count;
}

void NodeAttempt::failed(const std::string& why) {
  state_ = AttemptReport::FAILED;
  trouble_ = why;
  host_.changed();
}

std::uint64_t NodeAttempt::wall_ms() const {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(host_.env.wall_now().time_since_epoch()).count());
}

}  // namespace ff::ctl
