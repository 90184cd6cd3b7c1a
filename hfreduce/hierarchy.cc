// Several hosts with several ranks each: reduce inside the host, one tree node a host between them, copy back inside.
//
// The three stages overlap: the message is cut into pieces; while the network carries piece i (on a thread of the
// leader, the host's lowest rank), the host's ranks already combine piece i+1 and copy the finished piece i-1. The
// leader's recv buffer is where the host's sum is made and where the network works in place, so no byte is copied for
// the hand-over. Source: Fire-Flyer paper, HFReduce Algorithms 1 and 2.
#include <algorithm>
#include <thread>

#include "hfreduce/communicator_impl.hpp"
#include "hfreduce/cpu/reduce.hpp"
#include "hfreduce/net/choose.hpp"

namespace ff::hfreduce {
namespace {

constexpr std::uint64_t kPieceBytesMin = 256 << 10;
constexpr std::uint64_t kPieceBytesMax = 4 << 20;
// Pieces that may be reduced inside the host before the first of them has come back from the network, at least.
constexpr std::uint64_t kPiecesAheadMin = 3;

std::uint64_t piece_elements(std::uint64_t count, std::uint64_t width) {
  const std::uint64_t bytes = std::clamp(count * width / 8, kPieceBytesMin, kPieceBytesMax);
  // Whole cache lines, so that pieces of two stages never share one.
  return std::max<std::uint64_t>(bytes / 64 * 64 / width, 1);
}

OpDesc slice(const OpDesc& op, std::uint64_t first, std::uint64_t count) {
  OpDesc part = op;
  const std::uint64_t offset = first * dtype_size(op.dtype);
  part.send = static_cast<const std::byte*>(op.send) + offset;
  part.recv = static_cast<std::byte*>(op.recv) + offset;
  part.count = count;
  return part;
}

}  // namespace

Result<> CommunicatorImpl::hierarchical(const OpDesc& op) {
  switch (op.kind) {
    case Collective::kAllReduce: return hierarchical_all_reduce(op);
    case Collective::kBroadcast: return hierarchical_broadcast(op);
    case Collective::kBarrier: return hierarchical_barrier(op);
    default: return run_net(op);
  }
}

Result<> CommunicatorImpl::hierarchical_all_reduce(const OpDesc& op) {
  // Bits independent of placement: only if the hierarchy's order is the pairwise order over all ranks.
  if (config_.deterministic && !groups_.aligned()) return run_net(op);
  const bool is_fp8 = op.dtype == DType::kFloat8E4M3 || op.dtype == DType::kFloat8E5M2;
  // fp8 has no range for partial sums; deterministic low types are rounded once, not once a level.
  if (is_fp8 || (config_.deterministic && is_low_type(op.dtype))) return widened_all_reduce(op);
  // The hosts' sums are averaged by the network's last step, over all ranks.
  return overlapped_all_reduce(op, op.op == ReduceOp::kAvg ? ReduceOp::kSum : op.op);
}

// How many pieces a host reduces before it waits for the first of them. All ranks of a host must do the same, and the
// leaders of all hosts too: one that waits with less input than another has sent blocks the other's frames. So the
// number follows from what the leaders' engine chooses for a gated call, which every rank can compute.
// rd and flat begin only when the whole input is there. The others finish chunk by chunk, in order, so the end of a
// piece is final once the input of the chunk that it lies in is there: a chunk further at most.
std::uint64_t CommunicatorImpl::pieces_ahead(const OpDesc& op, std::uint64_t piece_bytes,
                                             std::uint64_t pieces) const noexcept {
  const std::uint64_t bytes = op.count * dtype_size(op.dtype);
  const NetAlgorithm algorithm = net::choose_algorithm(leaders_options_, Collective::kAllReduce, bytes);
  if (algorithm == NetAlgorithm::kRecursiveDoubling || algorithm == NetAlgorithm::kFlat) return pieces;
  const std::uint64_t chunk = net::choose_chunk(leaders_options_, algorithm, Collective::kAllReduce, bytes);
  return std::min(pieces, std::max(kPiecesAheadMin, (chunk + piece_bytes - 1) / piece_bytes + 1));
}

Result<> CommunicatorImpl::overlapped_all_reduce(const OpDesc& op, ReduceOp local_op) {
  const std::uint64_t width = dtype_size(op.dtype);
  const std::uint64_t piece = piece_elements(op.count, width);
  const std::uint64_t pieces = (op.count + piece - 1) / piece;
  const std::uint64_t ahead = pieces_ahead(op, piece * width, pieces);
  const bool leader = leaders_ != nullptr;

  // The carrier's and this thread's stages run at the same time; what is shown of the call is this thread's, and the
  // network's while this thread waits for it.
  Progress& shown = recorder_.progress();
  Progress carried;
  std::atomic<std::uint64_t> input_ready{0}, output_done{0};
  Result<> network;
  std::thread carrier;
  OpDesc between = op;
  between.send = op.recv;
  const auto carry = [&] {
    network = run_stage("all_reduce between hosts", [&] {
      return run_leaders(between, {&input_ready, &output_done}, pieces > 1 ? carried : shown);
    });
    // Whatever happened, nobody waits for more.
    output_done.store(~0ULL, std::memory_order_release);
  };

  const auto reduce_piece = [&](std::uint64_t p) -> Result<> {
    const std::uint64_t first = p * piece, count = std::min(piece, op.count - first);
    OpDesc reduce = slice(op, first, count);
    reduce.kind = Collective::kReduce;
    reduce.op = local_op;
    reduce.root = 0;
    FF_TRY(run_inside(reduce));
    input_ready.store((first + count) * width, std::memory_order_release);
    return {};
  };
  const auto copy_piece = [&](std::uint64_t p) -> Result<> {
    const std::uint64_t first = p * piece, count = std::min(piece, op.count - first);
    if (leader) {
      const TraceSpan waiting(trace(), "wait for network", Lane::kCopy, static_cast<std::int64_t>(count * width),
                              static_cast<std::int64_t>(p));
      while (output_done.load(std::memory_order_acquire) < (first + count) * width) {
        shown.phase.store(Phase::kNetwork, std::memory_order_relaxed);
        shown.waiting_for.store(carried.waiting_for.load(std::memory_order_relaxed), std::memory_order_relaxed);
        std::this_thread::yield();
      }
      shown.waiting_for.store(-1, std::memory_order_relaxed);
      if (failed()) return fail(member_->verdict());
    }
    OpDesc copy = slice(op, first, count);
    copy.kind = Collective::kBroadcast;
    copy.root = 0;
    copy.send = copy.recv;
    return run_inside(copy);
  };

  const auto inside = [&]() -> Result<> {
    if (leader && pieces > 1) carrier = std::thread(carry);
    for (std::uint64_t p = 0; p < pieces; ++p) {
      FF_TRY(reduce_piece(p));
      if (leader && pieces == 1) carry();
      if (p >= ahead) FF_TRY(copy_piece(p - ahead));
    }
    for (std::uint64_t p = pieces - std::min(pieces, ahead); p < pieces; ++p) FF_TRY(copy_piece(p));
    return {};
  };
  const Result<> local = run_stage("all_reduce inside the host", inside);
  // A broken local stage leaves the network waiting for input; it looks at the verdict, which there is by now, and
  // ends by itself.
  if (carrier.joinable()) carrier.join();
  if (!local) return local;
  if (leader && !network) return network;
  return failed() ? Result<>(fail(member_->verdict())) : Result<>();
}

Result<> CommunicatorImpl::widened_all_reduce(const OpDesc& op) {
  const std::uint64_t at_once = std::min(std::max<std::uint64_t>(op.count, 1), kWidenedBytesMax / sizeof(float));
  FF_TRY_ASSIGN(std::byte* const memory, scratch(Scratch::kWidening));
  auto* wide = reinterpret_cast<float*>(memory);
  for (std::uint64_t first = 0; first < op.count; first += at_once) {
    const OpDesc part = slice(op, first, std::min(at_once, op.count - first));
    cpu::widen(op.dtype, part.send, wide, part.count);
    OpDesc in_fp32 = part;
    in_fp32.dtype = DType::kFloat32;
    in_fp32.send = wide;
    in_fp32.recv = wide;
    FF_TRY(overlapped_all_reduce(in_fp32, op.op == ReduceOp::kAvg ? ReduceOp::kSum : op.op));
    cpu::narrow(op.dtype, wide, part.recv, part.count);
  }
  return {};
}

Result<> CommunicatorImpl::hierarchical_broadcast(const OpDesc& op) {
  const auto root = static_cast<std::size_t>(op.root);
  const int root_host = groups_.host_of[root];
  const bool on_root_host = groups_.host_of[static_cast<std::size_t>(rank_)] == root_host;
  // First inside the root's host, so that its leader has the data; then between leaders; then inside the other hosts.
  if (on_root_host) {
    OpDesc inside = op;
    inside.root = groups_.local_rank_of[root];
    FF_TRY(run_inside(inside));
  }
  if (leaders_) {
    OpDesc between = op;
    between.root = root_host;
    between.send = op.recv;
    FF_TRY(run_leaders(between, {}, recorder_.progress()));
  }
  if (on_root_host) return {};
  OpDesc inside = op;
  inside.root = 0;
  inside.send = op.recv;
  return run_inside(inside);
}

Result<> CommunicatorImpl::hierarchical_barrier(const OpDesc& op) {
  FF_TRY(run_inside(op));
  if (leaders_) FF_TRY(run_leaders(op, {}, recorder_.progress()));
  return run_inside(op);
}

Result<> CommunicatorImpl::run_inside(const OpDesc& op) { return shm_ ? run_shm(op) : run_alone(op); }

}  // namespace ff::hfreduce
