// What the connections of one TCP network share: its options, counters, budget of memory, and how lanes are opened.
//
// Threads  Those of the RealEnv.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "libcommon/net/lane_handshake.hpp"
#include "libcommon/net/tcp_network.hpp"
#include "libcommon/runtime/sync.hpp"

namespace ff::net {

class TcpConnection;

class TcpHost {
 public:
  runtime::RealEnv& env() noexcept { return env_; }
  const TcpOptions& options() const noexcept { return options_; }
  const TcpStats& counters() const noexcept { return stats_; }
  const runtime::Semaphore& assembly() const noexcept { return assembly_; }
  TcpStats& counters() noexcept { return stats_; }
  // Bytes of half-received messages.
  runtime::Semaphore& assembly() noexcept { return assembly_; }
  // Where bytes go that nobody wants; any number of lanes at a time.
  std::span<std::byte> scratch() noexcept { return scratch_; }
  // Random, not 0, not to be guessed.
  std::uint64_t region_key();

  // Connects and shakes hands within the handshake timeout. `link`: null for a new link's lane 0.
  virtual runtime::Task<Result<Lane>> open_lane(Address to, TrafficClass traffic, const LinkSession* link,
                                                std::uint16_t number) = 0;
  // Calls connection.tell_closed() soon, from the loop; also after stop().
  virtual void tell_closed(TcpConnection& connection) = 0;
  // The connection's tasks have ended.
  virtual void forget(TcpConnection& connection) noexcept = 0;

 protected:
  TcpHost(runtime::RealEnv& env, TcpOptions options)
      : env_(env), options_(std::move(options)), assembly_(options_.assembly_bytes) {}
  ~TcpHost() = default;

 private:
  runtime::RealEnv& env_;
  TcpOptions options_;
  TcpStats stats_;
  runtime::Semaphore assembly_;
  std::array<std::uint64_t, 64> keys_{};
  std::size_t keys_left_ = 0;
  std::array<std::byte, 64u << 10> scratch_;
};

}  // namespace ff::net
