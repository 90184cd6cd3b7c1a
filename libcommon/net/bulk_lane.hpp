// BulkLane: one socket that carries segments both ways, and what is under way on it. Its peer handles what it receives
// in order, so acknowledgements come back in the order of sending.
//
// Threads  One Env's.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "libcommon/net/bulk_work.hpp"
#include "libcommon/net/exposure_table.hpp"
#include "libcommon/net/frame.hpp"
#include "libcommon/runtime/scope.hpp"
#include "libcommon/runtime/socket.hpp"

namespace ff::net {

struct BulkLane {
  // A part of exposed memory that the peer pulls.
  struct Answer {
    std::shared_ptr<Region> region;
    FrameHeader header;
    const std::byte* from;
  };
  // What one write takes. Kept between writes, so that a busy lane allocates nothing.
  struct Batch {
    std::vector<Message> frames;
    std::vector<FrameHeaderBytes> headers;
    std::vector<iovec> parts;
    std::vector<Uses*> uses;                       // of memory of ours that the kernel reads
    std::vector<std::shared_ptr<Region>> regions;  // kept alive for `uses`
    std::uint64_t payload_bytes = 0;
    void clear() noexcept;
  };

  BulkLane(std::uint16_t lane_number, std::unique_ptr<runtime::Socket> lane_socket, bool lane_encrypted,
           runtime::Time now)
      : number(lane_number), socket(std::move(lane_socket)), encrypted(lane_encrypted), progress(now) {}

  // Ends its tasks soon; what it carries is sent again elsewhere. The first reason counts.
  void cut(Error why);
  bool has_work() const noexcept { return !pushes.empty() || !pulls.empty() || !answers.empty(); }

  const std::uint16_t number;
  const std::unique_ptr<runtime::Socket> socket;
  const bool encrypted;

  std::deque<Segment> pushes;   // sent or being sent, not acknowledged
  std::deque<Segment> pulls;    // asked for, not arrived
  std::uint64_t under_way = 0;  // bytes of both
  std::deque<Message> frames;   // small frames to send: acknowledgements, requests
  std::deque<Answer> answers;   // to send
  Batch batch;
  runtime::WaitQueue work;  // the writer waits here
  runtime::Time progress;   // last time that something arrived, or a write ended

  const void* reading_into = nullptr;  // the Uses of the memory that the kernel fills now
  runtime::Scope* scope = nullptr;     // of its tasks, while they run
  std::optional<Error> why;            // it was cut
  bool useful = false;                 // a segment went through it
};

}  // namespace ff::net
