// Execution of one call (or one group of calls) on the engines. Runs on the thread that owns the queue.
#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "hfreduce/communicator_impl.hpp"
#include "hfreduce/cpu/reduce.hpp"

namespace ff::hfreduce {
namespace {

// Fusing pays while the latency of a call outweighs the two extra copies.
constexpr std::uint64_t kFuseCallBytesMax = 16 << 10;

std::byte* at(void* base, std::uint64_t offset) { return static_cast<std::byte*>(base) + offset; }
const std::byte* at(const void* base, std::uint64_t offset) { return static_cast<const std::byte*>(base) + offset; }

// One rank's messages: all go to itself, in pairs of equal size (checked when they were submitted).
Result<> pass_to_self(std::span<const P2pOp> ops) {
  std::vector<const P2pOp*> sends, receives;
  for (const P2pOp& op : ops) (op.is_send ? sends : receives).push_back(&op);
  for (std::size_t i = 0; i < sends.size(); ++i)
    if (sends[i]->bytes > 0) std::memmove(receives[i]->recv, sends[i]->send, sends[i]->bytes);
  return {};
}

}  // namespace

Result<> CommunicatorImpl::execute(OpDesc op, std::chrono::nanoseconds timeout) {
  if (auto broken = verdict()) return fail(std::move(*broken));
  const auto now = Deadline::Clock::now();
  op.deadline = Deadline::after(timeout);
  op.seq = ++seq_;
  if (op.divisor == 0) op.divisor = static_cast<std::uint64_t>(size_);
  // On the root of a broadcast there is nothing to receive where the data is already.
  if (op.kind == Collective::kBroadcast && op.root == rank_ && op.recv == nullptr) op.recv = const_cast<void*>(op.send);
  recorder_.begin(op, std::chrono::duration_cast<std::chrono::nanoseconds>(now.time_since_epoch()).count());
  const TraceSpan span(trace(), collective_name(op.kind).data(), Lane::kCall,
                       static_cast<std::int64_t>(op.count * dtype_size(op.dtype)), static_cast<std::int64_t>(op.seq));
  Result<> result = run_stage(collective_name(op.kind), [&] { return dispatch(op); });
  recorder_.end(result.has_value(), Trace::now_ns());
  if (!result) note_failure();
  return result;
}

Error CommunicatorImpl::caught(const std::exception& e) noexcept {
  try {
    return Error(Errc::kInternal, e.what());
  } catch (const std::exception&) {
    return Error(Errc::kExhausted, "out of memory");
  }
}

Error CommunicatorImpl::tell_others(std::string_view what, Error error) noexcept {
  if (!member_) return error;
  try {
    if (member_->failed()) return member_->verdict();
    return member_->report(
        {Trouble::Kind::kAborted, rank_, fmt::format("{} failed on this rank: {}", what, error.message())});
  } catch (const std::exception&) {
    // Not even memory for the message: the others find out by their deadlines.
    return error;
  }
}

Result<> CommunicatorImpl::dispatch(const OpDesc& op) {
  switch (shape_) {
    case Shape::kAlone: return run_alone(op);
    case Shape::kOneHost: return run_shm(op);
    case Shape::kFlat: return run_net(op);
    case Shape::kHierarchical: return hierarchical(op);
  }
  return fail(Errc::kInternal, "communicator of unknown shape");
}

Result<> CommunicatorImpl::run_alone(const OpDesc& op) {
  std::vector<Segment> segments;
  if (op.kind == Collective::kAllToAllV) {
    FF_TRY_ASSIGN(segments,
                  all_to_all_v_segments(op.dtype, 1, op.send_counts, op.send_displs, op.recv_counts, op.recv_displs));
  } else {
    segments = segments_of(op, 1);
  }
  for (const Segment& s : segments) {
    const void* in = at(op.send, s.send_offset);
    void* out = at(op.recv, s.recv_offset);
    if (in == out && op.op != ReduceOp::kAvg) continue;
    const bool combines = s.source == Segment::kAll;
    cpu::reduce({.dtype = op.dtype,
                 .op = combines ? op.op : ReduceOp::kSum,
                 .count = s.bytes / dtype_size(op.dtype),
                 .divisor = op.divisor},
                std::span(&in, 1), std::span(&out, 1));
  }
  return {};
}

Result<> CommunicatorImpl::run_shm(OpDesc op) {
  op.seq = ++shm_seq_;
  op.signature = op_signature(op);
  return shm_->run(op, recorder_.progress());
}

Result<> CommunicatorImpl::run_net(OpDesc op) {
  op.seq = ++net_seq_;
  op.signature = op_signature(op);
  recorder_.progress().phase.store(Phase::kNetwork, std::memory_order_relaxed);
  return net_->run(op, recorder_.progress(), {});
}

Result<> CommunicatorImpl::run_leaders(OpDesc op, const Gate& gate, Progress& progress) {
  op.seq = ++leaders_seq_;
  op.signature = op_signature(op);
  return leaders_->run(op, progress, gate);
}

Result<> CommunicatorImpl::execute_batch(std::vector<Call>& calls) {
  return run_stage("group", [&] { return run_batch(calls); });
}

Result<> CommunicatorImpl::run_batch(std::vector<Call>& calls) {
  // Point-to-point first and all together: that order is the same on every rank whatever each has in its group.
  std::vector<P2pOp> p2p;
  std::chrono::nanoseconds p2p_timeout{0};
  for (const Call& call : calls)
    if (call.is_p2p) {
      p2p.push_back(call.p2p);
      p2p_timeout = std::max(p2p_timeout, call.timeout);
    }
  if (!p2p.empty()) FF_TRY(execute_p2p(p2p, p2p_timeout));
  std::erase_if(calls, [](const Call& call) { return call.is_p2p; });

  for (std::size_t i = 0; i < calls.size();) {
    std::size_t end = i;
    std::uint64_t bytes = 0;
    for (; end < calls.size(); ++end) {
      const OpDesc& op = calls[end].op;
      const std::uint64_t size = op.count * dtype_size(op.dtype);
      if (op.kind != Collective::kAllReduce || op.dtype != calls[i].op.dtype || op.op != calls[i].op.op ||
          size > kFuseCallBytesMax || bytes + size > kFuseBytesMax)
        break;
      bytes += size;
    }
    if (end - i >= 2) {
      FF_TRY(execute_fused(std::span(calls).subspan(i, end - i)));
      i = end;
    } else {
      FF_TRY(execute(calls[i].op, calls[i].timeout));
      ++i;
    }
  }
  return {};
}

Result<> CommunicatorImpl::execute_fused(std::span<Call> calls) {
  FF_TRY_ASSIGN(std::byte* const packed, scratch(Scratch::kPacking));
  OpDesc fused = calls.front().op;
  std::chrono::nanoseconds timeout{0};
  const std::uint64_t width = dtype_size(fused.dtype);
  std::uint64_t offset = 0;
  fused.fused = calls.size();
  for (const Call& call : calls) {
    timeout = std::max(timeout, call.timeout);
    // Ranks whose calls differ may still agree in the sum of their counts.
    fused.fused = (fused.fused ^ call.op.count) * 0x9e3779b97f4a7c15ULL;
    fused.fused ^= fused.fused >> 32;
    if (call.op.count == 0) continue;
    std::memcpy(packed + offset, call.op.send, call.op.count * width);
    offset += call.op.count * width;
  }
  fused.send = packed;
  fused.recv = packed;
  fused.count = offset / width;
  FF_TRY(execute(fused, timeout));
  offset = 0;
  for (const Call& call : calls) {
    if (call.op.count == 0) continue;
    std::memcpy(call.op.recv, packed + offset, call.op.count * width);
    offset += call.op.count * width;
  }
  return {};
}

Result<> CommunicatorImpl::execute_p2p(std::span<const P2pOp> ops, std::chrono::nanoseconds timeout) {
  if (auto broken = verdict()) return fail(std::move(*broken));
  OpDesc shown;
  shown.kind = Collective::kSendRecv;
  shown.dtype = DType::kUint8;
  shown.seq = seq_;
  for (const P2pOp& op : ops) shown.count += op.bytes;
  recorder_.begin(shown, Trace::now_ns());
  const TraceSpan span(trace(), "sendrecv", Lane::kCall, static_cast<std::int64_t>(shown.count));
  const Deadline deadline = Deadline::after(timeout);
  Result<> result = run_stage("sendrecv", [&]() -> Result<> {
    switch (shape_) {
      case Shape::kAlone: return pass_to_self(ops);
      case Shape::kOneHost: return shm_->run_p2p(ops, shm_seq_, deadline, recorder_.progress());
      case Shape::kFlat:
      case Shape::kHierarchical: return net_->run_p2p(ops, net_seq_, deadline, recorder_.progress());
    }
    return fail(Errc::kInternal, "communicator of unknown shape");
  });
  recorder_.end(result.has_value(), Trace::now_ns());
  if (!result) note_failure();
  return result;
}

Result<std::byte*> CommunicatorImpl::scratch(Scratch which) {
  std::byte*& area = scratch_[static_cast<std::size_t>(which)];
  if (area == nullptr) {
    FF_TRY_ASSIGN(void* const memory, alloc(which == Scratch::kPacking ? kFuseBytesMax : kWidenedBytesMax));
    area = static_cast<std::byte*>(memory);
  }
  return area;
}

}  // namespace ff::hfreduce
