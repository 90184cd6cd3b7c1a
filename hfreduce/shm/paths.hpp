// The data paths. Each runs one call, of which all ranks' entries have been seen, as planned; see shm_engine.hpp for
// what each is for. All combine in the pairwise order, so the bits do not depend on the path.
#pragma once

#include "hfreduce/shm/group.hpp"
#include "hfreduce/shm/plan.hpp"
#include "libcommon/base/result.hpp"

namespace ff::hfreduce::shm {

// Tiny messages. deposit() before the entry is published; collect() after all entries were seen.
void flat_deposit(Group& group, const Call& call, const Plan& plan);
void flat_collect(Group& group, const Call& call, const Plan& plan);

// All buffers in windows. REQUIRES group.mapped, plan.cut by home.
Result<> run_window(Group& group, const Call& call, const Plan& plan);

// Ordinary buffers through the kernel. REQUIRES entries with addresses, plan.cut by home, group.scratch of size *
// chunk.
Result<> run_cma(Group& group, const Call& call, const Plan& plan);
// Whether the kernel lets this rank read all peers' memory. REQUIRES all members' facts published.
bool cma_works(const Group& group) noexcept;

// Ordinary buffers through slots. REQUIRES plan.cut interleaved, chunks no longer than a staged slot. `base` is
// advanced by the number of chunks.
Result<> run_staged(Group& group, const Call& call, const Plan& plan);

// One rank alone: its input is the result.
void run_alone(const Call& call, const Plan& plan);

}  // namespace ff::hfreduce::shm
