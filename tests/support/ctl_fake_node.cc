#include "tests/support/ctl_fake_node.hpp"

#include <algorithm>
#include <utility>

namespace ff::ctl {

namespace {

std::uint64_t word(const DesiredAttempt& want, const std::string& name, std::uint64_t otherwise) {
  for (const std::string& one : want.spec().run().command())
    if (one.starts_with(name + "=")) return std::stoull(one.substr(name.size() + 1));
  return otherwise;
}

constexpr std::uint64_t kTickMs = 10;

}  // namespace

FakeNode::FakeNode(std::string name, std::string address, std::uint64_t instance, FakeTimes times)
    : instance_(instance), times_(times) {
  facts_.set_name(std::move(name));
  facts_.set_address(std::move(address));
  facts_.set_host("127.0.0.1");
  facts_.set_cpus(64);
  facts_.set_gpus(8);
  facts_.set_memory_bytes(1ull << 40);
}

void FakeNode::take(Local& local, const DesiredAttempt& want, std::uint64_t now) {
  const DesiredAttempt given = std::exchange(local.want, want);
  if (!want.has_spec()) {  // it was said before
    *local.want.mutable_spec() = given.spec();
    *local.want.mutable_nodes() = given.nodes();
  }
  if (local.state >= AttemptReport::ENDED) return;
  if (want.want() == DesiredAttempt::KILL) return end(local, 137, now);
  if (want.want() == DesiredAttempt::STOP && local.ending == 0 && !local.deaf) {
    local.ending = now;
    local.ending_code = 143;
  }
  if (want.want() == DesiredAttempt::SUSPEND && !local.deaf) {
    local.seen = true;
    if (want.fence().round() > local.round || (want.fence().round() == local.round && want.fence().committed())) {
      local.round = want.fence().round();
      local.fence = want.fence().step();
      local.committed = want.fence().committed();
      local.holds = local.fence == 0 || local.step < local.fence;
    }
  }
}

bool FakeNode::apply(const ApplyRequest& request, std::uint64_t now) {
  if (request.master_epoch() < seen_epoch_ || (request.master_epoch() == epoch_ && request.sequence() <= applied_))
    return false;
  if (request.master_epoch() == void_epoch_ && request.sequence() <= void_) return false;
  if (lease_at_ != 0 && !leased_) return false;
  advance(now);
  epoch_ = seen_epoch_ = request.master_epoch();
  applied_ = request.sequence();
  for (auto& [id, local] : attempts_) local.dropped = true;
  for (const DesiredAttempt& want : request.attempts()) {
    const auto [at, fresh] = attempts_.try_emplace({want.job(), want.attempt()});
    Local& local = at->second;
    local.dropped = false;
    if (fresh) {
      local.since = now;
      local.steps = word(want, "steps", 20);
      local.rate = word(want, "rate", 10);
      local.exit_code = static_cast<int>(word(want, "exit", 0));
      local.saves = word(want, "save", 1) != 0;
      local.deaf = word(want, "deaf", 0) != 0;
      local.passing = word(want, "passing", 0) != 0;
      // Meant for an agent before this one, which had been given it.
      local.fails = !want.has_spec() ||
                    std::ranges::find(want.spec().run().command(), "launch=FAIL") != want.spec().run().command().end();
      local.step = local.first = want.resume_step();
      local.saved_step = want.resume_step();
    }
    take(local, want, now);
  }
  for (auto at = attempts_.begin(); at != attempts_.end();) {
    if (!at->second.dropped) {
      ++at;
    } else if (at->second.state >= AttemptReport::CLEAN) {
      at = attempts_.erase(at);
    } else {
      if (at->second.state < AttemptReport::ENDED) end(at->second, 137, now);
      ++at;
    }
  }
  return true;
}

void FakeNode::lease(const ReportReply& reply, std::uint64_t sent) {
  if (reply.master_epoch() < seen_epoch_) return;
  seen_epoch_ = reply.master_epoch();
  lease_at_ = sent + reply.lease_ms();
  stop_at_ = sent + reply.stop_ms();
  void_epoch_ = reply.master_epoch();
  void_ = reply.void_sequence();
  if (epoch_ != void_epoch_ || applied_ > void_) return;
  std::erase_if(attempts_, [](const auto& one) { return one.second.state == AttemptReport::PREPARING; });
}

void FakeNode::fence(std::uint64_t steady_now, std::uint64_t now) {
  advance(now);
  leased_ = steady_now < lease_at_;
  if (steady_now < stop_at_) return;
  for (auto& [id, local] : attempts_) {
    if (local.state != AttemptReport::RUNNING) continue;
    local.fenced = true;
    end(local, 137, now);
  }
}

void FakeNode::end(Local& local, int code, std::uint64_t now) {
  if (local.saved && local.seen) left_at_[{local.want.job(), local.want.attempt()}] = local.step;
  local.code = code;
  local.ended_ms = now;
  local.state = AttemptReport::ENDED;
  local.since = now;
}

void FakeNode::advance(Local& local, std::uint64_t now) {
  if (local.state == AttemptReport::PREPARING && !leased_) local.since = now;
  if (local.state == AttemptReport::PREPARING && now >= local.since + times_.launch_ms) {
    local.since += times_.launch_ms;
    local.stepped_ms = local.since;
    local.state = local.fails ? AttemptReport::FAILED : AttemptReport::RUNNING;
  }
  if (local.state == AttemptReport::RUNNING) {
    const std::uint64_t rate = local.rate == 0 ? 10 : local.rate;
    while (local.saving == 0 && local.ending == 0) {
      const bool at_fence = local.round != 0 && local.seen && local.fence != 0 && local.step >= local.fence;
      const bool leaves = local.seen && local.committed && (local.fence == 0 || local.step >= local.fence);
      if (leaves) {
        if (local.saves) {
          local.saving = std::max(local.stepped_ms, std::min(now, local.stepped_ms + 1000 / rate));
        } else {
          local.ending = now;
          local.ending_code = 128 + 10;
        }
        break;
      }
      if (at_fence) break;
      if (local.step >= local.steps) {
        if (local.passing) local.saved_step = local.step;
        end(local, local.exit_code, local.stepped_ms);
        return;
      }
      if (local.stepped_ms + 1000 / rate > now) break;
      local.stepped_ms += 1000 / rate;
      ++local.step;
    }
    if (local.saving != 0 && now >= local.saving + times_.save_ms) {
      local.saved = true;
      local.saved_step = local.step;
      end(local, 0, local.saving + times_.save_ms);
    } else if (local.ending != 0 && now >= local.ending + times_.end_ms) {
      end(local, local.ending_code, local.ending + times_.end_ms);
    }
  }
  if (local.state == AttemptReport::ENDED && now >= local.since + times_.clean_ms) {
    local.state = AttemptReport::CLEAN;
    local.since += times_.clean_ms;
  }
}

void FakeNode::advance(std::uint64_t now) {
  for (auto& [id, local] : attempts_) advance(local, now);
  std::erase_if(attempts_,
                [](const auto& one) { return one.second.dropped && one.second.state >= AttemptReport::CLEAN; });
}

std::uint64_t FakeNode::next(std::uint64_t now) {
  advance(now);
  for (const auto& [id, local] : attempts_)
    if (local.state < AttemptReport::CLEAN) return now + kTickMs;
  return 0;
}

NodeReport FakeNode::report(std::uint64_t now) {
  advance(now);
  NodeReport report;
  *report.mutable_facts() = facts_;
  report.set_instance(instance_);
  report.set_sequence(++sequence_);
  report.set_now_ms(now);
  report.set_applied_epoch(epoch_);
  report.set_applied_sequence(applied_);
  for (const auto& [id, local] : attempts_) {
    AttemptReport& one = *report.add_attempts();
    one.set_job(id.first);
    one.set_attempt(id.second);
    one.set_state(local.state);
    one.set_fence_round(local.round);
    one.set_fence_holds(local.holds);
    one.set_fenced(local.fenced);
    if (local.rate != 0) {
      one.set_step_max(local.step);
      one.set_steps_per_second(static_cast<double>(local.rate));
    }
    one.set_last_step_ms(local.stepped_ms);
    if (local.seen) one.set_first_seen_ms(now);
    if (local.saved) one.set_saved_ms(now);
    if (local.fails) {
      one.set_trouble("no such command");
      continue;
    }
    RankReport& rank = *one.add_ranks();
    rank.set_rank(local.want.node_rank());
    rank.set_state(local.state >= AttemptReport::ENDED ? RankReport::ENDED
                   : local.saving != 0                 ? RankReport::SAVING
                                                       : RankReport::ALIVE);
    rank.set_exit_code(local.code);
    rank.set_ended_ms(local.ended_ms);
    if (local.rate != 0) rank.set_step(local.step);
    rank.set_saved_step(local.saved_step);
    rank.set_seen(local.seen);
  }
  return report;
}

std::vector<std::pair<std::uint64_t, std::string>> FakeNode::running() const {
  std::vector<std::pair<std::uint64_t, std::string>> out;
  for (const auto& [id, local] : attempts_) {
    if (local.state != AttemptReport::RUNNING) continue;
    std::string placement = std::to_string(id.second) + ":";
    for (const std::string& node : local.want.nodes()) placement += " " + node;
    out.emplace_back(id.first, std::move(placement));
  }
  return out;
}

std::uint64_t FakeNode::step_of(std::uint64_t job) const {
  std::uint64_t step = 0;
  for (const auto& [id, local] : attempts_)
    if (id.first == job) step = std::max(step, local.step);
  return step;
}

}  // namespace ff::ctl
