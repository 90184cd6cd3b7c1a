// Nodes: what they report, what they are told, and what administrators do with them.
#include <fmt/core.h>

#include <algorithm>

#include "ffctl/job/check.hpp"
#include "ffctl/master/engine.hpp"
#include "ffctl/master/sentence.hpp"
#include "libcommon/net/address.hpp"

namespace ff::ctl {

namespace {

constexpr std::size_t kNodesMax = 100'000;
constexpr int kAttemptsReportedMax = 4096;
constexpr int kLabelsMax = 64;

bool label_text(std::string_view text) {
  return !text.empty() && text.size() <= 255 &&
         std::ranges::all_of(text, [](char c) { return c > ' ' && c < 127 && c != ','; });
}

}  // namespace

bool Engine::usable(const NodeEntry& node) const {
  return node.reported && !node.lost && !node.record.draining() && !node.leftovers && !node.checking &&
         node.trouble.empty();
}

NodeInfo::State Engine::node_state(const NodeEntry& node) const {
  if (node.lost || !node.reported) return NodeInfo::LOST;
  if (node.checking) return NodeInfo::CHECKING;
  if (!node.jobs.empty()) return NodeInfo::BUSY;
  if (node.record.draining() || !node.trouble.empty()) return NodeInfo::DRAINED;
  return NodeInfo::READY;
}

NodeInfo Engine::node_info(const NodeEntry& node) const {
  NodeInfo info;
  *info.mutable_facts() = node.record.facts();
  info.set_state(node_state(node));
  info.set_draining(node.record.draining());
  info.set_drain_reason(node.record.drain_reason());
  info.set_drained_by(node.record.drained_by());
  for (const std::uint64_t job : node.jobs) info.add_jobs(job);
  info.set_last_report_ms(node.last_report_ms);
  info.set_trouble(!node.trouble.empty() ? node.trouble : node.leftovers ? "has ranks of ended attempts" : "");
  *info.mutable_labels() = node.record.labels();
  info.set_last_check(node.record.last_check());
  info.set_last_check_ms(node.record.last_check_ms());
  return info;
}

Result<> Engine::report(const NodeReport& report, std::uint64_t now) {
  now_ = std::max(now_, now);
  const std::string& name = report.facts().name();
  if (!plain_name(name)) return fail(Errc::kInvalidArgument, "report: the node's name is not [A-Za-z0-9._-]{1,255}");
  if (report.attempts_size() > kAttemptsReportedMax)
    return fail(Errc::kInvalidArgument, fmt::format("node {}: reports {} attempts", name, report.attempts_size()));
  if (auto at = net::parse_peer_address(report.facts().address()); !at)
    return fail(std::move(at).error().context(fmt::format("node {}", name)));
  if (!state_.nodes.contains(name) && state_.nodes.size() >= kNodesMax)
    return fail(Errc::kExhausted, fmt::format("node {}: there are {} nodes already", name, kNodesMax));
  NodeEntry& node = state_.nodes[name];
  if (node.instance == report.instance() && report.sequence() <= node.report_sequence) return {};  // overtaken
  const bool known = node.record.has_facts() && node.record.facts().address() != "";
  const bool usable_before = usable(node);
  if (node.record.facts().SerializeAsString() != report.facts().SerializeAsString()) {
    *node.record.mutable_facts() = report.facts();
    touched_nodes_.insert(name);
    plan_needed_ = true;
    if (!known)
      event("node_new", nullptr, name, name,
            fmt::format("{} GPUs, {} CPUs", report.facts().gpus(), report.facts().cpus()));
    dirty_nodes_.insert(name);
  }
  if (node.lost) event("node_back", nullptr, name, name, "reports again");
  node.lost = false;
  if (node.instance != report.instance()) dirty_nodes_.insert(name);
  node.reported = true;
  node.last_report_ms = now_;
  node.instance = report.instance();
  node.report_sequence = report.sequence();
  node.applied_epoch = report.applied_epoch();
  node.applied_sequence = report.applied_sequence();
  node.trouble = sentence(report.trouble());
  // It has missed the last order.
  if (node.applied_epoch != epoch_ || node.applied_sequence < node.wanted_sequence) dirty_nodes_.insert(name);

  std::map<std::pair<std::uint64_t, std::uint32_t>, const AttemptReport*> told;
  for (const AttemptReport& one : report.attempts()) told[{one.job(), one.attempt()}] = &one;
  const std::set<std::uint64_t> jobs = node.jobs;
  for (const std::uint64_t id : jobs) {
    JobEntry& entry = this->entry(id);
    const auto at = std::ranges::find(entry.attempt().nodes(), name);
    const auto rank = static_cast<std::size_t>(at - entry.attempt().nodes().begin());
    NodeSight& sight = entry.sight->nodes[rank];
    const auto found = told.find({id, entry.attempt().number()});
    if (found != told.end()) {
      sight.gone = false;
      sight.instance = report.instance();
      look_at_progress(entry, rank, *found->second);
    } else if (sight.first_sequence != 0 && node.applied_epoch == epoch_ &&
               node.applied_sequence >= sight.first_sequence) {
      // What had ended is gone because it is clean.
      if (sight.report.state() >= AttemptReport::ENDED) {
        sight.report.set_state(AttemptReport::CLEAN);
      } else {
        sight.gone = true;
      }
    }
    evaluate_attempt(entry);
    flush();
  }
  look_for_leftovers(node, report);
  if (usable(node) != usable_before) plan_needed_ = true;
  flush();
  return {};
}

// Ranks of attempts that are closed, or that we have never heard of.
void Engine::look_for_leftovers(NodeEntry& node, const NodeReport& report) {
  node.leftovers = false;
  for (const AttemptReport& one : report.attempts()) {
    if (one.state() == AttemptReport::CLEAN || one.state() == AttemptReport::FAILED) continue;
    const auto found = state_.jobs.find(one.job());
    if (found != state_.jobs.end() && node.jobs.contains(one.job()) &&
        found->second.attempt().number() == one.attempt())
      continue;
    node.leftovers = true;
    if (one.state() == AttemptReport::UNCLEAN && !node.record.draining())
      drain_node(node, fmt::format("job {} was not cleaned up: {}", one.job(), sentence(one.trouble())), "master");
    else
      dirty_nodes_.insert(report.facts().name());
  }
}

void Engine::look_at_progress(JobEntry& entry, std::size_t rank, const AttemptReport& report) {
  Sight& sight = *entry.sight;
  NodeSight& node = sight.nodes[rank];
  Attempt& attempt = entry.attempt();
  if (report.last_output_ms() > sight.last_output) {
    sight.last_output = report.last_output_ms();
    sight.output_ms = now_;
  }
  std::uint64_t step = report.step_max(), saved = 0;
  for (const RankReport& one : report.ranks()) {
    step = std::max(step, one.step());
    saved = std::max(saved, one.saved_step());
  }
  if (step > sight.last_step) {
    sight.last_step = step;
    sight.step_ms = now_;  // stored with the next change only: it is reported again
  }
  if (saved > attempt.saved_step()) {
    attempt.set_saved_step(saved);
    attempt.set_saved_ms(now_);
    touch(entry);
  }
  if (rank == 0 && !report.user_state().empty() && report.user_state().size() <= kStateBytesMax &&
      report.user_state() != entry.blob) {
    entry.blob = report.user_state();
    touched_blobs_.insert(entry.job().id());
    touch(entry);
  }
  node.report = report;
  node.report.clear_user_state();
}

ApplyRequest Engine::orders(const std::string& name, std::uint64_t now) {
  now_ = std::max(now_, now);
  ApplyRequest request;
  NodeEntry& node = state_.nodes.at(name);
  request.set_master_epoch(epoch_);
  request.set_sequence(++order_sequence_);
  node.wanted_sequence = order_sequence_;
  for (const std::uint64_t id : node.jobs) {
    JobEntry& entry = this->entry(id);
    const Attempt& attempt = entry.attempt();
    const LiveAttempt& live = entry.record.live();
    const int rank = static_cast<int>(std::ranges::find(attempt.nodes(), name) - attempt.nodes().begin());
    NodeSight& sight = entry.sight->nodes[static_cast<std::size_t>(rank)];
    if (sight.first_sequence == 0) sight.first_sequence = order_sequence_;
    DesiredAttempt& want = *request.add_attempts();
    want.set_job(id);
    want.set_attempt(attempt.number());
    want.set_want(live.want());
    want.set_job_name(entry.spec.name());
    want.set_user(entry.job().user());
    want.set_uid(entry.job().uid());
    want.set_gid(entry.job().gid());
    if (live.want() == DesiredAttempt::RUN && !has_all(node, sight)) {
      *want.mutable_spec() = entry.full_spec();
      *want.mutable_nodes() = attempt.nodes();
      for (const std::string& one : attempt.nodes()) {
        const auto found = state_.nodes.find(one);
        want.add_addresses(found == state_.nodes.end() ? "" : found->second.record.facts().host());
      }
      want.set_state(entry.blob);
    }
    want.set_node_rank(static_cast<std::uint32_t>(rank));
    want.set_rendezvous_port(live.port());
    *want.mutable_gpus() = live.shares(rank).gpus();
    *want.mutable_cpus() = live.shares(rank).cpus();
    const auto left = [&](std::uint64_t until) { return until > now_ ? until - now_ : 0; };
    if (live.want() == DesiredAttempt::SUSPEND) {
      want.set_grace_left_ms(left(attempt.drain_ms() + live.grace_ms()));
      want.set_max_grace_left_ms(left(attempt.drain_ms() + live.max_grace_ms()));
      FenceOrder& fence = *want.mutable_fence();
      fence.set_committed(live.fence_round() != 0);
      fence.set_round(fence.committed() ? live.fence_round() : entry.sight->round);
      fence.set_step(fence.committed() ? live.fence_step() : entry.sight->step);
    } else if (live.want() == DesiredAttempt::STOP) {
      want.set_grace_left_ms(left(live.want_ms() + live.grace_ms()));
    }
    want.set_resume_step(live.resume_step());
  }
  return request;
}

std::size_t Engine::untold_bytes(const NodeEntry& node, const std::string& name) const {
  std::size_t bytes = 0;
  for (const std::uint64_t id : node.jobs) {
    const JobEntry& entry = state_.jobs.at(id);
    const auto rank = std::ranges::find(entry.attempt().nodes(), name) - entry.attempt().nodes().begin();
    if (!has_all(node, entry.sight->nodes[static_cast<std::size_t>(rank)])) bytes += entry.told_bytes();
  }
  return bytes;
}

std::uint64_t Engine::lost_ms(const NodeEntry& node) const noexcept {
  return std::max(node.last_report_ms + options_.failure_timeout_ms, began_ms_ + first_timeout_ms_);
}

bool Engine::silent(const NodeEntry* node) const noexcept {
  return node != nullptr && !node->lost && now_ > node->last_report_ms + options_.failure_timeout_ms / 4;
}

void Engine::lose_node(NodeEntry& node) {
  const std::string& name = node.record.facts().name();
  node.lost = true;
  node.void_sequence = order_sequence_;
  plan_needed_ = true;
  const std::uint64_t cause = event("node_lost", nullptr, name, "master",
                                    fmt::format("no report for {} s", (now_ - node.last_report_ms) / 1000));
  flush();
  const std::set<std::uint64_t> jobs = node.jobs;
  for (const std::uint64_t id : jobs) {
    entry(id).last_event = cause;
    evaluate_attempt(entry(id));
    flush();
  }
}

void Engine::drain_node(NodeEntry& node, std::string reason, const std::string& by) {
  if (node.record.draining()) return;
  node.record.set_draining(true);
  node.record.set_drain_reason(reason);
  node.record.set_drained_by(by);
  touched_nodes_.insert(node.record.facts().name());
  event("drained", nullptr, node.record.facts().name(), by, std::move(reason));
  plan_needed_ = true;
}

void Engine::node_checking(const std::string& name, bool checking) {
  if (NodeEntry* const node = find_node(name)) node->checking = checking;
  plan_needed_ = true;
}

void Engine::node_checked(const std::string& name, int exit_code, const std::string& summary, std::uint64_t now) {
  now_ = std::max(now_, now);
  NodeEntry* const node = find_node(name);
  if (node == nullptr) return;
  node->checking = false;
  node->record.set_last_check(
      fmt::format("{}{}{}", exit_code == 0 ? "passed" : "failed", summary.empty() ? "" : ": ", sentence(summary)));
  node->record.set_last_check_ms(now_);
  touched_nodes_.insert(name);
  event("checked", nullptr, name, "master", node->record.last_check());
  if (exit_code != 0) drain_node(*node, "check failed: " + sentence(summary), "check");
  plan_needed_ = true;
  flush();
}

Result<> Engine::control_node(const std::string& name, const ControlNodeRequest& request, const Actor& actor,
                              std::uint64_t now) {
  now_ = std::max(now_, now);
  if (!actor.admin) return fail(Errc::kPermission, fmt::format("node {}: only administrators change nodes", name));
  NodeEntry* const node = find_node(name);
  if (node == nullptr) return fail(Errc::kNotFound, fmt::format("node {}: is not known", name));
  switch (request.verb()) {
    case ControlNodeRequest::DRAIN: {
      drain_node(*node, request.text().empty() ? "no reason given" : sentence(request.text()), actor.user);
      const std::set<std::uint64_t> jobs = request.preempt() ? node->jobs : std::set<std::uint64_t>();
      for (const std::uint64_t id : jobs) {
        JobEntry& one = entry(id);
        if (one.attempt().phase() > STARTED) continue;
        suspend(one, PREEMPTED, one.spec.preemption().grace_ms(), fmt::format("node {} is drained", name), actor.user);
        evaluate_attempt(one);
        flush();
      }
      break;
    }
    case ControlNodeRequest::UNDRAIN:
      node->record.set_draining(false);
      node->record.clear_drain_reason();
      node->record.clear_drained_by();
      touched_nodes_.insert(name);
      event("undrained", nullptr, name, actor.user, sentence(request.text()));
      break;
    case ControlNodeRequest::ADD_LABEL:
    case ControlNodeRequest::REMOVE_LABEL: {
      if (!label_text(request.text()))
        return fail(Errc::kInvalidArgument, "label: is not printable, without spaces and commas, of 1 to 255 bytes");
      auto& labels = *node->record.mutable_labels();
      const auto at = std::ranges::find(labels, request.text());
      if (request.verb() == ControlNodeRequest::REMOVE_LABEL) {
        if (at == labels.end())
          return fail(Errc::kNotFound, fmt::format("node {}: has no label {}", name, request.text()));
        labels.erase(at);
      } else if (at == labels.end()) {
        if (labels.size() >= kLabelsMax)
          return fail(Errc::kExhausted, fmt::format("node {}: has {} labels already", name, kLabelsMax));
        *labels.Add() = request.text();
      }
      touched_nodes_.insert(name);
      event("labelled", nullptr, name, actor.user, request.text());
      break;
    }
    case ControlNodeRequest::FORGET:
      if (node_state(*node) != NodeInfo::LOST || !node->jobs.empty())
        return fail(Errc::kInvalidArgument, fmt::format("node {}: reports, or has jobs (stop its agent first)", name));
      writes_.push_back({node_key(name), std::nullopt});
      event("forgotten", nullptr, name, actor.user, "");
      state_.nodes.erase(name);
      break;
    default: return fail(Errc::kInvalidArgument, fmt::format("node {}: no such verb", name));
  }
  plan_needed_ = true;
  flush();
  return {};
}

}  // namespace ff::ctl
