// Target: one member of one chain: a ChunkStore, and the protocol that keeps it equal to the others of its chain.
// storage.md has the protocol with its invariants; replica_rules.hpp its decisions.
//
//   update_path.cc     updates as the head drives them to their end
//   forward_path.cc    updates as they come from the predecessor
//   read_path.cc       reads, and what the head answers about commits
//   settle.cc          what was left half-way: by a head that is gone, by lost commit marks
//   repair.cc          bad copies
//   resync_source.cc   bringing a returning successor up to date
//   resync_sink.cc     being brought up to date
//   scrub.cc           reading everything from time to time
//   tombstones.cc      forgetting what was removed
//
// Ownership  The Env, the routing, the peers and the store's folder outlive it. stop() before it goes.
// Threads    Those of the Env.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ffs/mgmt/local_state.hpp"
#include "ffs/mgmt/routing.hpp"
#include "ffs/storage/chunk_locks.hpp"
#include "ffs/storage/replica_rules.hpp"
#include "ffs/storage/storage.pb.h"
#include "ffs/storage/target_metrics.hpp"
#include "ffs/store/chunk_store.hpp"
#include "libcommon/runtime/disk.hpp"
#include "libcommon/runtime/scope.hpp"

namespace ff::rpc {
class ServerCall;
}

namespace ff::ffs {

class StoragePeers;
struct Difference;
struct Replica;

struct TargetOptions {
  runtime::Duration forward_timeout = std::chrono::seconds(2);      // of one message to another target
  runtime::Duration update_timeout = std::chrono::seconds(10);      // of one update's drive down the chain
  runtime::Duration routing_wait = std::chrono::milliseconds(500);  // for routing that the sender has already
  runtime::Duration commit_delay = std::chrono::milliseconds(2);    // that commit marks wait for company
  runtime::Duration settle_every = std::chrono::milliseconds(250);  // looking for what was left half-way
  runtime::Duration resync_pause = std::chrono::milliseconds(250);  // between attempts
  runtime::Duration repair_pause = std::chrono::milliseconds(500);  // after a repair that failed; twice that the next
  runtime::Duration repair_pause_most = std::chrono::minutes(1);    // time, at most this
  std::uint64_t resync_bytes_per_second = 0;                        // 0: no limit
  std::size_t resync_transfers = 8;                                 // at a time
  // Of updates that are being worked on, also when those who sent them have given up. More are refused (BUSY).
  std::uint64_t update_bytes_most = 256ull << 20;
  std::uint64_t scrub_bytes_per_second = 16ull << 20;            // 0: no scrubbing
  runtime::Duration scrub_pause = std::chrono::hours(1);         // between rounds
  runtime::Duration tombstones_kept = std::chrono::minutes(10);  // longer than any client repeats an update
  std::uint64_t tombstones_most = 1u << 20;                      // beyond, the oldest go earlier, but none before this:
  runtime::Duration tombstones_kept_least = std::chrono::minutes(1);
  // This, or a twentieth of a small disk, stays free for updates that others have staged already.
  std::uint64_t reserve_bytes = 256ull << 20;
  Hazards hazards;
  metrics::Registry* registry = nullptr;  // where the target counts; outlives it
};

// What a target needs of the process it lives in.
struct TargetHost {
  runtime::Env& env;
  RoutingSource& routing;
  StoragePeers& peers;
  std::function<bool()> has_lease;    // of the node; asked before every answer that must be fresh
  std::function<void()> report_soon;  // its state has changed: the manager should hear of it
};

class Target {
 public:
  Target(TargetHost host, TargetId id, std::string path, std::unique_ptr<ChunkStore> store, TargetOptions options);
  // REQUIRES: stop() has returned (except where a simulation kills the node).
  ~Target();
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;

  // Begins the loops. Once.
  void start();
  // Takes the target out of service, ends the loops and closes the store.
  runtime::Task<void> stop();

  // New routing is there. Called by the host for each, and by the paths when a peer knows newer.
  void routing_changed();

  TargetId id() const noexcept { return id_; }
  ChunkStore& store() noexcept { return *store_; }
  const TargetMetrics& metrics() const noexcept { return metrics_; }
  // Of updates that are being worked on.
  std::uint64_t update_bytes() const noexcept { return *update_bytes_; }
  TargetReport report();
  TargetStatus status();

