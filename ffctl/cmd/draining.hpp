// What bringing a cluster down and up again does to its nodes: they are emptied, and taken back.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ffctl/cmd/master_session.hpp"

namespace ff::ctl {

inline constexpr const char* kDownReason = "ffctl down";

struct Left {
  std::vector<std::uint64_t> jobs;
};

// Drains all nodes. No job has an attempt any more; or those that have, after the time given, and the nodes are back.
runtime::Task<Result<Left>> empty_nodes(MasterSession& master, runtime::Duration grace, bool force);

runtime::Task<Result<>> undrain(MasterSession& master, std::vector<std::string> nodes);

}  // namespace ff::ctl
