#include "libcommon/rpc/grant_window.hpp"

#include <algorithm>

namespace ff::rpc {
namespace {

// Long enough for a rate to mean something, short enough to see the peak between pauses.
constexpr runtime::Duration kSpan = std::chrono::milliseconds(2);

double seconds(runtime::Duration d) noexcept { return std::chrono::duration<double>(d).count(); }

}  // namespace

GrantWindow::Ticket GrantWindow::ask(std::uint64_t peer, std::uint64_t bytes) {
  const Ticket ticket = ++last_ticket_;
  asked_.emplace(ticket, Asked{.peer = peer, .bytes = bytes});
  Peer& asker = peers_[peer];
  // Who was away has not saved anything up, nor lost what it was ahead.
  if (asker.queue.empty()) asker.served = std::max(asker.served, virtual_time_);
  asker.queue.push_back(ticket);
  ++waiting_;
  return ticket;
}

std::optional<GrantWindow::Ticket> GrantWindow::next(runtime::Time now) {
  let_go_overdue(now);
  if (waiting_ == 0) return std::nullopt;
  auto least = peers_.end();
  for (auto at = peers_.begin(); at != peers_.end(); ++at) {
    if (at->second.queue.empty()) continue;
    if (least == peers_.end() || at->second.served < least->second.served) least = at;
  }
  const Ticket ticket = least->second.queue.front();
  Asked& asked = asked_.at(ticket);
  // One is always let through, however large it is.
  const double limit = probing_ ? static_cast<double>(options_.window_bytes_min) : window_;
  if (granted_bytes_ != 0 && static_cast<double>(granted_bytes_ + asked.bytes) > limit) return std::nullopt;

  virtual_time_ = least->second.served;
  least->second.served += asked.bytes;
  least->second.queue.pop_front();
  --waiting_;
  forget_caught_up();
  if (granted_bytes_ == 0) busy_since_ = now;
  asked.granted = asked.counted = true;
  asked.probe = probing_;
  asked.since = now;
  granted_bytes_ += asked.bytes;
  grants_.emplace_back(now, ticket);
  return ticket;
}

void GrantWindow::uncount(Asked& asked) noexcept {
  if (!asked.counted) return;
  asked.counted = false;
  granted_bytes_ -= asked.bytes;
}

void GrantWindow::done(Ticket ticket, runtime::Time now) {
  const auto at = asked_.find(ticket);
  if (at == asked_.end()) return;
  if (!at->second.granted) {
    drop(ticket);
    return;
  }
  measure(at->second, now);
  forget(ticket);
}

void GrantWindow::drop(Ticket ticket) {
  const auto at = asked_.find(ticket);
  if (at == asked_.end()) return;
  if (!at->second.granted) {
    const auto peer = peers_.find(at->second.peer);
    std::erase(peer->second.queue, ticket);
    --waiting_;
    forget_caught_up();
  }
  forget(ticket);
}

void GrantWindow::forget(Ticket ticket) {
  const auto at = asked_.find(ticket);
  uncount(at->second);
  asked_.erase(at);
  // Nobody is left to be fair to.
  if (asked_.empty()) peers_.clear();
}

void GrantWindow::forget_caught_up() {
  std::erase_if(
      peers_, [this](const auto& entry) { return entry.second.queue.empty() && entry.second.served <= virtual_time_; });
}

void GrantWindow::let_go_overdue(runtime::Time now) {
  while (!grants_.empty()) {
    const auto [since, ticket] = grants_.front();
    const auto at = asked_.find(ticket);
    if (at != asked_.end()) {
      if (now - since < options_.patience) return;
      uncount(at->second);
    }
    grants_.pop_front();
  }
}

runtime::Time GrantWindow::next_overdue() const noexcept {
  if (waiting_ == 0 || grants_.empty()) return runtime::kNever;
  return runtime::saturating_add(grants_.front().first, options_.patience);
}

void GrantWindow::rotate(runtime::Time now) {
  if (now - rotated_ < options_.memory / 2) return;
  // Two halves without news: both are forgotten.
  const bool stale = now - rotated_ >= options_.memory;
  const auto turn = [stale](auto& extreme) {
    extreme.last = extreme.current;
    extreme.last_set = extreme.current_set && !stale;
    extreme.current_set = false;
  };
  turn(peak_);
  turn(base_);
  rotated_ = now;
  probing_ = true;
}

void GrantWindow::measure(const Asked& asked, runtime::Time now) {
  rotate(now);
  const double took = seconds(now - asked.since);
  const auto bytes = static_cast<double>(asked.bytes);

  span_bytes_ += bytes;
  span_busy_ += now - busy_since_;
  busy_since_ = now;
  if (span_busy_ >= kSpan) {
    const double rate = span_bytes_ / seconds(span_busy_);
    peak_.current = peak_.current_set ? std::max(peak_.current, rate) : rate;
    peak_.current_set = true;
    span_busy_ = runtime::Duration(0);
    span_bytes_ = 0;
  }
  if (!peak_.current_set && !peak_.last_set) return;
  const double peak = std::max(peak_.current_set ? peak_.current : 0, peak_.last_set ? peak_.last : 0);

  // Kept as it was measured, and judged by the peak of now: a peak that was low made it look too quick.
  const auto rest = [peak](const Quickest& q) { return std::max(0.0, q.took_s - q.bytes / peak); };
  const Quickest mine{took, bytes};
  if (!base_.current_set || rest(mine) <= rest(base_.current)) base_.current = mine;
  base_.current_set = true;
  if (asked.probe) probing_ = false;
  const double base = base_.last_set ? std::min(rest(base_.current), rest(base_.last)) : rest(base_.current);
  adapt(took, options_.slack * (base + bytes / peak), asked.bytes);
}

void GrantWindow::adapt(double took_s, double target_s, std::uint64_t bytes) {
  const auto n = static_cast<double>(bytes);
  since_decrease_bytes_ += n;
  if (took_s <= target_s) {
    // A window that is not used has not proved that it may grow.
    if (static_cast<double>(granted_bytes_) * 2 >= window_) window_ += kStepBytes * n / window_;
  } else if (since_decrease_bytes_ >= window_) {
    window_ *= std::max(0.5, 1 - 0.8 * (took_s - target_s) / took_s);
    since_decrease_bytes_ = 0;
  }
  window_ = std::clamp(window_, static_cast<double>(options_.window_bytes_min),
                       static_cast<double>(options_.window_bytes_max));
}

}  // namespace ff::rpc
