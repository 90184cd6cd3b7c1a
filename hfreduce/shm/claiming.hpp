// Dynamic claiming: the list of chunks is divided evenly; each rank takes from its own share first and then from the
// others', so that caches stay warm from call to call and a rank that is not running costs nothing.
// The call is over for all when all chunks are done: nobody reads another's input or writes its output any longer.
#pragma once

#include <algorithm>
#include <cstdint>

#include "hfreduce/shm/group.hpp"
#include "hfreduce/shm/plan.hpp"
#include "libcommon/base/result.hpp"

namespace ff::hfreduce::shm {

// Before the entry is published: fresh counters for this call (see layout.hpp for why nobody uses them).
void reset_claims(const Group& group, const Call& call) noexcept;
// Adds `finished` chunks to the call's total and waits until it is complete.
Result<> await_chunks(const Group& group, const Call& call, std::uint32_t finished, std::uint32_t total);

// Whether the others' buffers are still this call's to read and write. A rank that was stopped in a call and goes on
// later must not write into memory whose owners have long returned with an error; at most the chunk at hand is written
// then.
Result<> may_touch(const Group& group, const Call& call);

// process(chunk) -> Result<>, called for every chunk by some rank.
template <class Process>
Result<> run_claimed(const Group& group, const Call& call, const Plan& plan, Process&& process) {
  const auto& chunks = plan.chunks();
  const auto n = static_cast<std::uint64_t>(group.size);
  const auto share_begin = [&](int of) {
    return static_cast<std::uint32_t>(chunks.size() * static_cast<std::uint64_t>(of) / n);
  };
  std::atomic<std::uint32_t>& busy = group.mine().claims[call.parity()].busy;
  busy.store(1, std::memory_order_relaxed);
  std::uint32_t finished = 0;
  for (int step = 0; step < group.size; ++step) {
    const int owner = (group.rank + step) % group.size;
    const std::uint32_t begin = share_begin(owner), length = share_begin(owner + 1) - begin;
    std::atomic<std::uint32_t>& next = group.control(owner).claims[call.parity()].next;
    while (next.load(std::memory_order_relaxed) < length) {
      const std::uint32_t index = next.fetch_add(1, std::memory_order_relaxed);
      if (index >= length) break;
      FF_TRY(may_touch(group, call));
      FF_TRY(process(chunks[begin + index]));
      ++finished;
    }
  }
  busy.store(0, std::memory_order_relaxed);
  return await_chunks(group, call, finished, static_cast<std::uint32_t>(chunks.size()));
}

}  // namespace ff::hfreduce::shm
