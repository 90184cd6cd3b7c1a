// ShmEngine: collectives between the processes (or threads) of one host, through shared memory.
//
// Data paths, cheapest that applies is taken (see hfreduce/README.md for the cost of each):
//   flat     tiny messages: each rank writes its input and a sequence number into its slot, everyone reads all slots
//   window   all buffers lie in memory from alloc(): one pass, read N inputs once, write the outputs once, chunks
//            claimed dynamically so that a descheduled rank costs nothing
//   staged   ordinary buffers: pipelined copies through slots that stay in the cache
//   cma      ordinary buffers: the kernel copies between processes (process_vm_readv/writev), chunks claimed
//   dynamically
// staged or cma: measured at creation (about 2 ms), or forced by options.
//
// Setup      The group's rank 0 creates one memfd (control page, slots, windows); the others receive it over an
//            abstract Unix socket (SCM_RIGHTS). Nothing is ever named in a file system, so nothing is left behind by
//            kill -9.
// Windows    Each rank owns a part of the (sparse) arena, mapped by all ranks at setup; alloc() carves from it.
// Waiting    Bounded spin, then sched_yield, then futex; each wait looks at failure.failed() and the op's deadline.
// Threads    One run() or run_p2p() at a time per engine; alloc/free/in_window from any thread.
// Errors     The common verdict (FailureSource); kExhausted from alloc; kUnsupported when the host refuses what is
// forced.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "hfreduce/control/failure.hpp"
#include "hfreduce/op.hpp"
#include "hfreduce/trace.hpp"

namespace ff::hfreduce {

// All-gather of small strings among the ranks of the communicator (by the control plane), used during setup only.
using Exchange = std::function<Result<std::vector<std::string>>(std::string mine)>;

enum class ShmPath : std::uint8_t { kAuto, kFlat, kWindow, kStaged, kCma };
std::string_view shm_path_name(ShmPath path) noexcept;

struct ShmOptions {
  int rank = 0;  // in the group
  int size = 1;
  std::vector<int> global_ranks;      // group rank -> rank of the communicator, for messages
  ShmPath ordinary = ShmPath::kAuto;  // what ordinary buffers use: kAuto, kStaged or kCma
  std::uint64_t flat_bytes_max = 0;   // largest message of the flat path; 0 = default for the group's size
  std::uint64_t chunk_bytes = 0;      // of window, cma and staged paths; 0 = default by group size and cache
  std::uint64_t arena_bytes = 0;      // windows per rank (sparse); 0 = the machine's memory
  FailureSource* failure = nullptr;   // outlives the engine
  Trace* trace = nullptr;             // may be null; outlives the engine
};

class ShmEngine {
 public:
  // Collective over the group. `token` (16+ random bytes, hex) makes the socket's name and authenticates members.
  static Result<std::unique_ptr<ShmEngine>> create(const ShmOptions& options, const std::string& token,
                                                   const Deadline& deadline);
  virtual ~ShmEngine() = default;

  // Any collective but kSendRecv. A rank returns when its own buffers are free and its results complete.
  virtual Result<> run(const OpDesc& op, Progress& progress) = 0;
  // All of the list progress together; pairs match in order. Peers are group ranks (oneself too).
  virtual Result<> run_p2p(std::span<const P2pOp> ops, std::uint64_t seq, Deadline deadline, Progress& progress) = 0;

  // Window memory, 64-byte aligned (2 MiB from 2 MiB up), zeroed; huge pages where the kernel gives them.
  virtual Result<void*> alloc(std::uint64_t bytes) = 0;
  // kInvalidArgument for a pointer that alloc() did not return. No op using it may be running on any rank.
  virtual Result<> free(void* pointer) = 0;
  virtual bool in_window(const void* pointer, std::uint64_t bytes) const noexcept = 0;

  // The path an op of this shape would take, for explain. `windows`: whether all buffers are in windows.
  virtual ShmPath path_for(Collective kind, std::uint64_t bytes, bool windows) const noexcept = 0;
  struct Facts {                         // for topo and explain
    ShmPath ordinary;                    // what the probe (or the option) chose
    double staged_gbs = 0, cma_gbs = 0;  // what the probe measured; 0 if not probed
    bool huge_pages = false;
    std::uint64_t chunk_bytes = 0, flat_bytes_max = 0;
  };
  virtual Facts facts() const = 0;
};

}  // namespace ff::hfreduce
