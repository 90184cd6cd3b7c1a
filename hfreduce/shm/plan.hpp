// Plan: what a call means for one rank, in terms that every data path shares: segments, the extent of buffers, chunks.
//
// Pure     Equal calls give equal segments and chunks on every rank; only the extents are a rank's own.
// Cost     Nothing is allocated when a call has the shape of the one before, as in a training step or a benchmark.
#pragma once

#include <cstdint>
#include <vector>

#include "hfreduce/op.hpp"

namespace ff::hfreduce::shm {

// One piece of a segment, the unit of work and of pipelining.
struct Chunk {
  std::int32_t source = Segment::kAll;
  std::int32_t destination = Segment::kAll;
  std::uint64_t send_offset = 0;
  std::uint64_t recv_offset = 0;
  std::uint64_t bytes = 0;

  bool from(int rank) const noexcept { return source == Segment::kAll || source == rank; }
  bool to(int rank) const noexcept { return destination == Segment::kAll || destination == rank; }
};

enum class ChunkOrder : std::uint8_t {
  kNone,
  kByHome,       // by the rank that has least to fetch, so that equal shares of the list are work at home
  kInterleaved,  // one piece of each segment in turn, so that at any moment all ranks have something to do
};

class Plan {
 public:
  // From the call's own arguments. For all_to_all_v only the extents are known; see set_segments.
  void prepare(const OpDesc& op, int rank, int size);
  void set_segments(std::vector<Segment> segments);
  // Cuts pieces of at most `chunk_bytes` (rounded up to 64).
  void cut(std::uint64_t chunk_bytes, ChunkOrder order);

  const std::vector<Segment>& segments() const noexcept { return segments_; }
  const std::vector<Chunk>& chunks() const noexcept { return chunks_; }
  std::uint64_t total_bytes() const noexcept { return total_bytes_; }
  std::uint64_t slot_bytes() const noexcept { return slot_bytes_; }    // the longest send buffer of any rank
  std::uint64_t send_extent() const noexcept { return send_extent_; }  // bytes of this rank's buffers that are used
  std::uint64_t recv_extent() const noexcept { return recv_extent_; }

 private:
  struct Key {
    Collective kind = Collective::kSendRecv;
    DType dtype{};
    int root = -1, rank = 0, size = 0;
    std::uint64_t count = 0;
    friend bool operator==(const Key&, const Key&) = default;
  };
  void measure(int rank);

  Key key_;
  std::vector<Segment> segments_;
  std::vector<Chunk> chunks_;
  std::uint64_t total_bytes_ = 0, slot_bytes_ = 0, send_extent_ = 0, recv_extent_ = 0;
  std::uint64_t cut_bytes_ = 0;
  ChunkOrder cut_order_ = ChunkOrder::kNone;
};

}  // namespace ff::hfreduce::shm
