// Pool: what is free of the nodes while a plan is made, and where a request fits. Taking and giving back are exact
// inverses, so that "what if these jobs left" is asked by giving, placing, and taking again.
//
// Where      Several nodes: the leaf with the fewest free nodes that suffice; else the zone that suffices most tightly,
// its
//            fullest leaves first; else two zones, the nodes of each together. Part of a node: the node with the fewest
//            free GPUs that suffice. So what is left stays in large pieces.
// Cost       A placement looks at the free nodes only; a leaf is counted without looking where the request is plain.
// Threads    One at a time. REQUIRES of all: indices in range; nothing is taken that is not free.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "ffctl/sched/types.hpp"

namespace ff::ctl::sched {

class Pool {
 public:
  explicit Pool(const std::vector<NodeView>& nodes);

  void take(const Placed& placed);
  void give(const Placed& placed);
  void take(std::span<const Placed> placed);
  void give(std::span<const Placed> placed);

  // For `job` alone, from now on.
  void keep(NodeIndex node, JobIndex job);
  // Somebody is to have the node at `at`: others must have left it by then.
  void reserve(NodeIndex node, Ms at);

  // Who asks: what is kept for it counts as free. `ends`: when it will have left; reservations before that are in its
  // way, unless it may ignore them.
  struct Asker {
    JobIndex job = kNone;
    Ms ends = 0;
    bool ignores_reservations = false;
  };
  // Does not take.
  std::optional<std::vector<Placed>> place(const Request& request, const Asker& asker) const;

  // Whether the node by itself would do: wholly free, or, where the request shares, with enough that is free.
  bool good(NodeIndex node, const Request& request, const Asker& asker) const;
  // Of wholly free nodes, how many are good().
  std::size_t count_good(const Request& request, const Asker& asker) const;

  std::size_t free_nodes() const noexcept { return free_nodes_; }
  // Nodes that would do for the request were they free: all of them, and the usable ones.
  struct Matching {
    std::uint32_t all = 0;
    std::uint32_t usable = 0;
  };
  Matching matching(const Request& request) const;

 private:
  struct Node {
    std::uint64_t free_gpus = 0;
    std::uint64_t free_memory = 0;
    std::uint32_t free_cpus = 0;
    std::uint32_t holders = 0;
    std::uint32_t place = 0;  // in its list
    JobIndex kept_for = kNone;
    Ms reserved = 0;
  };

  bool suits(NodeIndex node, const Request& request) const;
  bool fits_part(NodeIndex node, const Request& request, const Asker& asker) const;
  bool open_to(NodeIndex node, const Asker& asker) const;
  bool plain(const Request& request) const;
  std::optional<std::vector<Placed>> place_part(const Request& request, const Asker& asker) const;
  std::optional<std::vector<Placed>> place_whole(const Request& request, const Asker& asker) const;
  Placed whole(NodeIndex node) const;
  std::vector<NodeIndex>& list_of(NodeIndex node);
  void link(NodeIndex node);
  void unlink(NodeIndex node);

  const std::vector<NodeView>& views_;
  std::vector<Node> nodes_;
  std::vector<std::vector<NodeIndex>> free_;    // by leaf: nodes that nobody uses
  std::vector<std::vector<NodeIndex>> shared_;  // by free GPUs: nodes that somebody shares
  std::vector<std::uint32_t> zone_of_leaf_;
  std::uint32_t zones_ = 0;
  std::size_t free_nodes_ = 0;
  NodeView least_;        // of each resource, over all nodes
  bool special_ = false;  // something is kept or reserved
};

}  // namespace ff::ctl::sched
