// Buffers in windows: every rank can read every input and write every output itself, so a chunk is one pass over
// memory.

#include "hfreduce/cpu/reduce.hpp"
#include "hfreduce/shm/claiming.hpp"
#include "hfreduce/shm/paths.hpp"

namespace ff::hfreduce::shm {
namespace {

void process(Group& group, const Call& call, const Chunk& chunk) {
  group.outputs.clear();
  const std::byte* only = chunk.source == Segment::kAll
                              ? nullptr
                              : group.mapped[static_cast<std::size_t>(chunk.source)].send + chunk.send_offset;
  for (int r = 0; r < group.size; ++r) {
    if (!chunk.to(r)) continue;
    std::byte* out = group.mapped[static_cast<std::size_t>(r)].recv + chunk.recv_offset;
    if (out != only) group.outputs.push_back(out);  // in place, the data are there already
  }
  if (chunk.source != Segment::kAll) {
    if (!group.outputs.empty()) cpu::copy(only, group.outputs, chunk.bytes, call.non_temporal);
    return;
  }
  for (std::size_t r = 0; r < group.inputs.size(); ++r) group.inputs[r] = group.mapped[r].send + chunk.send_offset;
  cpu::reduce({call.op.dtype, call.op.op, chunk.bytes / dtype_size(call.op.dtype), call.divisor, call.non_temporal},
              group.inputs, group.outputs);
}

}  // namespace

Result<> run_window(Group& group, const Call& call, const Plan& plan) {
  call.enter(Phase::kIntraReduce);
  return run_claimed(group, call, plan, [&](const Chunk& chunk) -> Result<> {
    process(group, call, chunk);
    return {};
  });
}

}  // namespace ff::hfreduce::shm
