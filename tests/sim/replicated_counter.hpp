// The smallest real example of a service: a counter on several replicas that keep their state on disk. What it takes to
// write a service is in replicated_counter.{hpp,cc} and counter.proto, and nothing else; it runs unchanged in a
// simulated cluster with faults (replicated_counter_test.cc) and over TCP (tests/e2e/replicated_counter_test.cc).
//
// Algorithm    A state says how many increments of each client are known; states join by maximum. To increment, a
// client
//              joins its own next number into a majority. To read, it takes the join of a majority, and joins that into
//              a majority before it returns it, so that no later read is smaller (Attiya, Bar-Noy, Dolev 1995).
// Fault model  Replicas lose power and restart with their disks, messages are delayed and connections lost, the network
//              partitions; a minority may be down for good. A client does not restart under the same id, and has one
//              operation at a time. What disks have synced they keep.
// Idempotency  An increment carries its number, so a repeated one adds nothing. Hence `idempotency_level = IDEMPOTENT`,
//              and the RPC layer retries by itself.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "libcommon/rpc/client.hpp"
#include "libcommon/runtime/disk.hpp"
#include "libcommon/runtime/sync.hpp"
#include "tests/sim/counter.ff.hpp"

namespace ff::sim {

class Replica final : public CounterService {
 public:
  // Keeps its state in `folder` of `disk`, which outlives it.
  explicit Replica(runtime::Disk& disk, std::string folder = "");
  // What it had before it was last stopped, or killed. kCorrupt: the disk did not keep what it had synced.
  runtime::Task<Result<>> load();
  runtime::Task<Result<CounterState>> merge(rpc::ServerCall& call, const CounterState& request) override;

 private:
  runtime::Task<Result<>> save(const CounterState& state);

  runtime::Disk& disk_;
  std::string folder_, path_;
  runtime::Mutex mutex_;  // over state_ and its file
  CounterState state_;
};

// The main of a replica's process: answers at `at` until it is cancelled.
runtime::Task<Result<>> serve(runtime::Env& env, Replica& replica, net::Address at);

class Counter {
 public:
  // `id`: no other client has it. `quorum`: how many answers make an operation complete; 0: a majority, and nothing
  // less is correct (a test shows that).
  Counter(runtime::Env& env, const std::vector<net::PeerAddress>& replicas, std::uint64_t id, std::size_t quorum = 0);
  // After an error the increment may have happened; call no more.
  runtime::Task<Result<>> increment();
  // All increments that had ended when it began, and perhaps some that had not.
  runtime::Task<Result<std::uint64_t>> read();
  // Always, before it goes.
  runtime::Task<void> stop();

 private:
  runtime::Task<Result<CounterState>> merge_quorum(CounterState state);

  std::uint64_t id_;
  std::size_t quorum_;
  std::uint64_t count_ = 0;
  std::vector<std::unique_ptr<rpc::Client>> clients_;
};

}  // namespace ff::sim
