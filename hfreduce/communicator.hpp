// Communicator: the public C++ handle of libhfreduce. A fixed set of ranks (processes, or threads of one process in
// tests) that call the same collectives in the same order.
//
// Buffers   Host memory. Fastest from alloc() (shared windows, no copies); any other memory works. Alignment: the
//           element's size is enough. A buffer must not change, or be read for results, until its call or request is
//           done.
// In place  As in NCCL: see op.hpp. Other overlap of send and recv is refused with kInvalidArgument.
// Blocking  A call without `request` returns when it is done. With one it is queued: queued calls run in the order in
//           which they were made, on a thread of the communicator, while the caller computes.
// Threads   Any thread may call; calls are ordered as they arrive. All ranks must end up with the same order, so
// several
//           calling threads must agree among themselves.
// Deadline  Every call has one (Config::timeout, or CallOptions::timeout). When it passes, or a rank dies, is stopped,
// is
//           cut off or calls something else, every rank's call returns the same Error naming rank, host and phase.
//           From then on the communicator only serves abort(), shrink(), flight_json() and destruction.
// Errors    kInvalidArgument (this call is refused before anything is sent; the communicator stays good),
//           kTimeout, kUnavailable (rank lost), kCorrupt (mismatch), kCancelled (abort).
// Source    Fire-Flyer paper (arXiv 2408.14158), HFReduce; API after NCCL's.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hfreduce/control/failure.hpp"
#include "hfreduce/net/net_engine.hpp"
#include "hfreduce/op.hpp"
#include "hfreduce/shm/shm_engine.hpp"
#include "hfreduce/trace.hpp"
#include "hfreduce/types.hpp"

namespace ff::hfreduce {

// Names a communicator to be: where its rendezvous listens, and a secret. Pass it to the other ranks by any means
// (file, environment, MPI) as to_text(), which is shorter than 128 characters.
struct UniqueId {
  std::string address;  // of the coordinator
  std::uint16_t port = 0;
  std::string token;  // 32 hex digits

  std::string to_text() const;  // "hfr1|ADDRESS|PORT|TOKEN"
  static Result<UniqueId> from_text(std::string_view text);
};

enum class Transport : std::uint8_t { kAuto, kShm, kTcp };
// "auto", "shm", "tcp".
Result<Transport> parse_transport(std::string_view text);

struct Config {
  std::chrono::nanoseconds timeout = std::chrono::seconds(60);          // of each call
  std::chrono::nanoseconds connect_timeout = std::chrono::seconds(60);  // of joining
  Transport transport = Transport::kAuto;  // kTcp: every rank is treated as a host of its own
  bool deterministic = false;              // bits independent of placement and size: pairwise-order algorithms only
  NetAlgorithm algorithm = NetAlgorithm::kAuto;
  ShmPath ordinary = ShmPath::kAuto;
  int channels = 0;                    // TCP connections per pair of ranks; 0 = 1 on one machine, 2 between machines
  std::uint64_t net_chunk_bytes = 0;   // 0 = by size
  std::uint64_t shm_chunk_bytes = 0;   // 0 = by size
  std::uint64_t flat_bytes_max = 0;    // 0 = by group size
  std::string interface_address = {};  // numeric address to listen on; empty = the one that reaches the coordinator
  std::string host_id = {};            // splits ranks of one machine into hosts: different ids never share memory
  std::string flight_dir = {};         // on failure each rank writes flight-rank<r>.jsonl there; empty = nowhere
  bool trace = false;

  // Defaults overridden by HFR_TIMEOUT, HFR_CONNECT_TIMEOUT, HFR_TRANSPORT, HFR_DETERMINISTIC, HFR_ALGO,
  // HFR_SHM_PATH, HFR_CHANNELS, HFR_NET_CHUNK, HFR_SHM_CHUNK, HFR_FLAT_MAX, HFR_ADDRESS, HFR_HOST_ID, HFR_FLIGHT_DIR,
  // HFR_TRACE.
  static Result<Config> from_environment();
};

struct CallOptions {
  std::chrono::nanoseconds timeout = std::chrono::nanoseconds(0);  // 0 = Config::timeout
};

// A queued call. Copyable handle; waiting twice is fine.
class Request {
 public:
  Request() = default;
  // Blocks until done (the call's own deadline bounds it). kInvalidArgument, at once, for an empty handle and for a
  // call in a group that has not ended; the latter can be waited for again after group_end.
  Result<> wait();
  bool done() const;
  // When it ran, for measuring overlap; zero before it is done. CLOCK_MONOTONIC nanoseconds.
  std::int64_t begin_ns() const;
  std::int64_t end_ns() const;

  struct State;
  explicit Request(std::shared_ptr<State> state) : state_(std::move(state)) {}

 private:
  std::shared_ptr<State> state_;
};

struct RankInfo {
  int rank = 0;
  std::string host;     // hostname
  std::string host_id;  // equal for ranks that can share memory
  std::string address;  // of its data listener
  std::uint16_t port = 0;
  std::int64_t pid = 0;
  int local_rank = 0, local_size = 1;
  int host_index = 0;  // hosts numbered by their lowest rank
};

class Communicator {
 public:
  // Rank 0 hosts the rendezvous named by `id`: create_id() in the process that becomes rank 0 binds its socket.
  // `listen_fd` >= 0: an already listening TCP socket that rank 0 uses instead (a launcher passes it). Taken over, and
  // closed where it is not needed, on every rank and also on failure.
  static Result<std::unique_ptr<Communicator>> create(const UniqueId& id, int rank, int size, const Config& config,
                                                      int listen_fd = -1);
  // From RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT, HFR_TOKEN, HFR_LISTEN_FD (torchrun's names; hfreduce run and ffctl
  // set them). Without RANK and WORLD_SIZE: a communicator of one rank.
  static Result<std::unique_ptr<Communicator>> from_environment(const Config& config);
  // Picks a free port of `address` and a random token; the listening socket is kept in this process until rank 0
  // of it calls create().
  static Result<UniqueId> create_id(const std::string& address = "127.0.0.1");

