#include "ffs/mgmt/membership.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace ff::ffs {

using runtime::Duration;
using runtime::Time;

namespace {

struct Place {
  std::uint64_t version = 0;  // 0: the target is in no chain
  PublicState state = PUBLIC_NONE;
};
Place place_in(const ManagerState& state, std::uint64_t target) {
  const auto info = state.targets.find(target);
  if (info == state.targets.end()) return {};
  const auto chain = state.chains.find(info->second.chain());
  if (chain == state.chains.end()) return {};
  for (const ChainMember& member : chain->second.members())
    if (member.target() == target) return {.version = chain->second.version(), .state = member.state()};
  return {};
}

}  // namespace

void Membership::begin(Time now) {
  began_ = now;
  nodes_.clear();
  targets_.clear();
  chain_changed_at_.clear();
  chain_began_at_.clear();
  targets_of_node_.clear();
  sessions_.clear();
}

Result<Membership::Heard> Membership::hear(const HeartbeatRequest& request, const ManagerState& state, Time now,
                                           Rng& rng) {
  const std::uint64_t id = request.node().node();
  Node& node = nodes_[id];
  Heard heard;
  if (node.retired.contains(request.incarnation()))
    return fail(Errc::kAlreadyExists,
                fmt::format("node {}: another process has taken its place (is it started twice?)", id));
  if (node.incarnation != request.incarnation()) {
    const bool proved =
        node.challenge != 0 && node.applicant == request.incarnation() && node.challenge == request.challenge();
    if (!proved) {
      if (node.applicant != request.incarnation() || node.challenge == 0) {
        node.applicant = request.incarnation();
        while ((node.challenge = rng.next()) == 0) continue;
      }
      heard.challenge = node.challenge;
      return heard;
    }
    if (node.incarnation != 0) {
      // The process before it is gone, and so is what it served.
      node.retired.insert(node.incarnation);
      for (const std::uint64_t target : targets_of_node_[id])
        heard.changed |= set_local(targets_[target], LOCAL_OFFLINE, 0);
      // Whatever this request says of targets, it may not yet know that.
      node.first = true;
    } else {
      node.first = false;
    }
    node.incarnation = request.incarnation();
    node.sequence = 0;
    node.challenge = 0;
    node.heard = now;
    heard.changed = true;
  }
  if (request.sequence() <= node.sequence) return heard;
  heard.current = true;
  node.sequence = request.sequence();
  const auto record = state.nodes.find(id);
  heard.changed |= record == state.nodes.end() || !record->second.alive();
  node.heard = now;
  node.info = request.node();
  const bool first = std::exchange(node.first, false);
  if (!first) heard.changed |= take_reports(request, state, now);
  return heard;
}

bool Membership::set_local(Target& target, LocalState local, std::uint64_t version) {
  const bool changed = target.local != local || target.version != version;
  target.local = local;
  target.version = version;
  return changed;
}

// Members of a new chain serve at once, without having reported since. What a node that has not heard of the chain says
// of one, that it is offline because it knows no routing at all, is over when it has; it says again what holds then. A
// new primary knows of no chain how old it is.
bool Membership::said_before(const HeartbeatRequest& request, const TargetInfo& target) const {
  const auto since = chain_began_at_.find(target.chain());
  return since != chain_began_at_.end() && request.routing_version() < since->second;
}

bool Membership::take_reports(const HeartbeatRequest& request, const ManagerState& state, Time now) {
  const std::uint64_t node = request.node().node();
  bool changed = false;
  std::set<std::uint64_t> mentioned;
  for (const TargetReport& report : request.targets()) {
    const auto info = state.targets.find(report.target());
    if (report.target() == 0 || report.local() == LOCAL_NONE) continue;
    if (info != state.targets.end() && info->second.node() != node) continue;  // another node's
    Target& target = targets_[report.target()];
    target.node = node;
    target.report = report;
    targets_of_node_[node].insert(report.target());
    mentioned.insert(report.target());
    const Place place = place_in(state, report.target());
    if (report.local() == LOCAL_OFFLINE && place.state == SERVING && said_before(request, info->second)) continue;
    if (report.local() == LOCAL_OFFLINE || report.chain_version() >= place.version) {
      changed |= set_local(target, report.local(), report.chain_version());
    } else if (place.state == SERVING && target.local == LOCAL_NONE) {
      changed |= set_local(target, LOCAL_ONLINE, report.chain_version());
    }
  }
  for (const std::uint64_t id : targets_of_node_[node]) {
    if (mentioned.contains(id)) continue;
    const auto info = state.targets.find(id);
    Target& target = targets_[id];
    if (info == state.targets.end() || now < target.unknown_until) continue;
    const auto since = chain_changed_at_.find(info->second.chain());
    if (since != chain_changed_at_.end() && request.routing_version() < since->second) continue;
    changed |= set_local(target, LOCAL_OFFLINE, 0);
  }
  return changed;
}

