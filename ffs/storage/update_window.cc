#include "ffs/storage/update_window.hpp"

namespace ff::ffs {

using runtime::Task;

UpdateWindow::Turns UpdateWindow::enter(const std::vector<ChunkId>& chunks) {
  Turns turns(*this);
  turns.places_.reserve(chunks.size());
  for (const ChunkId chunk : chunks) {
    Lane& lane = lanes_[chunk];
    turns.places_.push_back({.chunk = chunk, .number = lane.next});
    lane.open.insert(lane.next++);
  }
  return turns;
}

void UpdateWindow::leave(ChunkId chunk, std::uint64_t number) {
  const auto lane = lanes_.find(chunk);
  lane->second.open.erase(number);
  if (lane->second.open.empty()) {
    lanes_.erase(lane);  // nobody waits: who waits is open
  } else {
    lane->second.changed.wake_all();
  }
}

bool UpdateWindow::Turns::may_begin(std::size_t i) const {
  return places_[i].number <= *window_.lanes_.at(places_[i].chunk).open.begin() + kAhead;
}

Task<Result<>> UpdateWindow::Turns::begin(std::size_t i) {
  Lane& lane = window_.lanes_.at(places_[i].chunk);  // stays while the place is open
  while (!may_begin(i)) FF_CO_TRY(co_await lane.changed.wait());
  co_return {};
}

void UpdateWindow::Turns::end(std::size_t i) {
  if (std::exchange(places_[i].ended, true)) return;
  window_.leave(places_[i].chunk, places_[i].number);
}

UpdateWindow::Turns::~Turns() {
  for (std::size_t i = 0; i < places_.size(); ++i) end(i);
}

}  // namespace ff::ffs
