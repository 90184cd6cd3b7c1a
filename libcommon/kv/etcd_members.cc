#include "libcommon/kv/etcd_members.hpp"

#include <algorithm>

namespace ff::kv {

namespace {
constexpr runtime::Duration kOutMin = std::chrono::milliseconds(100);
constexpr unsigned kDoublingsMax = 4;  // to 1.6 s: a member that is back is used again soon
}  // namespace

EtcdMembers::EtcdMembers(std::vector<std::string> endpoints) {
  for (std::string& endpoint : endpoints) members_.push_back({.endpoint = std::move(endpoint)});
}

std::size_t EtcdMembers::next(runtime::Time now, const std::vector<bool>& tried) {
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    const std::size_t member = (turn_ + i) % members_.size();
    if (tried[member]) continue;
    if (well(member, now)) {
      best = member;
      break;
    }
    if (!best || members_[member].out_until < members_[*best].out_until) best = member;
  }
  turn_ = *best + 1;
  return *best;
}

void EtcdMembers::failed(std::size_t member, runtime::Time now) {
  Member& m = members_[member];
  m.out_until = now + kOutMin * (1 << std::min(m.failures, kDoublingsMax));
  ++m.failures;
}

bool EtcdMembers::answered(std::size_t member, std::uint64_t id, std::uint64_t term) {
  Member& m = members_[member];
  m.id = id;
  m.failures = 0;
  m.out_until = {};
  if (term <= term_) return false;
  term_ = term;
  leader_ = 0;
  return true;
}

std::optional<std::size_t> EtcdMembers::leader() const {
  if (leader_ == 0) return std::nullopt;
  const auto found = std::ranges::find(members_, leader_, &Member::id);
  return found == members_.end() ? std::nullopt : std::optional<std::size_t>(found - members_.begin());
}

}  // namespace ff::kv
