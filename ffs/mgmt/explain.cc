#include "ffs/mgmt/explain.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "ffs/mgmt/replacement.hpp"

namespace ff::ffs {

namespace {

std::string node_name(const RoutingView& view, std::uint64_t id) {
  const NodeInfo* node = view.node(NodeId{id});
  return node == nullptr || node->host().empty() ? fmt::format("node {}", id)
                                                 : fmt::format("node {} ({})", id, node->host());
}

std::string why(const RoutingView& view, const Member& member, const TargetInfo& target, bool serves) {
  const std::string name = fmt::format("target {} on {}", number(member.target), node_name(view, target.node()));
  const NodeInfo* node = view.node(NodeId{target.node()});
  if (node == nullptr || !node->alive())
    return fmt::format("{}: the node is down{}", name,
                       node != nullptr && node->silent_ms() > 0
                           ? fmt::format(", silent for {} s", node->silent_ms() / 1000)
                           : std::string());
  if (target.leaving()) return name + ": is stopped, it leaves the chain";
  if (target.set_offline()) return name + ": an administrator took it out of service";
  if (!target.trouble().empty()) return fmt::format("{}: {}", name, target.trouble());
  switch (member.state) {
    case SYNCING:
      return fmt::format("{}: catches up, {} of {} bytes", name, target.sync_done_bytes(),
                         target.sync_done_bytes() + target.sync_left_bytes());
    case WAITING:
      return name + (serves ? ": waits for its turn, one member catches up at a time"
                            : ": waits for a complete member to catch up from");
    case LASTSRV: return name + ": holds every acknowledged write, and its process reports it offline";
    default: return name + ": its process reports it offline";
  }
}

// What the head keeps free for what is on its way (TargetOptions::reserve_bytes): with less it takes no new bytes.
bool full(const TargetInfo& target) {
  constexpr std::uint64_t kReserveBytes = 256u << 20;
  const std::uint64_t capacity = target.capacity_bytes();
  return capacity > 0 && target.used_bytes() + std::min(kReserveBytes, capacity / 20) > capacity;
}

// Of a member that is drained, or whose node is: what it waits for.
std::string leaving_text(const RoutingView& view, const Replacements& now, const ChainInfo& chain,
                         const TargetInfo& target) {
  std::string text =
      fmt::format("target {} on {}: leaves the chain; ", target.target(), node_name(view, target.node()));
  const std::uint64_t successor = now.successor_of(target.target());
  if (successor == 0 && now.serving(chain) == 0) return text + "another takes its place when the chain serves";
  if (successor == 0) return text + "waits for a spare target to take its place, or for others that catch up";
  text += fmt::format("target {} takes its place", successor);
  const std::size_t serving = now.serving(chain, target.target());
  if (serving < now.wanted(chain)) text += fmt::format(" when {} others serve, {} do", now.wanted(chain), serving);
  return text;
}

// What is wrong with a member although it serves; empty: nothing.
std::string trouble_of(const RoutingView& view, const Chain& chain, const Member& member, const TargetInfo& target) {
  const std::string name = fmt::format("target {} on {}", number(member.target), node_name(view, target.node()));
  if (!target.trouble().empty()) return fmt::format("{}: serves, but {}", name, target.trouble());
  if (target.set_offline() && !target.leaving())
    return name + ": an administrator takes it out of service, its process still serves it";
  if (chain.head() == member.target && full(target))
    return fmt::format("{}: is full, {} of {} bytes, so the chain takes no writes", name, target.used_bytes(),
                       target.capacity_bytes());
  return {};
}

// The first part of a trouble ends with what to do, in brackets, where that is known.
std::string fix_of(const std::string& trouble, const Member& member) {
  const std::string first = trouble.substr(0, trouble.find(';'));
  const std::size_t from = first.find('('), to = first.rfind(')');
  if (from != std::string::npos && to != std::string::npos && from + 1 < to)
    return fmt::format("for target {}: {}", number(member.target), first.substr(from + 1, to - from - 1));
  const std::string disk =
      fmt::format("repair the disk of target {}, or replace the target by another", number(member.target));
  return member.state != SERVING
             ? disk
             : disk + "; what no replica can read is lost unless one that had it returns: remove those files";
}

}  // namespace

Result<ChainExplanation> explain_chain(const RoutingView& view, ChainId id) {
  const Chain* chain = view.chain(id);
  if (chain == nullptr) return fail(Errc::kNotFound, fmt::format("chain {}: no such chain", number(id)));
  ChainExplanation out;
  const std::size_t serving = chain->serving().size();
  out.serves = serving > 0;
  out.complete = serving == chain->members.size();
  out.summary = fmt::format("chain {}: {} of {} members serve", number(id), serving, chain->members.size());
  if (!out.serves) out.summary += "; reads and writes wait for one that holds every acknowledged write";

  std::vector<std::string> last_resort;
  for (const Member& member : chain->members) {
    const TargetInfo& target = *view.target(member.target);
    if (member.state == SERVING) {
      std::string trouble = trouble_of(view, *chain, member, target);
      if (trouble.empty()) continue;
      out.causes.push_back(std::move(trouble));
      if (!target.trouble().empty()) {
        out.fixes.push_back(fix_of(target.trouble(), member));
      } else if (target.set_offline()) {
        out.fixes.push_back(fmt::format("set target {} online again", number(member.target)));
      } else {
        out.fixes.push_back(fmt::format("remove files, or replace target {} by a larger one", number(member.target)));
      }
      continue;
    }
    out.causes.push_back(why(view, member, target, out.serves));
    const NodeInfo* node = view.node(NodeId{target.node()});
    const bool alive = node != nullptr && node->alive();
    const bool matters = out.serves || member.state == LASTSRV;
    if (!alive && matters) {
      out.fixes.push_back(fmt::format("start {}", node_name(view, target.node())));
    } else if (target.leaving() && matters) {
      continue;
    } else if (target.set_offline() && matters) {
      out.fixes.push_back(fmt::format("set target {} online again", number(member.target)));
    } else if (!target.trouble().empty() && matters) {
      out.fixes.push_back(fix_of(target.trouble(), member));
    }
    if (!out.serves && alive && member.state != LASTSRV && target.local() != LOCAL_OFFLINE)
      last_resort.push_back(
          fmt::format("if none of the LASTSRV members can ever return: rotate to target {} with force; writes that it "
                      "missed are lost",
                      number(member.target)));
  }
  const auto info = std::ranges::find(view.message().chains(), number(id), &ChainInfo::chain);
  for (const Replacements now(view.message()); const ChainMember& member : info->members())
    if (now.leaves(member.target()))
      out.causes.push_back(leaving_text(view, now, *info, *view.target(TargetId{member.target()})));
  out.fixes.insert(out.fixes.end(), last_resort.begin(), last_resort.end());
  if (!(out.complete && out.causes.empty()) && out.fixes.empty()) out.fixes.push_back("wait");
  return out;
}

}  // namespace ff::ffs