  virtual ~Communicator() = default;
  virtual int rank() const noexcept = 0;
  virtual int size() const noexcept = 0;
  virtual const std::vector<RankInfo>& ranks() const noexcept = 0;
  virtual const Config& config() const noexcept = 0;

  // --- collectives; counts in elements, see op.hpp. The root of a broadcast may pass recv = nullptr. The counts of
  // reduce_scatter_v and the counts and displacements of all_gather_v must be equal on all ranks. ---
  virtual Result<> all_reduce(const void* send, void* recv, std::uint64_t count, DType dtype, ReduceOp op,
                              Request* request = nullptr, const CallOptions& options = {}) = 0;
  virtual Result<> reduce(const void* send, void* recv, std::uint64_t count, DType dtype, ReduceOp op, int root,
                          Request* request = nullptr, const CallOptions& options = {}) = 0;
  virtual Result<> broadcast(const void* send, void* recv, std::uint64_t count, DType dtype, int root,
                             Request* request = nullptr, const CallOptions& options = {}) = 0;
  virtual Result<> reduce_scatter(const void* send, void* recv, std::uint64_t recv_count, DType dtype, ReduceOp op,
                                  Request* request = nullptr, const CallOptions& options = {}) = 0;
  virtual Result<> all_gather(const void* send, void* recv, std::uint64_t send_count, DType dtype,
                              Request* request = nullptr, const CallOptions& options = {}) = 0;
  virtual Result<> all_to_all(const void* send, void* recv, std::uint64_t count_per_peer, DType dtype,
                              Request* request = nullptr, const CallOptions& options = {}) = 0;
  virtual Result<> gather(const void* send, void* recv, std::uint64_t send_count, DType dtype, int root,
                          Request* request = nullptr, const CallOptions& options = {}) = 0;
  virtual Result<> scatter(const void* send, void* recv, std::uint64_t recv_count, DType dtype, int root,
                           Request* request = nullptr, const CallOptions& options = {}) = 0;
  virtual Result<> reduce_scatter_v(const void* send, void* recv, std::span<const std::uint64_t> recv_counts,
                                    DType dtype, ReduceOp op, Request* request = nullptr,
                                    const CallOptions& options = {}) = 0;
  virtual Result<> all_gather_v(const void* send, void* recv, std::span<const std::uint64_t> recv_counts,
                                std::span<const std::uint64_t> recv_displs, DType dtype, Request* request = nullptr,
                                const CallOptions& options = {}) = 0;
  virtual Result<> all_to_all_v(const void* send, std::span<const std::uint64_t> send_counts,
                                std::span<const std::uint64_t> send_displs, void* recv,
                                std::span<const std::uint64_t> recv_counts, std::span<const std::uint64_t> recv_displs,
                                DType dtype, Request* request = nullptr, const CallOptions& options = {}) = 0;
  virtual Result<> send(const void* data, std::uint64_t count, DType dtype, int peer, Request* request = nullptr,
                        const CallOptions& options = {}) = 0;
  virtual Result<> recv(void* data, std::uint64_t count, DType dtype, int peer, Request* request = nullptr,
                        const CallOptions& options = {}) = 0;
  virtual Result<> barrier(const CallOptions& options = {}) = 0;

  // --- groups: calls between start and end are queued and run as one: sends and receives progress together (so an
  // exchange cannot deadlock), small all_reduces of one type and op are fused. Per thread; may nest. The calls'
  // results arrive with group_end (blocking calls) or their requests. Every send to oneself needs a receive of the same
  // size in the group; otherwise group_end returns kInvalidArgument and none of the group's calls has run. ---
  virtual void group_start() = 0;
  virtual Result<> group_end() = 0;

  // --- memory ---
  // Window memory of this communicator, zeroed, 64-byte aligned; where no other rank is on this host, ordinary memory.
  virtual Result<void*> alloc(std::uint64_t bytes) = 0;
  virtual Result<> free(void* pointer) = 0;

  // --- faults ---
  // Breaks the communicator on all ranks: running and later calls return kCancelled with `reason`.
  virtual void abort(const std::string& reason) = 0;
  virtual bool failed() const noexcept = 0;
  // The common verdict; nothing while the communicator is good.
  virtual std::optional<Error> verdict() const = 0;
  // After a failure: a new communicator of the survivors (all but lost_ranks() and `exclude`), ranks
  // renumbered in the old order. Collective over the survivors.
  virtual Result<std::unique_ptr<Communicator>> shrink(std::span<const int> exclude = {}) = 0;
  // Ranks that the verdict found dead or unreachable.
  virtual std::vector<int> lost_ranks() const = 0;
  // The last operations of this rank as JSON lines (ff.flight/1), oldest first.
  virtual std::string flight_json() const = 0;

  // --- looking inside ---
  virtual Trace* trace() noexcept = 0;  // null unless Config::trace
  // How a call of this shape would run: transports, algorithms, chunks, trees; human text and JSON (ff.plan/1).
  struct Plan {
    std::string text;
    std::string json;
  };
  virtual Plan explain(Collective kind, DType dtype, std::uint64_t count) const = 0;
};

}  // namespace ff::hfreduce