  // The services; contracts in storage.proto. They answer codes; an error is one of the call itself.
  runtime::Task<Result<UpdateReply>> update(rpc::ServerCall& call, const UpdateRequest& request);
  runtime::Task<Result<ForwardReply>> forward(rpc::ServerCall& call, const ForwardRequest& request);
  void commit(const CommitRequest& request);
  runtime::Task<Result<CommittedReply>> committed(const CommittedRequest& request);
  runtime::Task<ReadOpReply> read(ReadOp op, bool relaxed, std::span<std::byte> into);
  runtime::Task<Result<FetchChunkReply>> fetch_chunk(rpc::ServerCall& call, const FetchChunkRequest& request);
  runtime::Task<Result<LastChunkReply>> last_chunk(const LastChunkRequest& request);
  runtime::Task<Result<RemoveChunksReply>> remove_chunks(const RemoveChunksRequest& request);
  runtime::Task<Result<SyncRangeReply>> sync_range(const SyncRangeRequest& request);
  runtime::Task<Result<SyncInstallReply>> sync_install(rpc::ServerCall& call, const SyncInstallRequest& request);
  runtime::Task<Result<SyncDoneReply>> sync_done(const SyncDoneRequest& request);

 private:
  // An update on its way through this replica.
  struct Attempt {
    ChunkUpdate update;  // its data lies in `memory`
    runtime::DiskBuffer memory;
    std::uint32_t crc = 0;  // of the data
    bool staged = false;
    bool was_staged = false;                // at some time: others may have been told
    std::shared_ptr<runtime::Event> based;  // see ChunkStore::stage(); also set when staging has failed
    bool baseless = false;                  // it cannot be staged: what it builds on is unreadable
    std::uint32_t length = 0;               // of the chunk with it; once staged
    std::uint32_t chunk_crc = 0;
    bool whole = false;  // came as a whole chunk, which stands as committed in the store
    bool committed = false;
    bool sent = false;             // some other replica may have it
    std::uint64_t term = 0;        // of mine as head under which I numbered it; 0: it came from a head
    std::uint64_t stay = 0;        // see stay_
    std::uint32_t crc_behind = 0;  // of the successor's chunk with it; 0: not told
    std::uint32_t disputes = 0;    // times that the successor's chunk came out otherwise
    runtime::Time since{};
    OpenUpdate open() const noexcept { return {update.version, update.tag}; }
  };
  using AttemptPtr = std::shared_ptr<Attempt>;
  struct Outcome {
    StorageCode code = BUSY;
    std::string detail;
  };
  struct UpdateBatch;
  struct ForwardBatch;
  // A chunk as it goes to another replica.
  struct Copy {
    ChunkImage image;
    runtime::DiskBuffer memory;
    std::span<const std::byte> content() const noexcept {
      return std::span<const std::byte>(memory.span()).first(image.chunk().length());
    }
  };

  // ---- target.cc
  const Chain* chain() const noexcept { return view_ ? view_->chain(place_.chain) : nullptr; }
  // May serve, or may sync.
  bool in_path() const noexcept;
  bool is_head() const noexcept;
  std::optional<Member> successor() const;
  std::optional<Member> predecessor() const;
  bool fenced() const;
  // STORAGE_OK: this is the chain, its version, and the target serves at this moment.
  StorageCode check_serving(std::uint64_t chain, ChainVersion version);
  // The same, as its head.
  StorageCode check_head(std::uint64_t chain, ChainVersion version);
  // Waits a little for the routing that a sender has already.
  runtime::Task<void> catch_up(std::uint64_t chain, ChainVersion version);
  // Applies `change` to life_ and place_, and what follows from it.
  void transition(const std::function<void()>& change);
  void left_path();
  void commit_leftovers();
  void disk_trouble(const Error& why);
  AttemptPtr open_of(ChunkId chunk) const;
  std::optional<OpenUpdate> open_update(ChunkId chunk) const;
  void commit_attempt(Attempt& attempt, ChainVersion version);
  void forget(const Attempt& attempt);
  Result<runtime::DiskBuffer> buffer(std::uint64_t bytes);
  // Runs to its end whatever becomes of the caller. The error is the caller's cancellation.
  runtime::Task<Result<>> shielded(runtime::Task<void> task);
  runtime::Task<Result<std::vector<ChunkLocks::Guard>>> lock_all(std::vector<ChunkId> chunks);
  bool low_space() const noexcept;
  // Counts these bytes while what is returned lives. Null: too much is being worked on already.
  std::shared_ptr<void> admit_bytes(std::uint64_t bytes);

