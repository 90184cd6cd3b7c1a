// How far a client's updates of one chunk may run ahead of each other. All attempts of an update are told apart from
// others by the few that a chunk remembers (kRememberedUpdates), so an update whose answer was lost must not have had
// more than those beside it. The head works on one at a time anyway: the next one waiting there is all that speed
// needs.
//
//   auto turns = window.enter(chunks);      // before anything else of the call: the order of entry is the order of
//   turns co_await turns.begin(i);                // sends chunk i's update after this
//   ...                                     // ~Turns, or end(i): it is done
//
// Deadlock     None: a call waits only for calls that entered before it, and those end by their own deadlines.
// Threads      Those of one Env's reactor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "ffs/format/types.hpp"
#include "libcommon/runtime/sync.hpp"

namespace ff::ffs {

class UpdateWindow {
 public:
  // An update begins when all of its chunk's but the one before it have ended.
  static constexpr std::uint64_t kAhead = 1;

  class Turns;
  // `chunks` in the order of the updates; a chunk may be there several times. The window outlives what it gives.
  Turns enter(const std::vector<ChunkId>& chunks);
  // Chunks with updates under way.
  std::size_t chunks() const noexcept { return lanes_.size(); }

 private:
  struct Lane {
    std::uint64_t next = 0;
    std::set<std::uint64_t> open;
    runtime::WaitQueue changed;
  };
  void leave(ChunkId chunk, std::uint64_t number);

  std::map<ChunkId, Lane> lanes_;
};

class UpdateWindow::Turns {
 public:
  Turns(Turns&& other) noexcept : window_(other.window_), places_(std::exchange(other.places_, {})) {}
  Turns& operator=(Turns&&) = delete;
  ~Turns();

  bool may_begin(std::size_t i) const;
  // Waits until it may. kCancelled: of the caller's context.
  runtime::Task<Result<>> begin(std::size_t i);
  void end(std::size_t i);

 private:
  friend class UpdateWindow;
  struct Place {
    ChunkId chunk;
    std::uint64_t number = 0;
    bool ended = false;
  };
  explicit Turns(UpdateWindow& window) : window_(window) {}

  UpdateWindow& window_;
  std::vector<Place> places_;
};

}  // namespace ff::ffs
