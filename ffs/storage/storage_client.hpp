// StorageClient: chunks as clients see them. Finds the replicas by the routing, batches what goes the same way, and
// repeats what failed in a way that may pass (a chain that changed, a node that died, an overloaded server) until an
// operation is done, refused for good, or out of time. libffs builds files on it, the metadata service removes and
// measures them with it.
//
//   StorageClient storage(env, routing);
//   auto results = co_await storage.read({{.chain = c, .chunk = {inode, 3}, .offset = 0, .into = bytes}});
//   ...
//   co_await storage.stop();                        // always, before it goes
//
// Order      Operations of one call run at the same time, except that updates of one chunk take effect in the order
//            given. Results are in the order of the operations.
// Atomic     A single operation is: all of its bytes or none, at one moment. A batch is not.
// Once       Each update has a tag that all its attempts carry: it takes effect at most once, also when nodes die.
// Time       Calls end at options.timeout, or at the deadline of the caller's context if that is earlier.
// Memory     Spans stay, unchanged by others, until the call has returned.
// Errors     Of reads     kCorrupt: no replica has good bytes; kTimeout, kUnavailable: nobody answered in time;
//                         kInvalidArgument; kNotFound: the routing has no such chain.
//            Of updates   kTimeout: IT MAY OR MAY NOT HAVE TAKEN EFFECT (out of time, or the storage cannot tell any
//                         more); kUnavailable: surely not; kInvalidArgument (also: the file was truncated since, a
//                         STALE EPOCH: is_stale_epoch()); kExhausted: no space (if only some replicas lack it, the
//                         update may take effect later); kCorrupt: what it builds on is corrupt on every replica.
// Threads    Those of the Env. Ownership: Env and RoutingSource outlive it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "ffs/mgmt/routing.hpp"
#include "ffs/storage/read_hedge.hpp"
#include "ffs/storage/update_window.hpp"
#include "ffs/store/chunk_store.hpp"
#include "libcommon/runtime/env.hpp"
#include "libcommon/runtime/sync.hpp"

namespace ff::ffs {

class StoragePeers;

struct ChunkReadOp {
  ChainId chain{};
  ChunkId chunk;
  std::uint32_t offset = 0;
  std::span<std::byte> into;  // at least 1 byte
};
// What a read found. A chunk that was never written, or was removed, is no error: version, length and bytes are 0.
struct ChunkContent {
  std::uint32_t bytes = 0;   // put into the span; less than asked only at the end of the chunk. The rest is untouched
  ChunkVersion version = 0;  // of the chunk
  std::uint32_t length = 0;  // of the chunk
};

struct ChunkUpdateOp {
  ChainId chain{};
  ChunkId chunk;
  UpdateKind kind = UpdateKind::kWrite;
  std::uint32_t offset = 0;         // kWrite
  std::span<const std::byte> data;  // kWrite; at least 1 byte
  std::uint32_t length = 0;         // kTruncate
  std::uint32_t chunk_bytes = 0;    // of the file's layout
  std::uint64_t truncate_epoch = 0;
  bool older_only = false;  // succeeds without effect where the chunk has this truncate epoch or a later one
};
struct ChunkUpdated {
  ChunkVersion version = 0;  // that it made
  std::uint32_t length = 0;  // of the chunk with it
};

enum class ReadMode : std::uint8_t {
  kStrict,   // linearizable
  kRelaxed,  // at once what the asked replica has committed: may be older than what another reader has seen
};

struct FileOnChain {
  bool found = false;        // a chunk that is not empty
  std::uint64_t index = 0;   // of the last one
  std::uint32_t length = 0;  // of the last one
  std::uint64_t chunks = 0;  // of the file on this chain
  std::uint64_t used_bytes = 0;
};

struct StorageClientOptions {
  runtime::Duration timeout = std::chrono::seconds(30);         // of one call with all retries
  runtime::Duration attempt_timeout = std::chrono::seconds(5);  // of one request to one node
  runtime::Duration retry_base = std::chrono::milliseconds(5);  // doubles with each failure, jittered
  runtime::Duration retry_most = std::chrono::milliseconds(500);
  std::size_t request_ops = 128;         // of one request
  std::size_t request_bytes = 4u << 20;  // of one request, unless a single operation is larger
  std::size_t requests_in_flight = 64;   // of all calls together
  ReadHedgeOptions hedge = {};
};

// An update that was refused because the file was truncated after the update was given its epoch.
bool is_stale_epoch(const Error& error) noexcept;

class StorageClient {
 public:
  StorageClient(runtime::Env& env, RoutingSource& routing, const StorageClientOptions& options = {});
  // REQUIRES: stop() has returned (except where a simulation kills the node).
  ~StorageClient();
  StorageClient(const StorageClient&) = delete;
  StorageClient& operator=(const StorageClient&) = delete;