  // ---- update_path.cc
  runtime::Task<void> run_updates(std::shared_ptr<UpdateBatch> batch);
  runtime::Task<void> run_round(std::shared_ptr<UpdateBatch> batch, std::vector<std::size_t> round);
  // Stages and forwards until every attempt is committed or cannot be. REQUIRES: their chunks are locked.
  runtime::Task<std::vector<Outcome>> drive(std::vector<AttemptPtr> attempts, runtime::Time deadline);
  runtime::Task<Outcome> stage(AttemptPtr attempt);
  runtime::Task<std::vector<Outcome>> stage_all(std::vector<AttemptPtr> attempts);
  // Outcomes of the successor and all behind it, under this view.
  runtime::Task<std::vector<Outcome>> send_on(std::shared_ptr<const RoutingView> view, Member to,
                                              std::vector<AttemptPtr> attempts);
  // The same, of those that are known to be possible here, as soon as that is known.
  runtime::Task<std::vector<Outcome>> send_based(std::shared_ptr<const RoutingView> view, Member to,
                                                 std::vector<AttemptPtr> attempts);
  runtime::Task<std::vector<Outcome>> send_updates(std::shared_ptr<const RoutingView> view, Member to,
                                                   std::vector<AttemptPtr> attempts);
  runtime::Task<Outcome> send_whole(std::shared_ptr<const RoutingView> view, Member to, AttemptPtr attempt);
  runtime::Task<std::vector<Outcome>> pass(std::shared_ptr<const RoutingView> view, std::vector<AttemptPtr> attempts);
  runtime::Task<Outcome> settle_dispute(std::shared_ptr<const RoutingView> view, Member with, AttemptPtr attempt);

  // The chunk as it is committed; `pending`: as the pending update makes it, if there is one. kNotFound: there is none.
  // `damaged`: what can be read of it, instead of kCorrupt.
  runtime::Task<Result<Copy>> copy_of(ChunkId chunk, bool pending, bool damaged = false);

  // ---- forward_path.cc
  runtime::Task<void> run_forward(std::shared_ptr<ForwardBatch> batch);
  runtime::Task<Outcome> admit(std::shared_ptr<ForwardBatch> batch, std::size_t index, AttemptPtr* out);
  runtime::Task<Outcome> install_whole(std::shared_ptr<ForwardBatch> batch, std::size_t index);

  // Marks a chunk that comes whole as not known to be committed; what was open of it before.
  AttemptPtr open_whole(const ChunkInfo& info);

  // ---- read_path.cc
  struct Answer {
    StorageCode code = BUSY;
    std::vector<StorageCode> codes;
    std::vector<ChunkVersion> versions;
  };
  runtime::Task<Answer> ask_head(std::vector<ChunkId> chunks);

  // ---- settle.cc
  runtime::Task<void> settle_loop();
  runtime::Task<void> settle_with_head();
  // The next updates to look at, in turn, of those that `wanted` names.
  std::vector<AttemptPtr> next_open(const std::function<bool(const Attempt&)>& wanted);
  // Drives what is open of these chunks to its end; REQUIRES: I am head, none of them is locked by the caller.
  runtime::Task<bool> finish(std::vector<ChunkId> chunks, runtime::Time deadline);
  runtime::Task<void> finish_shielded(std::vector<ChunkId> chunks, runtime::Time deadline, std::shared_ptr<bool> all);
  runtime::Task<void> mark_loop();
  void apply_marks(const google::protobuf::RepeatedPtrField<CommitMark>& marks);
  void queue_mark(const Attempt& attempt);

