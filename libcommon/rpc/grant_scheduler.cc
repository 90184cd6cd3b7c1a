#include "libcommon/rpc/grant_scheduler.hpp"

#include <iterator>
#include <mutex>

namespace ff::rpc {

std::shared_ptr<GrantScheduler> GrantScheduler::of(runtime::Env& env) {
  static std::mutex mutex;  // guards all
  static std::map<std::uint64_t, std::weak_ptr<GrantScheduler>> all;
  const std::lock_guard lock(mutex);
  std::erase_if(all, [](const auto& entry) { return entry.second.expired(); });
  auto& entry = all[env.id()];
  auto scheduler = entry.lock();
  if (scheduler == nullptr) entry = scheduler = std::make_shared<GrantScheduler>(env);
  return scheduler;
}

bool GrantScheduler::ask(Owner& owner, std::uint64_t call, std::uint32_t grant, std::uint64_t bytes) {
  const auto first = tickets_.lower_bound({owner.grant_peer, call, 0});
  const auto last = tickets_.upper_bound({owner.grant_peer, call, UINT32_MAX});
  const Key key{owner.grant_peer, call, grant};
  if (std::distance(first, last) >= static_cast<std::ptrdiff_t>(kAsksMax) || tickets_.contains(key)) return false;
  const auto ticket = window_.ask(owner.grant_peer, bytes);
  tickets_.emplace(key, ticket);
  askers_.emplace(ticket, Asker{&owner, key});
  pump();
  return true;
}

void GrantScheduler::done(Owner& owner, std::uint64_t call, std::uint32_t grant) {
  const auto at = tickets_.find({owner.grant_peer, call, grant});
  if (at == tickets_.end()) return;
  window_.done(at->second, env_.now());
  askers_.erase(at->second);
  tickets_.erase(at);
  pump();
}

void GrantScheduler::drop(Owner& owner, std::uint64_t call) {
  const auto first = tickets_.lower_bound({owner.grant_peer, call, 0});
  const auto last = tickets_.upper_bound({owner.grant_peer, call, UINT32_MAX});
  for (auto at = first; at != last; ++at) {
    window_.drop(at->second);
    askers_.erase(at->second);
  }
  tickets_.erase(first, last);
  pump();
}

void GrantScheduler::pump() {
  while (const auto ticket = window_.next(env_.now())) {
    const Asker& asker = askers_.at(*ticket);
    asker.owner->grant(std::get<1>(asker.key), std::get<2>(asker.key));
  }
  disarm();
  if (const runtime::Time when = window_.next_overdue(); when != runtime::kNever) env_.arm(*this, when);
}

}  // namespace ff::rpc
