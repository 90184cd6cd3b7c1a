#include "ffctl/master/engine.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "ffctl/job/words.hpp"
#include "libcommon/base/assert.hpp"

namespace ff::ctl {

namespace {

constexpr std::uint64_t kHousekeeping = 0;  // in place of a job
constexpr std::uint64_t kHousekeepingMs = 1000;
constexpr std::uint64_t kDayMs = 24ull * 3600 * 1000;
constexpr std::size_t kTrimAtOnce = 64;  // records
constexpr std::size_t kEventRecordBytes = 256u << 10;

}  // namespace

void Engine::begin(State state, std::uint64_t epoch, std::uint64_t now) {
  state_ = std::move(state);
  epoch_ = epoch;
  now_ = std::max(now, state_.header.now_ms());
  began_ms_ = now_;
  // Leases that a leader with other options gave may still run.
  first_timeout_ms_ = std::max(options_.failure_timeout_ms, state_.header.failure_timeout_ms());
  state_.header.set_failure_timeout_ms(options_.failure_timeout_ms);
  order_sequence_ = 0;
  queued_.clear();
  live_.clear();
  timers_.clear();
  done_.clear();
  dependents_.clear();
  requests_.clear();
  dirty_nodes_.clear();
  for (auto& [name, node] : state_.nodes) {
    node.last_report_ms = now_;
    dirty_nodes_.insert(name);
  }
  for (auto& [id, entry] : state_.jobs) {
    index(entry);
    if (!entry.record.request_key().empty()) requests_[entry.record.request_key()].push_back(id);
    if (!entry.live()) continue;
    entry.sight->round = epoch_ << 20;
    entry.sight->output_ms = entry.sight->step_ms = now_;  // nobody has watched meanwhile
  }
  timers_.insert({now_ + kHousekeepingMs, kHousekeeping});
  for (auto& [id, entry] : state_.jobs)
    if (entry.live() || entry.job().phase() == DEPENDS) evaluate(entry);
  event("leads", nullptr, "", "master", fmt::format("this ffctld leads, epoch {}", epoch_));
  flush();
  plan_needed_ = true;
}

const JobEntry* Engine::job(std::uint64_t id) const {
  const auto found = state_.jobs.find(id);
  return found == state_.jobs.end() ? nullptr : &found->second;
}

NodeEntry* Engine::find_node(const std::string& name) {
  const auto found = state_.nodes.find(name);
  return found == state_.nodes.end() ? nullptr : &found->second;
}

// ---- changes --------------------------------------------------------------------------------------------------------

std::uint64_t Engine::event(std::string kind, const JobEntry* entry, const std::string& node, const std::string& actor,
                            std::string text, std::uint64_t cause) {
  Event& event = new_events_.emplace_back();
  event.set_id(state_.header.next_event());
  state_.header.set_next_event(event.id() + 1);
  event.set_time_ms(now_);
  event.set_kind(std::move(kind));
  event.set_node(node);
  event.set_actor(actor);
  event.set_text(std::move(text));
  event.set_cause(cause);
  if (entry != nullptr) {
    event.set_job(entry->job().id());
    event.set_attempt(static_cast<std::uint32_t>(entry->job().attempts_size()));
    if (cause == 0) event.set_cause(entry->last_event);
    const_cast<JobEntry*>(entry)->last_event = event.id();
  }
  return event.id();
}

// One change of all that was touched.
void Engine::flush() {
  if (touched_jobs_.empty() && touched_nodes_.empty() && new_events_.empty() && writes_.empty()) return;
  Change change;
  change.writes = std::exchange(writes_, {});
  for (const std::uint64_t id : touched_specs_)
    if (const auto found = state_.jobs.find(id); found != state_.jobs.end()) {
      found->second.version = ++last_version_;
      change.writes.push_back({spec_key(id), encode_spec(found->second)});
    }
  for (const std::uint64_t id : touched_blobs_)
    if (const auto found = state_.jobs.find(id); found != state_.jobs.end())
      change.writes.push_back({blob_key(id), std::string(1, '\1') + found->second.blob});
  for (const std::uint64_t id : touched_jobs_)
    if (const auto found = state_.jobs.find(id); found != state_.jobs.end()) {
      found->second.version = ++last_version_;
      change.writes.push_back({job_key(id), encode_job(found->second)});
    }
  for (const std::string& name : touched_nodes_)
    if (const auto found = state_.nodes.find(name); found != state_.nodes.end())
      change.writes.push_back({node_key(name), encode(found->second.record)});
  // Several records where one would exceed what stores take.
  for (std::size_t at = 0; at < new_events_.size();) {
    EventRecord record;
    const std::uint64_t first = new_events_[at].id();
    for (std::size_t bytes = 0; at < new_events_.size() && bytes < kEventRecordBytes; ++at) {
      *record.add_events() = new_events_[at];
      bytes += new_events_[at].ByteSizeLong();
    }
    state_.event_records.push_back(first);
    change.writes.push_back({events_key(first), encode(record)});
  }
  for (Event& event : new_events_) state_.events.push_back(std::move(event));
  new_events_.clear();
  touched_jobs_.clear();
  touched_specs_.clear();
  touched_blobs_.clear();
  touched_nodes_.clear();
  state_.header.set_sequence(state_.header.sequence() + 1);
  state_.header.set_now_ms(now_);
  change.sequence = state_.header.sequence();
  change.header = encode(state_.header);
  journal_(std::move(change));
}

// Old events and jobs go, some at a time.
void Engine::trim() {
  std::size_t records = 0;
  while (records < kTrimAtOnce && state_.event_records.size() > 1) {
    const std::uint64_t next = state_.event_records[1];
    const std::size_t gone = next - state_.events.front().id();
    const bool old = state_.events.front().time_ms() + options_.done_age_ms < now_;
    if (state_.events.size() - gone < options_.events_max && !old) break;
    state_.events.erase(state_.events.begin(), state_.events.begin() + static_cast<std::ptrdiff_t>(gone));
    writes_.push_back({events_key(state_.event_records.front()), std::nullopt});
    state_.event_records.pop_front();
    ++records;
  }
  for (auto at = done_.begin(); at != done_.end() && records < kTrimAtOnce;) {
    const auto [when, id] = *at;
    if (done_.size() <= options_.done_jobs_max && when + options_.done_age_ms >= now_) break;
    if (dependents_.contains(id)) {  // somebody still waits to hear of it
      ++at;
      continue;
    }
    at = done_.erase(at);
    if (const std::string& key = entry(id).record.request_key(); !key.empty()) requests_.erase(key);
    state_.jobs.erase(id);
    for (std::string key : {job_key(id), spec_key(id), blob_key(id)}) writes_.push_back({std::move(key), std::nullopt});
    records += 3;
  }
  flush();
}

// ---- indexes --------------------------------------------------------------------------------------------------------

void Engine::index(JobEntry& entry) {
  const std::uint64_t id = entry.job().id();
  const JobPhase phase = entry.job().phase();
  const auto put = [&](std::set<std::uint64_t>& set, bool in) { in ? (void)set.insert(id) : (void)set.erase(id); };
  put(queued_, phase == QUEUED);
  put(live_, has_attempt(phase));
  if (phase == DONE) {
    done_.insert({entry.job().done_ms(), id});
    for (const Dependency& one : entry.spec.depends())
      if (const auto found = dependents_.find(one.job()); found != dependents_.end()) {
        found->second.erase(id);
        if (found->second.empty()) dependents_.erase(found);
      }
  } else {
    for (const Dependency& one : entry.spec.depends()) dependents_[one.job()].insert(id);
  }
}

// The one place where a job's phase changes.
bool Engine::step(JobEntry& entry, JobHappening happening, std::string reason) {
  const auto next = next_phase(entry.job().phase(), happening);
  if (!next) return false;
  entry.job().set_phase(*next);
  entry.job().set_reason(std::move(reason));
  entry.job().set_phase_since_ms(now_);
  index(entry);
  touch(entry);
  plan_needed_ = true;
  return true;
}

void Engine::set_timer(JobEntry& entry, std::uint64_t when) {
  const std::uint64_t id = entry.job().id();
  if (entry.timer == when) return;
  if (entry.timer != 0) timers_.erase({entry.timer, id});
  entry.timer = when;
  if (when != 0) timers_.insert({when, id});
}

void Engine::dirty(const JobEntry& entry) {
  for (const std::string& node : entry.attempt().nodes()) dirty_nodes_.insert(node);
}

// ---- time -----------------------------------------------------------------------------------------------------------

void Engine::tick(std::uint64_t now) {
  now_ = std::max(now_, now);
  while (!timers_.empty() && timers_.begin()->first <= now_) {
    const auto [when, id] = *timers_.begin();
    timers_.erase(timers_.begin());
    if (id != kHousekeeping) {
      const auto found = state_.jobs.find(id);
      if (found == state_.jobs.end()) continue;
      found->second.timer = 0;
      evaluate(found->second);
      flush();
      continue;
    }
    std::uint64_t next = now_ + kHousekeepingMs;
    for (auto& [name, node] : state_.nodes) {
      const std::uint64_t lost = lost_ms(node);
      if (node.lost) continue;
      if (lost <= now_) {
        lose_node(node);
      } else {
        next = std::min(next, lost);
      }
    }
    trim();
    timers_.insert({next, kHousekeeping});
  }
}

void Engine::evaluate(JobEntry& entry) {
  if (entry.live()) {
    evaluate_attempt(entry);
  } else if (entry.job().phase() == DEPENDS) {
    evaluate_waiting(entry);
  } else {
    set_timer(entry, 0);
  }
}

// ---- what a job waits for -------------------------------------------------------------------------------------------

void Engine::evaluate_waiting(JobEntry& entry) {
  std::string waits;
  for (const Dependency& one : entry.spec.depends()) {
    const JobEntry* const on = job(one.job());
    const bool done = on == nullptr || on->job().phase() == DONE;
    const bool ok = done && on != nullptr && on->job().result() == SUCCEEDED;
    bool met = done, impossible = false;
    switch (one.condition()) {
      case Dependency::AFTER_OK:
        met = ok;
        impossible = done && !ok;
        break;
      case Dependency::AFTER_NOT_OK:
        met = done && !ok;
        impossible = ok;
        break;
      case Dependency::AFTER_START:
        met = on == nullptr || on->job().first_start_ms() != 0;
        impossible = done && !met;
        break;
      default: break;
    }
    if (impossible) {
      finish(entry, REFUSED, 1, JobHappening::kRefused,
             fmt::format("job {} ended as {}", one.job(), on == nullptr ? "forgotten" : word_of(on->job().result())),
             "master");
      return;
    }
    if (!met && waits.empty()) waits = fmt::format("waits for job {}", one.job());
  }
  const std::uint64_t until = std::max(entry.spec.time().begin_ms(), entry.record.not_before_ms());
  if (waits.empty() && until > now_) {
    set_timer(entry, until);
    waits = entry.record.not_before_ms() == until ? "waits before it is tried again" : "waits for its time";
  }
  if (waits.empty()) {
    set_timer(entry, 0);
    step(entry, JobHappening::kReady, "waits for nodes");
  } else if (entry.job().reason() != waits) {
    entry.job().set_reason(waits);
    touch(entry);
  }
}

// One after another: what is refused wakes others in turn, and chains may be longer than a stack is deep.
void Engine::wake_dependents(std::uint64_t job) {
  woken_.push_back(job);
  if (woken_.size() > 1) return;  // whoever began goes on
  while (!woken_.empty()) {
    if (const auto found = dependents_.find(woken_.front()); found != dependents_.end()) {
      const std::set<std::uint64_t> waiting = found->second;
      for (const std::uint64_t id : waiting)
        if (JobEntry& one = entry(id); one.job().phase() == DEPENDS) evaluate_waiting(one);
    }
    woken_.pop_front();
  }
}

// A job without an attempt, or whose attempt was just closed, is done.
void Engine::finish(JobEntry& entry, JobResult result, int exit_code, JobHappening happening, std::string reason,
                    const std::string& actor) {
  entry.job().set_done_ms(now_);
  entry.job().set_result(result);
  entry.job().set_exit_code(exit_code);
  const bool stepped = step(entry, happening, reason);
  FF_ASSERT(stepped);
  set_timer(entry, 0);
  std::string text = fmt::format("{}, exit code {}", word_of(result), exit_code);
  if (!reason.empty()) text += ": " + reason;
  event("done", &entry, "", actor, std::move(text));
  state_.header.set_jobs_done(state_.header.jobs_done() + 1);
  wake_dependents(entry.job().id());
}

std::uint32_t Engine::preemptions_today(const JobEntry& entry, std::uint64_t now) {
  return static_cast<std::uint32_t>(
      std::ranges::count_if(entry.record.preempted_ms(), [&](std::uint64_t when) { return when + kDayMs > now; }));
}

}  // namespace ff::ctl
