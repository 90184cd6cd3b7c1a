// What an agent needs to know to start its ranks, and its form as a message.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "hfreduce/run/message.hpp"
#include "libcommon/base/result.hpp"

namespace ff::hfreduce::run {

inline constexpr int kRanksMax = 65536;

enum class StdinMode : int {
  kNull,     // /dev/null for every rank
  kInherit,  // rank 0 has the agent's own standard input (an agent on the launcher's machine)
  kForward,  // rank 0 has a pipe, filled by stdin messages
};

struct StartSpec {
  int first_rank = 0;  // ranks first_rank .. first_rank + count - 1 run here
  int count = 1;
  int world_size = 1;
  std::string master_address = {};
  int master_port = 0;
  bool pass_listener = false;  // rank 0 gets the bound socket as HFR_LISTEN_FD
  StdinMode stdin_mode = StdinMode::kNull;
  std::string folder = {};  // empty: where the agent is
  std::chrono::milliseconds grace{5000};
  bool bind = true;                   // each rank to a block of this host's cores (cores.hpp)
  std::vector<std::string> env = {};  // KEY=VALUE, over the agent's own environment
  std::vector<std::string> command = {};
};

Message to_message(const StartSpec& spec);
// kCorrupt names the field; everything is checked (ranges, an empty command, env without '=').
Result<StartSpec> start_spec_from(const Message& message);

}  // namespace ff::hfreduce::run
