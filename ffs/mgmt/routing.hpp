// RoutingView: one immutable picture of the cluster, as the manager gave it, indexed for use. RoutingSource: where the
// newest one comes from. Storage, metadata and clients know the cluster through these two only.
//
// Ownership  Views are shared and immutable: hold one for the length of an operation, take a new one for the next.
// Threads    Views: any. Sources: those of their Env.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ffs/format/types.hpp"
#include "ffs/mgmt/mgmt.pb.h"
#include "libcommon/net/address.hpp"
#include "libcommon/runtime/task.hpp"

namespace ff::ffs {

struct Member {
  TargetId target{};
  PublicState state = PUBLIC_NONE;
};

struct Chain {
  ChainId id{};
  ChainVersion version = 0;
  std::vector<Member> members;  // in the order in which writes travel

  // The members that an update passes: all SERVING, then the SYNCING one. Empty: the chain takes no updates.
  std::vector<Member> path() const;
  std::optional<TargetId> head() const;  // first SERVING
  std::optional<TargetId> tail() const;  // last SERVING: what it has committed is the chain's committed state
  std::vector<TargetId> serving() const;
  // On the path behind `target`; nothing: it is the last, or not on it.
  std::optional<Member> successor(TargetId target) const;
};

class RoutingView {
 public:
  // kCorrupt when the message contradicts itself (a chain of a target that is not there, …): names it.
  static Result<std::shared_ptr<const RoutingView>> make(Routing routing);

  std::uint64_t version() const noexcept { return routing_.version(); }
  const Routing& message() const noexcept { return routing_; }

  // Null: no such thing.
  const Chain* chain(ChainId id) const noexcept;
  const TargetInfo* target(TargetId id) const noexcept;
  const NodeInfo* node(NodeId id) const noexcept;
  // Of the node that serves the target; null: not known.
  const net::PeerAddress* address_of(TargetId id) const noexcept;
  const net::PeerAddress* address_of(NodeId id) const noexcept;
  // Chains in order; empty: no such table version.
  std::span<const ChainId> table(TableId id, std::uint64_t version) const noexcept;
  // 0: no such table.
  std::uint64_t latest_version(TableId id) const noexcept;
  // Alive nodes with this role.
  std::vector<NodeId> nodes_with(Role role) const;

 private:
  RoutingView() = default;

  Routing routing_;
  std::map<ChainId, Chain> chains_;
  std::map<TargetId, const TargetInfo*> targets_;
  std::map<NodeId, const NodeInfo*> nodes_;
  std::map<NodeId, net::PeerAddress> addresses_;
  std::map<std::pair<TableId, std::uint64_t>, std::vector<ChainId>> tables_;
};

class RoutingSource {
 public:
  virtual ~RoutingSource() = default;
  // The newest known here; null before the first.
  virtual std::shared_ptr<const RoutingView> current() const noexcept = 0;
  // Returns when current() is newer than `version`: at once, or when the manager tells; asks the manager now. kTimeout.
  virtual runtime::Task<Result<std::shared_ptr<const RoutingView>>> newer_than(std::uint64_t version,
                                                                               runtime::Duration timeout) = 0;

 protected:
  RoutingSource() = default;
};

}  // namespace ff::ffs