  runtime::Task<std::vector<Result<ChunkContent>>> read(std::vector<ChunkReadOp> ops,
                                                        ReadMode mode = ReadMode::kStrict);
  runtime::Task<std::vector<Result<ChunkUpdated>>> update(std::vector<ChunkUpdateOp> ops);

  // What the chain holds of a file, every acknowledged update counted.
  runtime::Task<Result<FileOnChain>> last_chunk(ChainId chain, InodeId inode);
  // Removes the file's chunks with index >= `from` on this chain (older_only: those of earlier truncate epochs); the
  // number removed. Repeating it is harmless, also after an error (which may leave a part of them).
  runtime::Task<Result<std::uint64_t>> remove_chunks(ChainId chain, InodeId inode, std::uint64_t from,
                                                     std::uint64_t truncate_epoch, bool older_only = false);

  // Calls in flight end with kUnavailable or kTimeout.
  runtime::Task<void> stop();

  // Reads that were asked of a second replica because the first took long.
  std::uint64_t hedged_reads() const noexcept { return hedge_.hedges(); }

  // Random, of this object: what its updates' tags carry.
  std::uint64_t client_id() const noexcept { return client_; }

 private:
  struct ReadJob;
  struct UpdateJob;
  struct Attempts;

  runtime::Time deadline(const runtime::Context& context) const noexcept;
  runtime::Task<void> run_reads(std::vector<ReadJob>* jobs, ReadMode mode, runtime::Time deadline);
  // One request to one node, and one to another if that takes long. Jobs that they do not end stay for the next round.
  runtime::Task<Result<>> send_reads(std::vector<ReadJob*> jobs, std::shared_ptr<const RoutingView> view, ReadMode mode,
                                     runtime::Time deadline);
  struct ReadAnswer;
  runtime::Task<ReadAnswer> ask_reads(const std::vector<ReadJob*>& jobs, std::vector<TargetId> targets,
                                      const RoutingView& view, ReadMode mode, runtime::Time deadline,
                                      std::span<std::byte> memory);
  // Waits, asks another replica of every job's chain on one node, and returns if that answered.
  runtime::Task<ReadAnswer> hedge_reads(const std::vector<ReadJob*>& jobs, const RoutingView& view, ReadMode mode,
                                        runtime::Time deadline, std::vector<std::byte>& memory);
  // Replicas of the jobs' chains on one node, none of which is asked already; empty: there are none.
  std::vector<TargetId> alternatives(const std::vector<ReadJob*>& jobs, const RoutingView& view);
  void apply(const std::vector<ReadJob*>& jobs, const ReadAnswer& answer, const RoutingView& view);
  // Of one chain.
  runtime::Task<Result<>> run_updates(std::vector<UpdateJob*> jobs, UpdateWindow::Turns& turns, runtime::Time deadline);
  runtime::Task<Result<>> send_updates(std::vector<UpdateJob*> jobs, std::shared_ptr<const RoutingView> view,
                                       runtime::Time deadline);
  void learn(ChunkId chunk, ChunkVersion version);
  // The replica of the chain to read from: the least loaded one that has not just failed.
  std::optional<TargetId> choose(const RoutingView& view, const Chain& chain, std::span<const TargetId> avoid);
  runtime::Task<Result<>> pause(Attempts& attempts, std::uint64_t known_routing, runtime::Time deadline);

  runtime::Env& env_;
  RoutingSource& routing_;
  const StorageClientOptions options_;
  const std::uint64_t client_;
  std::uint64_t sequence_ = 0;
  bool stopping_ = false;
  std::unique_ptr<StoragePeers> peers_;
  runtime::Semaphore requests_;
  ReadHedge hedge_;
  UpdateWindow window_;
  std::map<NodeId, std::uint64_t> outstanding_;  // bytes asked of each node and not yet answered
  // Of chunks that were read or updated lately: what a repeated update tells the storage about when it was new.
  std::map<ChunkId, ChunkVersion> known_;
};

}  // namespace ff::ffs
