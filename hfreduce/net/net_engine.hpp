// NetEngine: collectives between hosts (or between any ranks, when the network is forced), over TCP.
//
// Algorithms
//   flat    every rank sends its whole input to every other, all combine: one one-way latency; small messages, few
//           ranks
//   rd      recursive doubling (binomial reduce + broadcast when size is no power of two): log2 latencies; small
//           messages
//   direct  owners of chunks receive raw inputs, combine once, send results to all who want them; any collective;
//           bandwidth optimal, two latencies, one connection per pair of ranks
//   tree    pipelined double binary tree: many hosts, large messages (papers.md A5; ref-collectives 5.1)
//   ring    for comparison
// flat, rd and direct combine in the pairwise order of types.hpp: same bits. tree and ring have orders of their
// own, fixed by the group's size and the element's chunk; all ranks get the same bits from any of them.
//
// Support    flat, ring: all_reduce. rd, tree: all_reduce, reduce, broadcast. direct: all but barrier, which is
//            always a dissemination, and all_to_all_v, which is a list of messages. An algorithm asked for by
//            option that cannot do a collective, or that `deterministic` forbids (tree and ring, but for broadcast,
//            which combines nothing), gives way to direct.
// auto       all_reduce: flat up to 3 ranks and 32 KiB to all peers together, then (3 to 16 ranks) rd up to 64 KiB,
//            then direct, so that bits do not depend on the size. Beyond 16 ranks: rd up to 256 KiB, then tree
//            (direct if deterministic). reduce, broadcast: the same without flat.
// Agreement  Algorithm, chunk and channels follow from size, algorithm, deterministic, channels and chunk_bytes,
//            which must be equal on all ranks of the group, and from the call. A rank with others is found out as a
//            mismatch or a timeout.
// Links      Non-blocking TCP, one connection per pair and channel (a second one for the second tree), made on
//            first use, kept. Frames are self-describing (frame.md), carry the call's number and signature, so a
//            mismatch is found by whoever receives first. Point to point frames carry their own numbers instead:
//            ranks may differ in calls.
// Streams    With a Gate, input is consumed as it becomes ready and output is reported as it becomes final, so that
//            the stages before and after overlap with the network.
// Waiting    Bounded spin on the sockets, then poll(2); each wait looks at failure.failed() and the op's deadline.
// Threads    One run() or run_p2p() at a time per engine. With channels > 1 helper threads carry the further
//            channels.
// Errors     The common verdict (FailureSource); after one every further call returns it without touching the
//            links. kInvalidArgument from run_p2p, before anything is sent, for a peer out of range or for sends to
//            oneself that do not match the receives.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "hfreduce/control/failure.hpp"
#include "hfreduce/op.hpp"
#include "hfreduce/trace.hpp"

namespace ff::hfreduce {

enum class NetAlgorithm : std::uint8_t { kAuto, kFlat, kRecursiveDoubling, kDirect, kTree, kRing };
std::string_view net_algorithm_name(NetAlgorithm algorithm) noexcept;  // "auto" "flat" "rd" "direct" "tree" "ring"
Result<NetAlgorithm> parse_net_algorithm(std::string_view text);

struct Endpoint {
  std::string address;  // numeric IPv4 or IPv6
  std::uint16_t port = 0;
};

struct NetOptions {
  int rank = 0;  // in the group
  int size = 1;
  std::vector<int> global_ranks;    // group rank -> rank of the communicator, for messages
  std::vector<Endpoint> endpoints;  // of each group rank's NetListener
  std::vector<bool> same_machine;   // peers on this machine: choose congestion control and buffers for loopback
  NetAlgorithm algorithm = NetAlgorithm::kAuto;  // this and the next three: equal on all ranks
  bool deterministic = false;                    // only pairwise-order algorithms
  int channels = 1;                              // 1 to 64; a streamed call (Gate) uses one
  std::uint64_t chunk_bytes = 0;                 // 0 = default by size; at most 4 MiB, rounded up to 64
  bool oversubscribed = false;                   // more ranks than cores on this machine: yield early
  std::uint32_t group_id = 0;                    // tells the links of several engines of one communicator apart
  std::string token;                             // hex; both ends of a connection prove that they know it
  FailureSource* failure = nullptr;              // outlives the engine
  Trace* trace = nullptr;                        // may be null
};

// Accepts the connections of all engines of a rank: bind before the endpoints are exchanged, then hand to the engines.
class NetListener {
 public:
  // Listens on `address` (numeric), a free port. `token` as in NetOptions; strangers are dropped by deadline.
  static Result<std::unique_ptr<NetListener>> create(const std::string& address, const std::string& token);
  virtual ~NetListener() = default;
  virtual Endpoint endpoint() const = 0;
};

// Readiness of a message that other stages produce and consume, in bytes from its start. Both counters only grow.
struct Gate {
  const std::atomic<std::uint64_t>* input_ready = nullptr;  // null: all of it is ready
  std::atomic<std::uint64_t>* output_done = nullptr;        // null: nobody wants to know
};

class NetEngine {
 public:
  // Local; links are made when an algorithm first needs them. `listener` outlives the engine.
  static Result<std::unique_ptr<NetEngine>> create(const NetOptions& options, NetListener& listener);
  virtual ~NetEngine() = default;

  // Any collective but kSendRecv. `gate` only with kAllReduce.
  virtual Result<> run(const OpDesc& op, Progress& progress, const Gate& gate) = 0;
  virtual Result<> run_p2p(std::span<const P2pOp> ops, std::uint64_t seq, Deadline deadline, Progress& progress) = 0;

  // The algorithm that an op of this shape would take (pure in options), for explain.
  virtual NetAlgorithm algorithm_for(Collective kind, DType dtype, std::uint64_t bytes) const noexcept = 0;
  virtual std::uint64_t chunk_for(NetAlgorithm algorithm, std::uint64_t bytes) const noexcept = 0;
  // Bytes put on and taken from sockets since creation, payload and headers, for tests of the algorithms' cost.
  struct Traffic {
    std::uint64_t sent = 0, received = 0;
  };
  virtual Traffic traffic() const noexcept = 0;
};

}  // namespace ff::hfreduce