std::optional<bool> Membership::alive(std::uint64_t id, Time now) const {
  const auto node = nodes_.find(id);
  const bool heard = node != nodes_.end() && node->second.incarnation != 0;
  const Time since = heard ? std::max(node->second.heard, began_) : began_;
  if (now - since > failure_timeout_) return false;
  if (!heard) return std::nullopt;
  return true;
}

LocalState Membership::local(const TargetInfo& info, std::uint64_t version, Time now) const {
  const std::optional<bool> node = alive(info.node(), now);
  if (node.has_value() && !*node) return LOCAL_OFFLINE;
  const auto found = targets_.find(info.target());
  const bool reported = found != targets_.end() && found->second.local != LOCAL_NONE;
  if (!reported) {
    // Its node should have mentioned it by now.
    const Time until = found == targets_.end() ? began_ + failure_timeout_
                                               : std::max(found->second.unknown_until, began_ + failure_timeout_);
    return now > until ? LOCAL_OFFLINE : LOCAL_NONE;
  }
  const Target& target = found->second;
  return target.local == LOCAL_UPTODATE && target.version != version ? LOCAL_ONLINE : target.local;
}

Time Membership::next_death(const ManagerState& state, Time now) const {
  Time next = now + failure_timeout_;
  for (const auto& [id, record] : state.nodes) {
    const auto node = nodes_.find(id);
    const Time heard = node == nodes_.end() ? began_ : std::max(node->second.heard, began_);
    const Time death = heard + failure_timeout_;
    if (death > now) next = std::min(next, death);
  }
  return next + Duration(1);
}

void Membership::chain_changed(const ChainInfo& chain, std::uint64_t routing_version) {
  chain_changed_at_[chain.chain()] = routing_version;
  chain_began_at_.emplace(chain.chain(), routing_version);
}

void Membership::target_installed(std::uint64_t target, Time now) {
  targets_[target].unknown_until = now + failure_timeout_;
  targets_[target].local = LOCAL_NONE;
}

const NodeInfo* Membership::heard_info(std::uint64_t node) const {
  const auto found = nodes_.find(node);
  return found == nodes_.end() || found->second.sequence == 0 ? nullptr : &found->second.info;
}

std::vector<std::uint64_t> Membership::heard_nodes() const {
  std::vector<std::uint64_t> out;
  for (const auto& [id, node] : nodes_)
    if (node.sequence != 0) out.push_back(id);
  return out;
}

std::optional<Duration> Membership::silence(std::uint64_t node, Time now) const {
  const auto found = nodes_.find(node);
  if (found == nodes_.end() || found->second.incarnation == 0) return std::nullopt;
  return now - found->second.heard;
}

const TargetReport* Membership::report(std::uint64_t target) const {
  const auto found = targets_.find(target);
  return found == targets_.end() || found->second.report.target() == 0 ? nullptr : &found->second.report;
}

std::vector<const TargetReport*> Membership::reports() const {
  std::vector<const TargetReport*> out;
  for (const auto& [id, target] : targets_)
    if (target.report.target() != 0) out.push_back(&target.report);
  return out;
}

std::uint64_t Membership::node_of(std::uint64_t target) const {
  const auto found = targets_.find(target);
  return found == targets_.end() ? 0 : found->second.node;
}

Result<> Membership::extend(const ClientSession& session, bool end, Time now) {
  if (session.client() == 0) return fail(Errc::kInvalidArgument, "session: client 0 (draw a random number)");
  if (end) {
    sessions_.erase(session.client());
    return {};
  }
  const auto found = sessions_.find(session.client());
  if (found == sessions_.end() && sessions_.size() >= kSessionsMax)
    return fail(Errc::kExhausted, fmt::format("sessions: {} clients are there already", kSessionsMax));
  sessions_[session.client()] = {.session = session, .heard = now};
  return {};
}

std::vector<ClientSession> Membership::sessions(Time now) {
  std::erase_if(sessions_, [&](const auto& entry) { return now - entry.second.heard > session_timeout_; });
  std::vector<ClientSession> out;
  for (const auto& [client, session] : sessions_) {
    out.push_back(session.session);
    out.back().set_silent_ms(static_cast<std::uint64_t>((now - session.heard) / std::chrono::milliseconds(1)));
  }
  return out;
}

}  // namespace ff::ffs
