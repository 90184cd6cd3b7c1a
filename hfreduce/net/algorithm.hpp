// What the algorithms have in common: the job of one channel, the interface to the loop that drives the links, and
// the bookkeeping of streams.
//
// Life     plan() (which links), then the channel makes them, start() (queue and expect what is known), then the
//          channel alternates pump() with reading and writing until done() and nothing is left to send. Objects are
//          reused from call to call, so that their memory is allocated once.
// Threads  One at a time, the channel's.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "hfreduce/net/link.hpp"
#include "hfreduce/net/net_engine.hpp"
#include "hfreduce/op.hpp"
#include "libcommon/base/aligned_buffer.hpp"

namespace ff::hfreduce::net {

// One channel's part of a call. `send`, `recv` and `count` are the part itself for the collectives that have one
// message (all_reduce, reduce, broadcast); `segments` are offsets into the call's whole buffers and are what Direct
// goes by.
struct Job {
  Collective kind = Collective::kBarrier;
  DType dtype = DType::kFloat32;
  ReduceOp op = ReduceOp::kSum;
  int root = 0;
  std::uint64_t divisor = 1;
  const std::byte* send = nullptr;
  std::byte* recv = nullptr;
  std::uint64_t count = 0;
  std::span<const Segment> segments;
  const std::byte* whole_send = nullptr;
  std::byte* whole_recv = nullptr;
  std::uint64_t seq = 0;
  std::uint32_t signature = 0;
  std::uint64_t chunk_bytes = 0;  // a multiple of 64
  int rank = 0, size = 1;
  Gate gate;
  Trace* trace = nullptr;

  std::uint64_t bytes() const noexcept { return count * dtype_size(dtype); }
  bool ready(std::uint64_t bytes_end) const noexcept {
    return gate.input_ready == nullptr || gate.input_ready->load(std::memory_order_acquire) >= bytes_end;
  }
};

struct LinkId {
  int peer = 0;
  int lane = 0;
};

class Algorithm : public FrameSink {
 public:
  // Checks that the frame belongs to the running call, then asks place().
  Landing accept(Link& link, const FrameHeader& header) override {
    if (header.seq != job_.seq || header.signature != job_.signature) return Landing::wrong();
    return place(link, header);
  }
  void sent(Link&, std::uint64_t) override {}

  // Appends the links that this call needs, each once.
  virtual void plan(const Job& job, std::vector<LinkId>& needs) = 0;
  virtual void start(const LinkTable& links) = 0;
  // What can be done without the sockets; true if something was.
  virtual bool pump() = 0;
  // All that is to come has come; what is still queued is the channel's to send.
  virtual bool done() const = 0;
  virtual bool waits_for_input() const { return false; }
  // Why a frame was refused, for the failure's message.
  virtual std::string explain(const FrameHeader& header) const;

 protected:
  virtual Landing place(Link& link, const FrameHeader& header) = 0;

  FrameHeader frame(FrameKind kind, std::uint64_t index, std::uint64_t bytes) const noexcept {
    return {.kind = kind,
            .signature = job_.signature,
            .seq = job_.seq,
            .index = static_cast<std::uint32_t>(index),
            .length = static_cast<std::uint32_t>(bytes)};
  }
  Job job_;
};

// Memory that only grows. Contents do not survive ensure().
class Scratch {
 public:
  std::byte* ensure(std::uint64_t bytes) {
    if (buffer_.size() < bytes) buffer_ = AlignedBuffer(bytes, 4096);
    return buffer_.data();
  }
  std::byte* data() noexcept { return buffer_.data(); }

 private:
  AlignedBuffer buffer_;
};

// Chunks become final in any order; the gate wants to know the contiguous beginning.
class OutputPrefix {
 public:
  void begin(const Gate& gate, std::uint64_t bytes, std::uint64_t chunk_bytes) {
    done_ = gate.output_done;
    bytes_ = bytes;
    chunk_bytes_ = chunk_bytes;
    next_ = 0;
    if (done_ != nullptr) final_.assign((bytes + chunk_bytes - 1) / chunk_bytes, 0);
  }
  void mark(std::uint64_t chunk) {
    if (done_ == nullptr) return;
    final_[chunk] = 1;
    if (chunk != next_) return;
    while (next_ < final_.size() && final_[next_] != 0) ++next_;
    done_->store(std::min(bytes_, next_ * chunk_bytes_), std::memory_order_release);
  }

 private:
  std::atomic<std::uint64_t>* done_ = nullptr;
  std::uint64_t bytes_ = 0, chunk_bytes_ = 1, next_ = 0;
  std::vector<char> final_;
};

// Equal pieces of a message but for the last.
struct Chunks {
  std::uint64_t bytes = 0;
  std::uint64_t chunk_bytes = 1;
  std::uint64_t count() const noexcept { return (bytes + chunk_bytes - 1) / chunk_bytes; }
  std::uint64_t begin(std::uint64_t i) const noexcept { return i * chunk_bytes; }
  std::uint64_t length(std::uint64_t i) const noexcept { return std::min(chunk_bytes, bytes - begin(i)); }
  std::uint64_t end(std::uint64_t i) const noexcept { return begin(i) + length(i); }
};

}  // namespace ff::hfreduce::net
