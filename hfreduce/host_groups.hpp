// Who shares a host with whom: pure functions over the rank table.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace ff::hfreduce {

struct HostGroups {
  std::vector<std::vector<int>> hosts;  // ranks of each host, ascending; hosts ordered by their lowest rank
  std::vector<int> host_of;             // rank -> index into hosts
  std::vector<int> local_rank_of;       // rank -> position within its host

  int local_size(int rank) const {
    return static_cast<int>(hosts[static_cast<std::size_t>(host_of[static_cast<std::size_t>(rank)])].size());
  }
  std::vector<int> leaders() const;  // lowest rank of each host
  bool one_rank_each() const;        // every host has exactly one rank
  // Whether combining inside hosts first, then between hosts, is the pairwise order over all ranks: every host has the
  // same power-of-two number of consecutive ranks.
  bool aligned() const;
};

// Ranks with equal ids share a host.
HostGroups group_by_host(std::span<const std::string> host_ids);

}  // namespace ff::hfreduce
