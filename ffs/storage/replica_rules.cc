#include "ffs/storage/replica_rules.hpp"

namespace ff::ffs {

namespace {

ChunkVersion committed(const std::optional<ChunkInfo>& chunk) noexcept { return chunk ? chunk->version : 0; }

// Versions begin anew when a removed chunk is forgotten: then what the client knew says nothing.
ChunkVersion known_of(ChunkVersion version, const HeadUpdate& update) noexcept {
  return update.known_version > version ? 0 : update.known_version;
}

// May the tag have been here and been forgotten since? Every update that was committed since the client knew
// `known_version` is remembered if they are no more than the memory holds.
bool may_be_forgotten(const ChunkInfo& chunk, const HeadUpdate& update) noexcept {
  return update.retry && chunk.version > known_of(chunk.version, update) + kRememberedUpdates;
}

// If the client loses the answer and asks again, can it be told whether the update was done? It then has as many other
// updates as the memory holds beside what came since `known_version`; the one before it in the client's window is fine.
bool knows_too_little(const std::optional<ChunkInfo>& chunk, const HeadUpdate& update) noexcept {
  const ChunkVersion here = committed(chunk);
  const bool wrong = update.known_version > here;  // it was removed and forgotten since
  return update.must_know && !update.retry && (wrong || here > known_of(here, update) + 1);
}

}  // namespace

std::optional<ChunkVersion> find_tag(const ChunkInfo& chunk, UpdateTag tag) noexcept {
  for (const RememberedUpdate& update : chunk.recent)
    if (update.version != 0 && update.tag == tag) return update.version;
  return std::nullopt;
}

HeadDecision decide_update(const std::optional<ChunkInfo>& chunk, const std::optional<OpenUpdate>& open,
                           const HeadUpdate& update, const Hazards& hazards) {
  if (open && open->tag == update.tag) return {HeadAction::kResume, open->version};
  if (chunk) {
    if (const auto version = find_tag(*chunk, update.tag)) return {HeadAction::kDone, *version};
  }
  if (open && !hazards.reused_versions) return {HeadAction::kFinishFirst, open->version};
  if (update.older_only && chunk && chunk->truncate_epoch >= update.truncate_epoch)
    return {HeadAction::kNothingDone, chunk->version};
  if (chunk) {
    if (may_be_forgotten(*chunk, update)) return {HeadAction::kUncertain, chunk->version};
    if (update.truncate_epoch < chunk->truncate_epoch) return {HeadAction::kStaleEpoch, chunk->version};
    if (chunk->chunk_bytes != 0 && chunk->chunk_bytes != update.chunk_bytes)
      return {HeadAction::kWrongSize, chunk->version};
  }
  if (update.kind == UpdateKind::kRemove && (!chunk || chunk->removed))
    return {HeadAction::kNothingDone, committed(chunk)};
  // The client knew the chunk: it was removed and forgotten since, and the update may have come before that.
  if (!chunk && update.retry && update.known_version > 0) return {HeadAction::kUncertain, 0};
  if (knows_too_little(chunk, update)) return {HeadAction::kTellVersion, committed(chunk)};
  return {HeadAction::kApply, committed(chunk) + 1};
}

ForwardAction decide_forward(const std::optional<ChunkInfo>& chunk, const std::optional<OpenUpdate>& open,
                             ChunkVersion version, UpdateTag tag, const Hazards& hazards) {
  const ChunkVersion here = committed(chunk);
  if (open) {
    if (open->version == version)
      return open->tag == tag || hazards.reused_versions ? ForwardAction::kStaged : ForwardAction::kConflict;
    if (open->version + 1 == version) return ForwardAction::kCommitThenStage;
    if (open->version < version) return ForwardAction::kRepair;
  }
  if (version <= here) {
    if (chunk && find_tag(*chunk, tag) == version) return ForwardAction::kCommitted;
    if (hazards.reused_versions) return ForwardAction::kCommitted;
    // The head has forgotten a tombstone that is still here.
    return chunk && chunk->removed ? ForwardAction::kRepair : ForwardAction::kConflict;
  }
  if (version == here + 1) return chunk && chunk->bad ? ForwardAction::kRepair : ForwardAction::kStage;
  return ForwardAction::kRepair;
}

ReadAction decide_read(const std::optional<OpenUpdate>& open, Reader reader, const Hazards& hazards) {
  if (!open || hazards.stale_committed_reads) return ReadAction::kServe;
  if (!reader.strict) return reader.whole ? ReadAction::kElsewhere : ReadAction::kServe;
  if (!reader.head) return ReadAction::kAsk;
  return reader.inherited ? ReadAction::kFinish : ReadAction::kServe;
}

AnswerAction decide_answered(const OpenUpdate& open, ChunkVersion here, ChunkVersion head_version) noexcept {
  if (head_version >= open.version) return AnswerAction::kCommit;
  return here < open.version ? AnswerAction::kServe : AnswerAction::kElsewhere;
}

}  // namespace ff::ffs
