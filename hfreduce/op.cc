#include "hfreduce/op.hpp"

#include <fmt/core.h>

#include "libcommon/base/assert.hpp"

namespace ff::hfreduce {
namespace {

std::uint64_t bytes_of(const OpDesc& op, std::uint64_t count) { return count * dtype_size(op.dtype); }

void add(std::vector<Segment>& out, const Segment& segment) {
  if (segment.bytes > 0) out.push_back(segment);
}

}  // namespace

std::vector<Segment> segments_of(const OpDesc& op, int group_size) {
  std::vector<Segment> out;
  const std::uint64_t n = bytes_of(op, op.count);
  constexpr int kAll = Segment::kAll;
  const auto at = [n](int rank) { return n * static_cast<std::uint64_t>(rank); };
  switch (op.kind) {
    case Collective::kAllReduce: add(out, {kAll, kAll, 0, 0, n}); break;
    case Collective::kReduce: add(out, {kAll, op.root, 0, 0, n}); break;
    case Collective::kBroadcast: add(out, {op.root, kAll, 0, 0, n}); break;
    case Collective::kReduceScatter:
      for (int r = 0; r < group_size; ++r) add(out, {kAll, r, at(r), 0, n});
      break;
    case Collective::kAllGather:
      for (int r = 0; r < group_size; ++r) add(out, {r, kAll, 0, at(r), n});
      break;
    case Collective::kAllToAll:
      // By distance, so that at any moment every rank sends to and receives from another one.
      for (int d = 0; d < group_size; ++d)
        for (int s = 0; s < group_size; ++s) add(out, {s, (s + d) % group_size, at((s + d) % group_size), at(s), n});
      break;
    case Collective::kGather:
      for (int r = 0; r < group_size; ++r) add(out, {r, op.root, 0, at(r), n});
      break;
    case Collective::kScatter:
      for (int r = 0; r < group_size; ++r) add(out, {op.root, r, at(r), 0, n});
      break;
    case Collective::kReduceScatterV: {
      std::uint64_t offset = 0;
      for (int r = 0; r < group_size; ++r) {
        const std::uint64_t part = bytes_of(op, op.recv_counts[static_cast<std::size_t>(r)]);
        add(out, {kAll, r, offset, 0, part});
        offset += part;
      }
      break;
    }
    case Collective::kAllGatherV:
      for (int r = 0; r < group_size; ++r) {
        const auto i = static_cast<std::size_t>(r);
        add(out, {r, kAll, 0, bytes_of(op, op.recv_displs[i]), bytes_of(op, op.recv_counts[i])});
      }
      break;
    case Collective::kBarrier: break;
    case Collective::kAllToAllV:
    case Collective::kSendRecv: FF_ASSERT(false, collective_name(op.kind));
  }
  return out;
}

Result<std::vector<Segment>> all_to_all_v_segments(DType dtype, int group_size,
                                                   std::span<const std::uint64_t> send_counts,
                                                   std::span<const std::uint64_t> send_displs,
                                                   std::span<const std::uint64_t> recv_counts,
                                                   std::span<const std::uint64_t> recv_displs) {
  std::vector<Segment> out;
  const auto n = static_cast<std::size_t>(group_size);
  const std::uint64_t width = dtype_size(dtype);
  for (std::size_t d = 0; d < n; ++d)
    for (std::size_t s = 0; s < n; ++s) {
      const std::size_t t = (s + d) % n;
      const std::uint64_t sent = send_counts[s * n + t], wanted = recv_counts[t * n + s];
      if (sent != wanted)
        return fail(
            Errc::kInvalidArgument,
            fmt::format("all_to_all_v: rank {} sends {} elements to rank {}, which expects {}", s, sent, t, wanted));
      add(out, {static_cast<int>(s), static_cast<int>(t), send_displs[s * n + t] * width,
                recv_displs[t * n + s] * width, sent * width});
    }
  return out;
}

std::uint32_t op_signature(const OpDesc& op) noexcept {
  std::uint64_t h = 0x9e3779b97f4a7c15ULL;
  const auto mix = [&h](std::uint64_t v) {
    h ^= v + 0x9e3779b97f4a7c15ULL + (h << 6) + (h >> 2);
    h *= 0xff51afd7ed558ccdULL;
    h ^= h >> 33;
  };
  mix(static_cast<std::uint64_t>(op.kind));
  mix(static_cast<std::uint64_t>(op.dtype));
  mix(static_cast<std::uint64_t>(op.op));
  mix(static_cast<std::uint64_t>(op.root + 1));
  mix(op.count);
  mix(op.fused);
  if (op.kind == Collective::kReduceScatterV || op.kind == Collective::kAllGatherV)
    for (const std::uint64_t c : op.recv_counts) mix(c);
  if (op.kind == Collective::kAllGatherV)
    for (const std::uint64_t d : op.recv_displs) mix(d);
  const auto folded = static_cast<std::uint32_t>(h ^ (h >> 32));
  return folded == 0 ? 1 : folded;
}

std::string_view phase_name(Phase phase) noexcept {
  switch (phase) {
    case Phase::kIdle: return "idle";
    case Phase::kEntered: return "entered";
    case Phase::kWaitPeers: return "waiting for peers";
    case Phase::kIntraReduce: return "reduce inside the host";
    case Phase::kNetwork: return "network";
    case Phase::kIntraCopy: return "copy inside the host";
    case Phase::kDone: return "done";
  }
  return "unknown";
}

}  // namespace ff::hfreduce
