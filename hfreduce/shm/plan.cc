#include "hfreduce/shm/plan.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace ff::hfreduce::shm {
namespace {

bool has_tables(Collective kind) {
  return kind == Collective::kReduceScatterV || kind == Collective::kAllGatherV || kind == Collective::kAllToAllV;
}

std::uint64_t table_extent(std::span<const std::uint64_t> counts, std::span<const std::uint64_t> displs, DType dtype) {
  std::uint64_t extent = 0;
  for (std::size_t i = 0; i < counts.size(); ++i)
    if (counts[i] > 0) extent = std::max(extent, displs[i] + counts[i]);
  return extent * dtype_size(dtype);
}

int home_of(const Segment& segment) { return segment.destination >= 0 ? segment.destination : segment.source; }

}  // namespace

void Plan::prepare(const OpDesc& op, int rank, int size) {
  const Key key{op.kind, op.dtype, op.root, rank, size, op.count};
  if (key == key_ && !has_tables(op.kind)) return;
  key_ = key;
  cut_order_ = ChunkOrder::kNone;
  if (op.kind == Collective::kAllToAllV) {
    segments_.clear();
    total_bytes_ = slot_bytes_ = 0;
    send_extent_ = table_extent(op.send_counts, op.send_displs, op.dtype);
    recv_extent_ = table_extent(op.recv_counts, op.recv_displs, op.dtype);
    return;
  }
  segments_ = segments_of(op, size);
  measure(rank);
}

void Plan::set_segments(std::vector<Segment> segments) {
  segments_ = std::move(segments);
  total_bytes_ = 0;
  for (const Segment& s : segments_) total_bytes_ += s.bytes;
  cut_order_ = ChunkOrder::kNone;
}

void Plan::measure(int rank) {
  total_bytes_ = slot_bytes_ = send_extent_ = recv_extent_ = 0;
  for (const Segment& s : segments_) {
    total_bytes_ += s.bytes;
    slot_bytes_ = std::max(slot_bytes_, s.send_offset + s.bytes);
    if (s.source == Segment::kAll || s.source == rank) send_extent_ = std::max(send_extent_, s.send_offset + s.bytes);
    if (s.destination == Segment::kAll || s.destination == rank)
      recv_extent_ = std::max(recv_extent_, s.recv_offset + s.bytes);
  }
}

void Plan::cut(std::uint64_t chunk_bytes, ChunkOrder order) {
  const std::uint64_t unit = std::max<std::uint64_t>((chunk_bytes + 63) / 64 * 64, 64);
  if (cut_order_ == order && cut_bytes_ == unit) return;
  cut_order_ = order;
  cut_bytes_ = unit;
  chunks_.clear();
  const auto piece = [this, unit](const Segment& s, std::uint64_t at) {
    chunks_.push_back({s.source, s.destination, s.send_offset + at, s.recv_offset + at, std::min(unit, s.bytes - at)});
  };
  std::vector<std::size_t> live(segments_.size());
  std::iota(live.begin(), live.end(), std::size_t{0});
  if (order == ChunkOrder::kByHome) {
    std::sort(live.begin(), live.end(), [this](std::size_t a, std::size_t b) {
      return std::pair(home_of(segments_[a]), a) < std::pair(home_of(segments_[b]), b);
    });
    for (const std::size_t i : live)
      for (std::uint64_t at = 0; at < segments_[i].bytes; at += unit) piece(segments_[i], at);
    return;
  }
  for (std::uint64_t at = 0; !live.empty(); at += unit) {
    for (const std::size_t i : live) piece(segments_[i], at);
    std::erase_if(live, [&](std::size_t i) { return segments_[i].bytes <= at + unit; });
  }
}

}  // namespace ff::hfreduce::shm
