// Traffic: this host's ends of one test, over one kind of data plane. An agent drives it; socket_traffic.hpp and
// ff_traffic.hpp are the two kinds.
//
// Order    open(), connect(), run(), close(). abort() at any time makes connect() or run(), if under way, end soon
//          (kCancelled). REQUIRES: close() has returned before it is destroyed.
// Threads  Those of the Env.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "ffbench/net/agent.pb.h"
#include "libcommon/net/network.hpp"
#include "libcommon/runtime/env.hpp"

namespace ff::bench {

class Traffic {
 public:
  Traffic() = default;
  Traffic(const Traffic&) = delete;
  Traffic& operator=(const Traffic&) = delete;
  virtual ~Traffic() = default;

  // Listens, when an end accepts.
  virtual runtime::Task<Result<NetOpened>> open() = 0;
  // Returns when all connections of all flows stand. kTimeout, kUnavailable, kPermission name the peer.
  virtual runtime::Task<Result<>> connect(const NetPeers& peers) = 0;
  // A flow that broke is an outcome with an error; the others' figures stand.
  virtual runtime::Task<Result<NetOutcome>> run(const NetSchedule& schedule) = 0;
  virtual void abort() = 0;
  // Not cancellable.
  virtual runtime::Task<void> close() = 0;
};

// What an agent needs of the machine that it runs on. The simulation gives its own.
struct TrafficHost {
  // Processor time used by this process, in nanoseconds; empty: not known (0 is reported).
  std::function<std::uint64_t()> cpu_ns = {};
  // A network for ff tests, with what the test asks for (TLS, checksums, lanes). `stop`: it is the test's own.
  struct FfNetwork {
    std::shared_ptr<net::Network> network;
    bool stop = false;
  };
  std::function<Result<FfNetwork>(const NetTest&)> ff_network = {};
  // Empty: no kernel sockets here.
  std::function<std::unique_ptr<Traffic>(runtime::Env&, const NetTest&, const TrafficHost&)> socket_traffic = {};
  // Binds this process to processors, and back (empty). Empty function: cannot.
  std::function<Result<>(const std::vector<int>&)> bind = {};
  std::string name = {};
  std::uint64_t pid = 0;
  std::string version = {};
};

inline constexpr std::size_t kTestTokenBytes = 16;
inline constexpr std::uint64_t kTestMessageBytesMax = std::uint64_t{1} << 30;
inline constexpr std::uint64_t kTestMemoryBytesMax = std::uint64_t{4} << 30;  // of one test on one agent
inline constexpr std::uint32_t kTestConnectionsMax = 1024;                    // the same

// Whatever a controller may send is checked: ranges, combinations, memory. kInvalidArgument names the field.
Result<> check_test(const NetTest& test);
Result<> check_schedule(const NetTest& test, const NetSchedule& schedule);
Result<> check_incast(const NetIncast& incast);
// The ends' peers of `peers`, in the order of the test's flows. kInvalidArgument: one that connects has none.
Result<std::vector<net::PeerAddress>> peers_of(const NetTest& test, const NetPeers& peers);

}  // namespace ff::bench
