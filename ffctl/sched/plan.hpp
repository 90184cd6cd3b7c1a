// plan(): what should happen now. The one place where it is decided who runs where; live scheduling,
// `ffctl submit --dry-run`, `explain` and the replay of traces call it.
//
// Promises   A job starts with all of its nodes or not at all. No node is given twice, beyond what it has, or against
//            labels, exclusions, quotas. A multi-node job spans at most two zones, the nodes of each together, so that
//            one pair of neighbours crosses. Victims are preempted only if with their nodes and free ones the
//            preemptor is placed whole; nobody preempts a job of his own in the same tier; nobody is preempted for a
//            job that the order would put behind it, so that two jobs never evict each other in turn.
// Freed      Nodes that jobs are leaving for a preemptor (JobView::ending_for), and the free ones that complete its
//            set, are kept for it from pass to pass; those that were left, as long as the caller says so
//            (NodeView::kept_for). Only jobs of a higher rank (tier, then level) take them.
// Order      Tier; then for kSlice those that starve, users below their share, level of service had; then the time of
//            submission, then id. kFifo stops at the first job that cannot start. kEasy and kSlice let later jobs start
//            that delay no reservation.
// Pure       The same snapshot and policy give the same plan. No clock, no randomness, no I/O. Threads: any.
// Source     Lifka 1995 (EASY); Gu et al., "Tiresias", NSDI'19 (two-dimensional least attained service).
#pragma once

#include "ffctl/sched/types.hpp"

namespace ff::ctl::sched {

// REQUIRES: every index in the snapshot is in range; no node is held beyond what it has.
Plan plan(const Snapshot& snapshot, const Policy& policy);

// The level of a job under kSlice: 0 for one that has had little service.
std::uint32_t level_of(Ms service, const Policy& policy) noexcept;

}  // namespace ff::ctl::sched