  // ---- repair.cc
  // Takes the committed state of a chunk from another serving replica; from `only` if given. REQUIRES: locked.
  // `version`: which one it must be; nullopt: at least what is here.
  runtime::Task<Result<>> repair(ChunkId chunk, std::optional<ChunkVersion> version, std::optional<TargetId> only);
  // Makes an image the committed state, under an update that may be open: that one has to be staged again then, or is
  // committed by what came. `crcs` as in ChunkStore::install(). REQUIRES: locked.
  runtime::Task<Result<>> set_base(ChunkInfo info, std::span<const std::byte> content,
                                   std::span<const std::uint32_t> crcs = {});
  // Others may have good bytes where ours are bad, though none has all of them. kCorrupt: it is still damaged.
  runtime::Task<Result<>> mend(ChunkId chunk);
  // Its bytes are bad, or an update that came from the head could not be staged.
  bool wants_repair(ChunkId chunk) const;
  runtime::Task<void> repair_later(ChunkId chunk);
  void start_repair(ChunkId chunk);

  // ---- resync_sink.cc
  Replica as_replica(bool with_pending) const;

  // ---- resync_source.cc
  struct SyncSession;
  runtime::Task<Result<>> place_change();
  runtime::Task<void> resync_loop();
  runtime::Task<Result<>> resync(std::shared_ptr<const RoutingView> view, Member to);
  runtime::Task<Result<>> sync_span(SyncSession* session, ChunkId from, std::optional<ChunkId> until);
  runtime::Task<Result<>> sync_pages(SyncSession* session, ChunkId from, std::optional<ChunkId> until);
  runtime::Task<Result<>> transfer(SyncSession* session, Difference what);
  // The bytes that were sent.
  runtime::Task<Result<std::uint64_t>> send_image(std::shared_ptr<const RoutingView> view, TargetId to, ChunkId chunk,
                                                  bool repair, bool damaged = false);

  // ---- scrub.cc
  runtime::Task<void> scrub_loop();
  runtime::Task<Result<>> scrub_round();

  // ---- tombstones.cc
  runtime::Task<void> tombstone_loop();
  runtime::Task<Result<>> tombstone_round();
  // Since when a tombstone must be here to be forgotten now.
  runtime::Time tombstones_until() const;
  bool all_serve() const noexcept;  // the members of the chain

  TargetHost host_;
  runtime::Env& env_;
  const TargetId id_;
  const std::string path_;
  const TargetOptions options_;
  std::unique_ptr<ChunkStore> store_;
  const TargetMetrics metrics_;

  std::shared_ptr<const RoutingView> view_;
  TargetLife life_;
  TargetPlace place_;
  std::string trouble_;
  bool stopping_ = false;
  std::uint64_t term_ = 0;  // counts up when the target becomes head; 0 while it is not
  std::uint64_t terms_ = 0;
  std::uint64_t stay_ = 1;  // counts up when the target leaves the path: what began before must not end after

  std::shared_ptr<std::uint64_t> update_bytes_ = std::make_shared<std::uint64_t>(0);
  ChunkLocks locks_;
  std::map<ChunkId, AttemptPtr> open_;
  std::vector<CommitMark> marks_;  // for the successor
  runtime::Event marked_;
  runtime::Event settle_wanted_;
  ChunkId settled_to_{};  // where the settle loop goes on: what it cannot finish must not keep others from it
  std::map<ChunkId, ChunkVersion>
      received_;                        // while syncing, under place_.version: what came, so that nothing goes back
  std::set<ChunkId> repairing_;         // by a task of its own, which works at it or waits to try again
  runtime::Semaphore repair_turns_{8};  // repairs at a time
  runtime::WaitQueue changed_;          // the place has

  std::uint64_t own_client_;  // of tags that the target makes itself
  std::uint64_t own_sequence_ = 0;
  ChainVersion synced_to_ = 0;  // chain version under which the successor was brought up to date
  std::uint64_t sync_done_bytes_ = 0, sync_left_bytes_ = 0;
  std::uint64_t bad_chunks_ = 0, repaired_chunks_ = 0, scrubbed_bytes_ = 0, scrub_rounds_ = 0;
  struct Tombstone {
    ChunkVersion version = 0;
    runtime::Time seen{};
  };
  std::map<ChunkId, Tombstone> tombstones_;  // when each was first seen

  runtime::Scope scope_;  // everything that runs here; the first to be destroyed
};

}  // namespace ff::ffs
