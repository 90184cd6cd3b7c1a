#include "hfreduce/host_groups.hpp"

#include <algorithm>
#include <bit>
#include <unordered_map>

namespace ff::hfreduce {

HostGroups group_by_host(std::span<const std::string> host_ids) {
  HostGroups groups;
  std::unordered_map<std::string, int> index_of;
  for (std::size_t rank = 0; rank < host_ids.size(); ++rank) {
    const auto [it, is_new] = index_of.try_emplace(host_ids[rank], static_cast<int>(groups.hosts.size()));
    if (is_new) groups.hosts.emplace_back();
    auto& members = groups.hosts[static_cast<std::size_t>(it->second)];
    groups.host_of.push_back(it->second);
    groups.local_rank_of.push_back(static_cast<int>(members.size()));
    members.push_back(static_cast<int>(rank));
  }
  return groups;
}

std::vector<int> HostGroups::leaders() const {
  std::vector<int> out;
  for (const auto& members : hosts) out.push_back(members.front());
  return out;
}

bool HostGroups::one_rank_each() const {
  return std::ranges::all_of(hosts, [](const auto& members) { return members.size() == 1; });
}

bool HostGroups::aligned() const {
  const std::size_t local = hosts.front().size();
  if (!std::has_single_bit(local)) return false;
  return std::ranges::all_of(hosts, [local](const auto& members) {
    return members.size() == local && members.back() - members.front() == static_cast<int>(local) - 1;
  });
}

}  // namespace ff::hfreduce
