// How the ranks of a host get hold of one memfd: an abstract Unix socket, named after the token, on which rank 0 hands
// the descriptor out (SCM_RIGHTS). The socket is gone when rank 0 has served all, or is dead.
//
// Trust    Both sides check that the other runs as the same user (SO_PEERCRED), and the joining side shows the token;
// the
//          socket's name, which all users of the machine can see, is a hash of it.
// Errors   kTimeout naming the missing ranks; kInvalidArgument when ranks disagree about the group.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "hfreduce/control/failure.hpp"
#include "hfreduce/shm/layout.hpp"
#include "libcommon/base/deadline.hpp"
#include "libcommon/base/result.hpp"
#include "libcommon/base/unique_fd.hpp"

namespace ff::hfreduce::shm {

struct Introduction {
  std::string token;
  int rank = 0;
  int size = 1;
  std::vector<int> global_ranks;    // for messages
  std::uint64_t windows_bytes = 0;  // the largest windows part that this rank can map
  const FailureSource* failure = nullptr;
};

// Rank 0. Waits for everybody, lets `make` create the memory for the smallest windows part that any rank can map, and
// hands it out.
struct Offer {
  Shape shape;
  int fd = -1;  // owned by the caller of host_group
};
Result<> host_group(const Introduction& self, const Deadline& deadline,
                    const std::function<Result<Offer>(std::uint64_t windows_bytes)>& make);

// The others.
struct Joined {
  Shape shape;
  UniqueFd fd;
};
Result<Joined> join_group(const Introduction& self, const Deadline& deadline);

}  // namespace ff::hfreduce::shm
