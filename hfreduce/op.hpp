// OpDesc: one collective call after validation, as the engines (shm, net) see it; and the segments it is made of.
//
// Group    Ranks here are ranks *of the engine's group* (a host's ranks, the hosts' leaders, or all): 0..size-1.
// Counts   In elements. Meaning of `count` per collective, as in NCCL:
//            all_reduce, reduce, broadcast: elements of the whole message
//            reduce_scatter: elements that each rank receives (send holds size*count)
//            all_gather: elements that each rank sends (recv holds size*count)
//            all_to_all: elements per peer (send and recv hold size*count each)
//            gather: elements each rank sends (recv of root holds size*count); scatter: elements each rank receives
//          v-variants use the spans (size entries each, elements): reduce_scatter_v recv_counts (known to all);
//          all_gather_v recv_counts + recv_displs (known to all, and equal on all: the engines write where the own list
//          says); all_to_all_v send_/recv_ counts and displs, each rank its own.
// In place send == recv for all_reduce, reduce, broadcast; for all_gather send == recv + rank*count; for
//          reduce_scatter recv == send + rank*count. Other overlap is refused by the communicator before it gets here.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "hfreduce/types.hpp"
#include "libcommon/base/deadline.hpp"

namespace ff::hfreduce {

struct OpDesc {
  Collective kind = Collective::kBarrier;
  DType dtype = DType::kFloat32;
  ReduceOp op = ReduceOp::kSum;
  int root = -1;
  const void* send = nullptr;
  void* recv = nullptr;
  std::uint64_t count = 0;
  std::span<const std::uint64_t> send_counts = {};
  std::span<const std::uint64_t> send_displs = {};
  std::span<const std::uint64_t> recv_counts = {};
  std::span<const std::uint64_t> recv_displs = {};
  std::uint64_t divisor = 0;    // for avg; 0 means the group's size
  std::uint64_t fused = 0;      // of several calls run as one: hash of their number and counts; else 0
  std::uint64_t seq = 0;        // the call's number in this engine's group, equal on all ranks, from 1
  std::uint32_t signature = 0;  // hash of what must agree on all ranks; 0 never occurs
  Deadline deadline = Deadline(Deadline::Clock::time_point{});
};

struct P2pOp {
  bool is_send = false;
  int peer = -1;
  const void* send = nullptr;
  void* recv = nullptr;
  std::uint64_t bytes = 0;
};

// A segment moves or combines one contiguous piece: from one rank, or combined from all (kAll), to one rank or all.
struct Segment {
  static constexpr int kAll = -1;
  int source = kAll;
  int destination = kAll;
  std::uint64_t send_offset = 0;  // bytes into the source's send buffer (every source's, for kAll)
  std::uint64_t recv_offset = 0;  // bytes into the destination's recv buffer
  std::uint64_t bytes = 0;
};

// The call as segments, in the order in which every rank must process them. Pure. Empty for a barrier and for
// count 0. Not for kAllToAllV (no rank knows all counts; see all_to_all_v_segments) nor kSendRecv.
std::vector<Segment> segments_of(const OpDesc& op, int group_size);

// Counts tables gathered from all ranks (row r: rank r's counts, size*size entries each), in elements.
// kInvalidArgument when rank i sends j another number of elements than j expects; the message names both.
Result<std::vector<Segment>> all_to_all_v_segments(DType dtype, int group_size,
                                                   std::span<const std::uint64_t> send_counts,
                                                   std::span<const std::uint64_t> send_displs,
                                                   std::span<const std::uint64_t> recv_counts,
                                                   std::span<const std::uint64_t> recv_displs);

// Hash over kind, dtype, op, root, count, fused (and the counts and displacements all ranks must agree on). Never 0.
std::uint32_t op_signature(const OpDesc& op) noexcept;

// What the flight recorder and the failure messages show of a running call. Written by the engine with relaxed
// stores, read by the control thread at any time.
enum class Phase : std::uint8_t {
  kIdle = 0,
  kEntered = 1,      // called, nobody met yet
  kWaitPeers = 2,    // waiting for others to enter
  kIntraReduce = 3,  // combining inside the host
  kNetwork = 4,      // between hosts
  kIntraCopy = 5,    // result to the host's ranks
  kDone = 6,
};
std::string_view phase_name(Phase phase) noexcept;

struct Progress {
  std::atomic<Phase> phase{Phase::kIdle};
  std::atomic<int> waiting_for{-1};  // a rank of the communicator (not of the group), -1 if none in particular
};

}  // namespace ff::hfreduce
