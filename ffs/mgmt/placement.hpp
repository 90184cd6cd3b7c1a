// Placement: which disks make which chains, so that when a disk fails every other disk takes an equal share of what it
// served. That is a balanced incomplete block design: of v disks with r targets each and chains of k, every pair of
// disks should meet in r(k-1)/(v-1) chains. Exact designs exist for few numbers; this is a heuristic that always gives
// a table when one exists, close to balanced, and says how close. Pure; the same input gives the same table everywhere.
//
// Method    Greedy: the hosts with most left to place, as far as needed to end without remainder, else those that have
//           met least. Then exchanges of members between chains, taken when pairs become more even.
// Growth    Old chains stay as they are and count; new ones are made of what is left.
// Cost      Chains times replicas times a few hundred; seconds for 16000 disks with ten targets each.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "libcommon/base/result.hpp"

namespace ff::ffs {

struct PlacementDisk {
  std::uint32_t host = 0;   // disks of one machine have the same; any numbers
  std::uint32_t slots = 0;  // targets that it takes, those of old chains included
};

// Members are indices of disks; the first is the head.
using PlacedChain = std::vector<std::uint32_t>;

struct PlacementRequest {
  std::vector<PlacementDisk> disks;
  std::uint32_t replicas = 3;
  std::size_t chains = 0;        // new ones; 0: as many as there is room for
  std::vector<PlacedChain> old;  // that exist
  bool share_hosts = false;      // a chain may have several members on one machine; never on one disk
  std::uint64_t seed = 1;
  std::uint32_t effort = 100;  // exchanges that are tried for each member
};

// Extra reads of a disk when another one fails, as a share of what it serves normally. Over all pairs of disks that a
// chain may join.
struct PlacementQuality {
  double max = 0;
  double mean = 0;
  double ideal = 0;             // of a perfectly even table
  std::uint32_t pairs_max = 0;  // most chains that two disks share
};

struct Placement {
  std::vector<PlacedChain> chains;  // the new ones, in the order for the table: neighbours use different disks
  PlacementQuality quality;         // of old and new together
};

// kInvalidArgument: the request contradicts itself; kExhausted: there is no such table (says what is missing).
Result<Placement> place(const PlacementRequest& request);

PlacementQuality quality_of(std::span<const PlacementDisk> disks, std::span<const PlacedChain> chains,
                            bool share_hosts);

}  // namespace ff::ffs
