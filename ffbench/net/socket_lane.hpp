// One connection of a socket test: how it is made, joins its test, and is prepared for its loop. All calls block, with
// deadlines, and end with kCancelled within 100 ms (a connect: 1 s) after `giving_up` was set.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "ffbench/net/agent.pb.h"
#include "libcommon/base/deadline.hpp"
#include "libcommon/base/result.hpp"
#include "libcommon/base/unique_fd.hpp"
#include "libcommon/net/address.hpp"

namespace ff::bench {

// "abstract name" of the Unix socket of a test.
std::string unix_name_of(const NetTest& test);
Result<UniqueFd> listen_for(const NetTest& test);

struct Joining {
  std::uint32_t flow = 0;
  std::uint32_t index = 0;  // of the flow's connections
};
// Connects and joins; the socket is blocking and tuned when it returns.
Result<UniqueFd> join_test(const NetTest& test, const net::Address& peer, Joining joining, const Deadline& deadline,
                           const std::atomic<bool>& giving_up);
// Who has just connected; nothing is sent yet. kPermission: not this test's token.
Result<Joining> read_joining(const NetTest& test, int fd, const Deadline& deadline, const std::atomic<bool>& giving_up);
// Lets it in; the socket is blocking and tuned afterwards.
Result<> admit(const NetTest& test, int fd, const Deadline& deadline, const std::atomic<bool>& giving_up);

}  // namespace ff::bench
