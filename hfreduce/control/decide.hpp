// Who is at fault: the coordinator's judgement as a pure function of what was reported and what the probe found.
#pragma once

#include <string>
#include <vector>

#include "hfreduce/control/failure.hpp"
#include "hfreduce/control/wire.hpp"

namespace ff::hfreduce::control {

// What the coordinator knows of one rank when it decides.
struct MemberView {
  int rank = 0;
  std::string host;
  std::int64_t pid = 0;
  bool connected = true;  // its control connection is open
  bool left = false;      // it closed in good order
  bool answered = true;   // it answered the probe in time
  OpState state;          // what it answered
};

// "rank 3 (host alpha, pid 4711)"
std::string describe(const MemberView& member);

// `reporter` is -1 when the coordinator itself noticed a lost connection.
// The strongest evidence wins: an abort, then processes that are gone, then ranks that do not answer, then a rank that
// called something else, then a rank that has not called, then the suspect as reported.
Verdict decide(const Trouble& trouble, int reporter, const std::vector<MemberView>& members);

}  // namespace ff::hfreduce::control
