// What a replica does with an update, a forwarded update or a read, given what it holds of the chunk. Pure: the
// protocol's decisions, apart from the disks and networks that carry them out. The reasons are in storage.md.
//
// Test-only  Hazards bring back faults of this protocol's predecessors, so that a test can show that it would see them.
#pragma once

#include <cstdint>
#include <optional>

#include "ffs/store/chunk_store.hpp"

namespace ff::ffs {

// For tests of the tests: off by default, and no configuration or command line reaches them.
struct Hazards {
  bool stale_committed_reads = false;  // strict reads answer what is committed here, whatever is under way
  bool reused_versions = false;        // an abandoned update is dropped and its version number given to the next one
  bool no_fencing = false;             // a target serves without a lease
};

// An update that has been staged or sent on by this replica, or received whole while syncing, and of which the replica
// does not know yet that it is committed. At most one of a chunk.
struct OpenUpdate {
  ChunkVersion version = 0;
  UpdateTag tag;
};

// An update as it reaches the head.
struct HeadUpdate {
  UpdateKind kind = UpdateKind::kWrite;
  UpdateTag tag;
  bool retry = false;              // it may have been sent before
  ChunkVersion known_version = 0;  // of the chunk, when the client first sent it
  std::uint64_t truncate_epoch = 0;
  std::uint32_t chunk_bytes = 0;
  bool must_know = false;   // see UpdateOp
  bool older_only = false;  // leave alone what has this epoch or a later one
};

enum class HeadAction : std::uint8_t {
  kApply,        // as `version`
  kDone,         // it made `version`, and is committed
  kResume,       // it is open as `version`: drive that to its end
  kFinishFirst,  // another update is open: drive it to its end, then ask again
  kUncertain,
  kTellVersion,  // nothing yet: the client must know `version` before
  kStaleEpoch,
  kWrongSize,   // the chunk's size for its whole life is another
  kNothingDone  // removing what is not there, or what `older_only` leaves alone: success, nothing to do
};
struct HeadDecision {
  HeadAction action = HeadAction::kApply;
  ChunkVersion version = 0;
};
HeadDecision decide_update(const std::optional<ChunkInfo>& chunk, const std::optional<OpenUpdate>& open,
                           const HeadUpdate& update, const Hazards& hazards = {});

enum class ForwardAction : std::uint8_t {
  kStage,
  kCommitThenStage,  // the open update is the one before: that the head goes on means that it is committed
  kStaged,           // this very update is open: nothing to stage, pass it on
  kCommitted,        // this very update is committed: pass it on
  kRepair,           // the committed state here is not the one that the update builds on: take the predecessor's
  kConflict,         // another update has this version: somebody is wrong
};
ForwardAction decide_forward(const std::optional<ChunkInfo>& chunk, const std::optional<OpenUpdate>& open,
                             ChunkVersion version, UpdateTag tag, const Hazards& hazards = {});

enum class ReadAction : std::uint8_t {
  kServe,     // what is committed
  kAsk,       // the head, what is committed; then decide_answered()
  kFinish,    // I am head, and an earlier head left the open update: drive it to its end first
  kElsewhere  // what is committed is not here any more: the open update came whole and took its place
};
struct Reader {
  bool strict = true;
  bool head = false;       // I am
  bool inherited = false;  // the open update is not of this term of mine as head
  bool whole = false;      // the open update came as a whole chunk
};
ReadAction decide_read(const std::optional<OpenUpdate>& open, Reader reader, const Hazards& hazards = {});

enum class AnswerAction : std::uint8_t {
  kCommit,    // the open update is committed: so commit it, and serve it
  kServe,     // it is not: serve what is committed
  kElsewhere  // what was committed before the open update is not here any more: another replica has it
};
// `head_version`: what the head has committed. `here`: what is committed in this replica's store.
AnswerAction decide_answered(const OpenUpdate& open, ChunkVersion here, ChunkVersion head_version) noexcept;

// The version that `tag` made, if it is remembered.
std::optional<ChunkVersion> find_tag(const ChunkInfo& chunk, UpdateTag tag) noexcept;

}  // namespace ff::ffs
