#include "ffs/storage/replica_rules.hpp"

#include <gtest/gtest.h>

namespace ff::ffs {
namespace {

constexpr UpdateTag kMine{7, 1}, kOther{8, 1}, kOlder{9, 1};

// Version 5, made by `kOlder`, remembering versions 5 to 2.
ChunkInfo chunk() {
  ChunkInfo info;
  info.version = 5;
  info.chunk_bytes = kChunkBytesMin;
  info.truncate_epoch = 3;
  info.recent = {{{kOlder, 5}, {{9, 2}, 4}, {{9, 3}, 3}, {{9, 4}, 2}}};
  return info;
}

HeadUpdate update() { return {.tag = kMine, .known_version = 5, .truncate_epoch = 3, .chunk_bytes = kChunkBytesMin}; }

HeadAction head(std::optional<ChunkInfo> info, std::optional<OpenUpdate> open, HeadUpdate what) {
  return decide_update(info, open, what).action;
}

TEST(DecideUpdate, NumbersWithoutGaps) {
  EXPECT_EQ(decide_update(chunk(), std::nullopt, update()).version, 6u);
  EXPECT_EQ(decide_update(std::nullopt, std::nullopt, update()).version, 1u);
  EXPECT_EQ(head(chunk(), std::nullopt, update()), HeadAction::kApply);
}

TEST(DecideUpdate, AnswersARememberedTagWithItsVersion) {
  HeadUpdate what = update();
  what.tag = {9, 3};
  const HeadDecision done = decide_update(chunk(), std::nullopt, what);
  EXPECT_EQ(done.action, HeadAction::kDone);
  EXPECT_EQ(done.version, 3u);
}

TEST(DecideUpdate, ARememberedTagIsDoneWhateverElseIsOpenOrTruncated) {
  HeadUpdate what = update();
  what.tag = kOlder;
  what.truncate_epoch = 1;
  EXPECT_EQ(head(chunk(), OpenUpdate{6, kOther}, what), HeadAction::kDone);
}

TEST(DecideUpdate, GoesOnWithItsOwnOpenUpdate) {
  const HeadDecision decision = decide_update(chunk(), OpenUpdate{6, kMine}, update());
  EXPECT_EQ(decision.action, HeadAction::kResume);
  EXPECT_EQ(decision.version, 6u);
}

TEST(DecideUpdate, FinishesWhatIsOpenBeforeAnythingNew) {
  EXPECT_EQ(head(chunk(), OpenUpdate{6, kOther}, update()), HeadAction::kFinishFirst);
  EXPECT_EQ(head(std::nullopt, OpenUpdate{1, kOther}, update()), HeadAction::kFinishFirst);
}

TEST(DecideUpdate, ARepeatedUpdateIsUncertainOnceItMayBeForgotten) {
  HeadUpdate what = update();
  what.retry = true;
  what.known_version = 1;  // versions 2 to 5 came since: all four are remembered, and it is none of them
  EXPECT_EQ(head(chunk(), std::nullopt, what), HeadAction::kApply);
  what.known_version = 0;  // it may have made version 1
  EXPECT_EQ(head(chunk(), std::nullopt, what), HeadAction::kUncertain);
  what.retry = false;
  EXPECT_EQ(head(chunk(), std::nullopt, what), HeadAction::kApply);
}

// A chunk that was removed and forgotten begins with version 1 again.
TEST(DecideUpdate, WhatAClientKnewOfAForgottenChunkProvesNothing) {
  HeadUpdate what = update();
  what.retry = true;
  what.known_version = 500;
  ChunkInfo again = chunk();
  again.version = 14;
  again.recent = {{{kOlder, 14}, {{9, 2}, 13}, {{9, 3}, 12}, {{9, 4}, 11}}};
  EXPECT_EQ(head(again, std::nullopt, what), HeadAction::kUncertain) << "it may have made one of 1 to 10";
  EXPECT_EQ(head(std::nullopt, std::nullopt, what), HeadAction::kUncertain) << "it may have come before the removal";
  what.kind = UpdateKind::kRemove;
  EXPECT_EQ(head(std::nullopt, std::nullopt, what), HeadAction::kNothingDone);
  what.kind = UpdateKind::kWrite;
  what.known_version = 0;
  EXPECT_EQ(head(std::nullopt, std::nullopt, what), HeadAction::kApply);
  what.known_version = 500;
  what.retry = false;
  EXPECT_EQ(head(again, std::nullopt, what), HeadAction::kApply);
}

// Otherwise a client that never had to do with the chunk would hear UNCERTAIN whenever a node dies while it writes.
TEST(DecideUpdate, TellsTheVersionToWhoKnowsTooLittleToRepeatTheUpdate) {
  HeadUpdate what = update();
  what.must_know = true;
  EXPECT_EQ(head(chunk(), std::nullopt, what), HeadAction::kApply);
  what.known_version = 4;  // the one update between may be its own
  EXPECT_EQ(head(chunk(), std::nullopt, what), HeadAction::kApply);
  what.known_version = 3;
  EXPECT_EQ(head(chunk(), std::nullopt, what), HeadAction::kTellVersion);
  EXPECT_EQ(decide_update(chunk(), std::nullopt, what).version, 5u);
  what.known_version = 0;
  EXPECT_EQ(head(chunk(), std::nullopt, what), HeadAction::kTellVersion);
  EXPECT_EQ(head(std::nullopt, std::nullopt, what), HeadAction::kApply) << "a new chunk";
  what.known_version = 500;
  EXPECT_EQ(head(chunk(), std::nullopt, what), HeadAction::kTellVersion) << "it was forgotten since";
  EXPECT_EQ(head(std::nullopt, std::nullopt, what), HeadAction::kTellVersion) << "it was forgotten since";
  what.must_know = false;  // it has been told
  EXPECT_EQ(head(chunk(), std::nullopt, what), HeadAction::kApply);
  what.must_know = what.retry = true;  // too late
  what.known_version = 0;
  EXPECT_EQ(head(chunk(), std::nullopt, what), HeadAction::kUncertain);
}

TEST(DecideUpdate, RefusesEarlierEpochsAndOtherSizes) {
  HeadUpdate what = update();
  what.truncate_epoch = 2;
  EXPECT_EQ(head(chunk(), std::nullopt, what), HeadAction::kStaleEpoch);
  what.truncate_epoch = 4;
  EXPECT_EQ(head(chunk(), std::nullopt, what), HeadAction::kApply);
  what.chunk_bytes *= 2;
  EXPECT_EQ(head(chunk(), std::nullopt, what), HeadAction::kWrongSize);
}

TEST(DecideUpdate, RemovingNothingIsDone) {
  HeadUpdate what = update();
  what.kind = UpdateKind::kRemove;
  EXPECT_EQ(head(std::nullopt, std::nullopt, what), HeadAction::kNothingDone);
  EXPECT_EQ(head(chunk(), std::nullopt, what), HeadAction::kApply);
  ChunkInfo gone = chunk();
  gone.removed = true;
  EXPECT_EQ(head(gone, std::nullopt, what), HeadAction::kNothingDone);
  what.kind = UpdateKind::kWrite;
  EXPECT_EQ(decide_update(gone, std::nullopt, what).version, 6u) << "versions go on after a tombstone";
}

TEST(DecideForward, Table) {
  const std::optional<ChunkInfo> here = chunk();
  const std::optional<ChunkInfo> none;
  const std::optional<OpenUpdate> nothing;
  ChunkInfo bad = chunk();
  bad.bad = true;
  ChunkInfo gone = chunk();
  gone.removed = true;
  struct Case {
    const char* what;
    std::optional<ChunkInfo> chunk;
    std::optional<OpenUpdate> open;
    ChunkVersion version;
    UpdateTag tag;
    ForwardAction expected;
  };
  const Case cases[] = {
      {"the next one", here, nothing, 6, kMine, ForwardAction::kStage},
      {"the first one", none, nothing, 1, kMine, ForwardAction::kStage},
      {"again, while it is open", here, OpenUpdate{6, kMine}, 6, kMine, ForwardAction::kStaged},
      {"another one of the open one's number", here, OpenUpdate{6, kOther}, 6, kMine, ForwardAction::kConflict},
      {"the one after the open one", here, OpenUpdate{6, kOther}, 7, kMine, ForwardAction::kCommitThenStage},
      {"far after the open one", here, OpenUpdate{6, kOther}, 8, kMine, ForwardAction::kRepair},
      {"committed, and remembered", here, nothing, 5, kOlder, ForwardAction::kCommitted},
      {"committed as another number", here, nothing, 4, kOlder, ForwardAction::kConflict},
      {"committed by another", here, nothing, 5, kMine, ForwardAction::kConflict},
      {"a gap", here, nothing, 7, kMine, ForwardAction::kRepair},
      {"a gap before anything", none, nothing, 2, kMine, ForwardAction::kRepair},
      {"on bad bytes", bad, nothing, 6, kMine, ForwardAction::kRepair},
      {"no version at all, of no chunk", none, nothing, 0, kMine, ForwardAction::kConflict},
      {"the head forgot the tombstone", gone, nothing, 1, kMine, ForwardAction::kRepair},
      {"late, while a later one is open", here, OpenUpdate{6, kOther}, 5, kOlder, ForwardAction::kCommitted},
  };
  for (const Case& one : cases)
    EXPECT_EQ(decide_forward(one.chunk, one.open, one.version, one.tag), one.expected) << one.what;
}

TEST(DecideUpdate, OlderOnlyLeavesAloneWhatTheSameTruncateOrALaterOneHasSeen) {
  ChunkInfo here;
  here.version = 5;
  here.truncate_epoch = 3;
  here.chunk_bytes = 1u << 20;
  for (const UpdateKind kind : {UpdateKind::kRemove, UpdateKind::kTruncate}) {
    HeadUpdate cut{.kind = kind, .tag = {9, 1}, .chunk_bytes = 1u << 20, .older_only = true};
    for (const std::uint64_t epoch : {2, 3}) {
      cut.truncate_epoch = epoch;
      EXPECT_EQ(decide_update(here, std::nullopt, cut).action, HeadAction::kNothingDone) << epoch;
    }
    cut.truncate_epoch = 4;
    EXPECT_EQ(decide_update(here, std::nullopt, cut).action, HeadAction::kApply);
    cut.truncate_epoch = 3;
    cut.older_only = false;
    EXPECT_EQ(decide_update(here, std::nullopt, cut).action, HeadAction::kApply);
  }
}

TEST(DecideRead, Table) {
  const OpenUpdate open{6, kOther};
  EXPECT_EQ(decide_read(std::nullopt, {}), ReadAction::kServe);
  EXPECT_EQ(decide_read(open, {}), ReadAction::kAsk);
  EXPECT_EQ(decide_read(open, {.strict = false}), ReadAction::kServe);
  EXPECT_EQ(decide_read(open, {.strict = false, .whole = true}), ReadAction::kElsewhere)
      << "what came whole stands as committed, and is perhaps not";
  EXPECT_EQ(decide_read(open, {.whole = true}), ReadAction::kAsk);
  EXPECT_EQ(decide_read(open, {.head = true}), ReadAction::kServe)
      << "the head has not committed it: nobody has seen it";
  EXPECT_EQ(decide_read(open, {.head = true, .inherited = true}), ReadAction::kFinish);
}

TEST(DecideAnswered, FollowsTheHead) {
  const OpenUpdate open{6, kOther};
  EXPECT_EQ(decide_answered(open, 5, 6), AnswerAction::kCommit);
  EXPECT_EQ(decide_answered(open, 5, 7), AnswerAction::kCommit);
  EXPECT_EQ(decide_answered(open, 5, 5), AnswerAction::kServe);
  EXPECT_EQ(decide_answered(open, 6, 5), AnswerAction::kElsewhere) << "came whole, and is not committed";
}

}  // namespace
}  // namespace ff::ffs
