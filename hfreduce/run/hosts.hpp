// Which ranks run where: pure functions from the words of the command line to blocks of ranks.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "libcommon/base/result.hpp"

namespace ff::hfreduce::run {

struct HostRequest {
  std::string name;
  int slots = 0;  // 0: not said
};

// "h1:2,h2:2,[fe80::1]:4,h3". kInvalidArgument for empty names, counts that are not positive, a name given twice.
Result<std::vector<HostRequest>> parse_hosts(std::string_view text);

struct Block {
  std::string host;
  int first_rank = 0;
  int count = 0;
};

// `ranks` 0: as many as there are slots (a host without a count has one). With a number of ranks and no counts at all
// the ranks are spread evenly; with counts the hosts are filled in order. Hosts that get no rank are left out.
// kInvalidArgument when the slots do not suffice.
Result<std::vector<Block>> place_ranks(const std::vector<HostRequest>& hosts, int ranks);

// Consecutive blocks whose sizes differ by at most one, the larger ones first. REQUIRES 1 <= parts <= ranks.
std::vector<Block> spread_evenly(const std::vector<std::string>& hosts, int ranks);

// Names that mean this machine: localhost, loopback addresses in their usual form, its own host name.
bool names_this_machine(std::string_view host);

}  // namespace ff::hfreduce::run
