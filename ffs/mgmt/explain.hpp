// Why a chain does not serve, or not fully, and what would help: for `ffs explain chain`, from the routing alone. Pure.
#pragma once

#include <string>
#include <vector>

#include "ffs/mgmt/routing.hpp"

namespace ff::ffs {

struct ChainExplanation {
  bool serves = false;              // takes reads and writes
  bool complete = false;            // all members serve
  std::string summary;              // one sentence
  std::vector<std::string> causes;  // one for each member that does not serve, or is in trouble, or leaves
  std::vector<std::string> fixes;   // what an administrator can do, the harmless first
};

// kNotFound.
Result<ChainExplanation> explain_chain(const RoutingView& view, ChainId chain);

}  // namespace ff::ffs
