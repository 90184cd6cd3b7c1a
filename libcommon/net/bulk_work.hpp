// What bulk lanes work on: a push or pull under way, and the segments that it is cut into.
//
// Threads  One Env's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "libcommon/net/network.hpp"
#include "libcommon/net/uses.hpp"
#include "libcommon/runtime/wait_queue.hpp"

namespace ff::net {

class BulkOperation;

// In one place at a time: an operation's `again`, a lane's list of what it sent, or a list that waits for a fence.
struct Segment {
  BulkOperation* operation = nullptr;  // null: given up meanwhile; only its place in the order of the lane counts
  std::uint64_t transfer = 0;          // on the wire; a new one each time it is sent
  std::uint64_t offset = 0;            // in the operation
  std::uint32_t bytes = 0;
  std::uint32_t done = 0;    // of a pull: bytes that have arrived
  std::uint8_t corrupt = 0;  // times that its checksum failed
};

enum class BulkKind : std::uint8_t { kPush, kPull };

// Lives in the frame of push() or pull(), linked in the engine's list while it has segments to give out.
class BulkOperation : public runtime::ListHook<BulkOperation> {
 public:
  BulkOperation(BulkKind k, std::byte* local, RemoteMemory peer, std::uint64_t total) noexcept
      : kind(k), memory(local), remote(peer), bytes(total), unfinished(total) {}

  bool finished() const noexcept { return result.has_value(); }
  void finish(Result<> outcome) {
    if (result) return;
    result.emplace(std::move(outcome));
    changed.wake_all();
  }
  void segment_done(std::uint64_t count) {
    unfinished -= count;
    if (unfinished == 0) finish({});
  }
  // Bytes not given to a lane.
  std::uint64_t waiting() const noexcept {
    std::uint64_t out = bytes - next;
    for (const Segment& segment : again) out += segment.bytes;
    return out;
  }

  const BulkKind kind;
  std::byte* const memory;
  const RemoteMemory remote;
  const std::uint64_t bytes;
  std::uint64_t next = 0;      // first byte that was never given to a lane
  std::vector<Segment> again;  // to be sent once more
  std::uint64_t unfinished;
  unsigned lanes_lost = 0;
  Uses kernel;  // operations of the kernel on `memory`
  std::optional<Result<>> result;
  runtime::WaitQueue changed;
};

}  // namespace ff::net
