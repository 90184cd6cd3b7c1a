// Tiny messages: everybody shows everybody its input, and each rank combines for itself what it wants. One cache line
// one way is all the waiting there is; no rank waits for another to have read, see layout.hpp for why.

#include <cstring>

#include "hfreduce/cpu/reduce.hpp"
#include "hfreduce/shm/paths.hpp"

namespace ff::hfreduce::shm {

void flat_deposit(Group& group, const Call& call, const Plan& plan) {
  const std::uint64_t bytes = plan.send_extent();
  if (bytes == 0) return;
  std::byte* slot = plan.slot_bytes() <= kInlineBytesMax ? group.mine().entry[call.parity()].data
                                                         : group.flat_slot(group.rank, call.parity());
  std::memcpy(slot, call.op.send, bytes);
}

void flat_collect(Group& group, const Call& call, const Plan& plan) {
  const bool in_line = plan.slot_bytes() <= kInlineBytesMax;
  const auto slot = [&](int of) -> const std::byte* {
    return in_line ? group.control(of).entry[call.parity()].data : group.flat_slot(of, call.parity());
  };
  auto* recv = static_cast<std::byte*>(call.op.recv);
  const std::size_t width = dtype_size(call.op.dtype);
  for (const Segment& s : plan.segments()) {
    if (s.destination != Segment::kAll && s.destination != group.rank) continue;
    std::byte* out = recv + s.recv_offset;
    if (s.source != Segment::kAll) {
      std::memcpy(out, slot(s.source) + s.send_offset, s.bytes);
      continue;
    }
    for (int r = 0; r < group.size; ++r) group.inputs[static_cast<std::size_t>(r)] = slot(r) + s.send_offset;
    void* outputs[] = {out};
    cpu::reduce({call.op.dtype, call.op.op, s.bytes / width, call.divisor, false}, group.inputs, outputs);
  }
}

void run_alone(const Call& call, const Plan& plan) {
  const auto* send = static_cast<const std::byte*>(call.op.send);
  auto* recv = static_cast<std::byte*>(call.op.recv);
  for (const Segment& s : plan.segments()) {
    const void* inputs[] = {send + s.send_offset};
    void* outputs[] = {recv + s.recv_offset};
    if (s.source == Segment::kAll)
      cpu::reduce({call.op.dtype, call.op.op, s.bytes / dtype_size(call.op.dtype), call.divisor, call.non_temporal},
                  inputs, outputs);
    else if (inputs[0] != outputs[0])
      cpu::copy(inputs[0], outputs, s.bytes, call.non_temporal);
  }
}

}  // namespace ff::hfreduce::shm
