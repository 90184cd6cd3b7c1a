// Operations, exposures and what happens when a lane comes or goes. Sending is in bulk_send.cc, receiving in
// bulk_receive.cc.
#include "libcommon/net/bulk_engine.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "libcommon/net/ping.hpp"

namespace ff::net {
namespace {

using runtime::Task;

// A cancelled operation lets the kernel finish what it is at for this long; then the lane is cut under it.
constexpr auto kGrace = std::chrono::milliseconds(20);
constexpr unsigned kLanesLostMax = 16;  // by one operation, before it fails

}  // namespace

std::shared_ptr<Region> BulkEngine::expose(std::span<std::byte> memory, Access access) {
  owner_.want_lanes();
  while (true) {
    if (auto region = exposures_.add(host_.region_key(), memory, access)) return region;
  }
}

Task<void> BulkEngine::revoke(std::shared_ptr<Region> region) {
  exposures_.remove(*region);
  for (auto& [number, lane] : lanes_)
    std::erase_if(lane->answers, [&](const BulkLane::Answer& answer) {
      if (answer.region != region) return false;
      refuse(*lane, answer.header, kFlagPulled, Error(Errc::kNotFound, "region: revoked"));
      return true;
    });
  co_await region->uses.drain(host_.env(), kGrace, [&] { cut_users_of(region->uses); });
}

Task<Result<>> BulkEngine::run(BulkKind kind, std::byte* memory, RemoteMemory remote, std::uint64_t bytes) {
  if (closed_) co_return fail(*closed_);
  owner_.want_lanes();
  BulkOperation operation(kind, memory, remote, bytes);
  waiting_bytes_ += bytes;
  link(operation);
  Result<> waited;
  while (waited && !operation.finished()) waited = co_await operation.changed.wait();
  const bool whole = operation.finished() && *operation.result;
  if (!whole) give_up(operation);
  // Memory may not go while the kernel is at it. What was acknowledged is out of the kernel soon by itself.
  co_await operation.kernel.drain(host_.env(), whole ? host_.options().lane_timeout : kGrace,
                                  [&] { cut_users_of(operation.kernel); });
  co_return operation.finished() ? *operation.result : waited;
}

void BulkEngine::link(BulkOperation& operation) {
  if (!operation.linked()) waiting_.push_back(operation);
  wake_lanes();
}

// The operation has ended early: nothing may refer to it any more.
void BulkEngine::give_up(BulkOperation& operation) noexcept {
  waiting_bytes_ -= operation.waiting();
  operation.unlink();
  const auto forget = [&](Segment& segment) {
    if (segment.operation == &operation) segment.operation = nullptr;
  };
  for (auto& [number, lane] : lanes_) {
    std::ranges::for_each(lane->pushes, forget);
    std::ranges::for_each(lane->pulls, forget);
  }
  for (auto& [number, fence] : fences_) std::ranges::for_each(fence.segments, forget);
}

void BulkEngine::cut_users_of(const Uses& uses) {
  for (auto& [number, lane] : lanes_) {
    const bool writing = std::ranges::find(lane->batch.uses, &uses) != lane->batch.uses.end();
    if (writing || lane->reading_into == &uses)
      lane->cut(Error(Errc::kCancelled, "bulk lane: its memory was withdrawn in the middle of a segment"));
  }
}

// Puts a segment back to those that wait for a lane.
void BulkEngine::again(Segment segment) {
  BulkOperation* operation = segment.operation;
  if (operation == nullptr || operation->finished()) return;
  segment.done = 0;
  operation->again.push_back(segment);
  waiting_bytes_ += segment.bytes;
  ++host_.counters().bulk_segments_resent;
  link(*operation);
}

Task<Error> BulkEngine::serve(std::shared_ptr<BulkLane> lane, std::uint64_t drops_before) {
  if (closed_) co_return *closed_;
  if (drops(lane->number) != drops_before)
    co_return Error(Errc::kUnavailable, "bulk lane: the peer has dropped it before it stood");
  if (lanes_.contains(lane->number)) co_return Error(Errc::kAlreadyExists, "bulk lane: opened twice at once");
  ++host_.counters().lanes_opened;
  no_lane_since_.reset();
  lane->progress = host_.env().now();
  lanes_.emplace(lane->number, lane);
  fence_passed(lane->number);
  send_fences_of(nullptr);
  {
    runtime::Scope scope(co_await runtime::current_context());
    lane->scope = &scope;
    scope.spawn(read_lane(*lane));
    scope.spawn(write_lane(*lane));
    Result<> ended = co_await scope.join();
    lane->scope = nullptr;
    if (!ended && !lane->why) lane->why = std::move(ended).error();
  }
  if (!lane->why) lane->why = Error(Errc::kCancelled, "bulk lane: closed");
  lane_lost(*lane);
  lane_ended_.wake_all();
  co_return *lane->why;
}

Task<Result<>> BulkEngine::drop_lane(std::uint16_t number, const char* why) {
  ++drops_[number];
  const auto at = lanes_.find(number);
  if (at == lanes_.end()) co_return {};
  const std::shared_ptr<BulkLane> lane = at->second;
  lane->cut(Error(Errc::kUnavailable, why));
  const auto there = [&] {
    const auto now = lanes_.find(number);
    return now != lanes_.end() && now->second == lane;
  };
  while (there()) FF_CO_TRY(co_await lane_ended_.wait());
  co_return {};
}

// Its tasks have ended, so the kernel has let go of all its memory.
void BulkEngine::lane_lost(BulkLane& lane) {
  batch_written(lane.batch);
  lanes_.erase(lane.number);
  last_failure_ = lane.why;
  if (closed_) return;
  ++host_.counters().lanes_lost;
  if (lanes_.empty()) no_lane_since_ = host_.env().now();

  std::vector<BulkOperation*> hit;
  const auto keep = [&](const Segment& segment) {
    if (segment.operation == nullptr || segment.operation->finished()) return false;
    if (std::ranges::find(hit, segment.operation) == hit.end()) hit.push_back(segment.operation);
    return true;
  };
  Fence& fence = fences_[lane.number];
  for (const Segment& segment : lane.pushes)
    if (keep(segment)) fence.segments.push_back(segment);
  for (const Segment& segment : lane.pulls)
    if (keep(segment)) again(segment);
  lane.pushes.clear();
  lane.pulls.clear();
  lane.answers.clear();
  for (BulkOperation* operation : hit)
    if (++operation->lanes_lost >= kLanesLostMax)
      operation->finish(fail(Errc::kUnavailable, fmt::format("{}: lost {} bulk lanes in one transfer; the last: {}",
                                                             owner_.peer_text(), kLanesLostMax, lane.why->message())));
  send_fence(lane.number);
  send_fences_of(&lane);
}

void BulkEngine::send_fences_of(const BulkLane* carrier) {
  std::vector<std::uint16_t> numbers;
  for (const auto& [number, fence] : fences_)
    if (fence.carrier == carrier) numbers.push_back(number);
  for (const std::uint16_t number : numbers) send_fence(number);
}

// Asks the peer, over any lane that stands, to drop a lane; without one the lane's return is waited for.
void BulkEngine::send_fence(std::uint16_t number) {
  const auto at = fences_.find(number);
  if (at == fences_.end()) return;
  Fence& fence = at->second;
  fence.carrier = nullptr;
  if (fence.segments.empty()) {
    fences_.erase(at);
    return;
  }
  for (auto& [other, lane] : lanes_) {
    if (lane->why) continue;
    if (!lane->has_work() && !carries_fence(*lane)) lane->progress = host_.env().now();
    fence.carrier = lane.get();
    fence.number = drop_lane_number(number, next_fence_++);
    post_frame(*lane, {.type = FrameType::kPing, .transfer = fence.number});
    return;
  }
}

bool BulkEngine::carries_fence(const BulkLane& lane) const noexcept {
  return std::ranges::any_of(fences_, [&](const auto& fence) { return fence.second.carrier == &lane; });
}

void BulkEngine::fence_passed(std::uint16_t number) {
  const auto at = fences_.find(number);
  if (at == fences_.end()) return;
  const std::vector<Segment> segments = std::move(at->second.segments);
  fences_.erase(at);
  for (const Segment& segment : segments) again(segment);
}

void BulkEngine::tick(runtime::Time now) {
  const TcpOptions& options = host_.options();
  std::vector<std::shared_ptr<BulkLane>> stuck;
  for (auto& [number, lane] : lanes_)
    if ((lane->has_work() || carries_fence(*lane)) && now - lane->progress >= options.lane_timeout)
      stuck.push_back(lane);
  for (const auto& lane : stuck)
    lane->cut(Error(Errc::kTimeout, fmt::format("bulk lane {}: no progress within its time", lane->number)));

  if (!lanes_.empty() || (waiting_.empty() && fences_.empty())) {
    no_lane_since_.reset();
    return;
  }
  if (!no_lane_since_) no_lane_since_ = now;
  if (now - *no_lane_since_ < options.peer_timeout) return;
  const Error error(Errc::kUnavailable,
                    fmt::format("{}: no bulk lane: {}", owner_.peer_text(),
                                last_failure_ ? last_failure_->message() : "the peer has opened none"));
  waiting_.for_each([&](BulkOperation& operation) { operation.finish(fail(error)); });
  for (auto& [number, fence] : fences_)
    for (Segment& segment : fence.segments)
      if (segment.operation != nullptr) segment.operation->finish(fail(error));
}

void BulkEngine::close(const Error& why) {
  if (closed_) return;
  closed_ = why;
  waiting_.for_each([&](BulkOperation& operation) { operation.finish(fail(why)); });
  const auto end = [&](Segment& segment) {
    if (segment.operation != nullptr) segment.operation->finish(fail(why));
  };
  for (auto& [number, lane] : lanes_) {
    std::ranges::for_each(lane->pushes, end);
    std::ranges::for_each(lane->pulls, end);
    lane->cut(why);
  }
  for (auto& [number, fence] : fences_) std::ranges::for_each(fence.segments, end);
}

std::vector<int> BulkEngine::lane_fds() const {
  std::vector<int> out;
  for (const auto& [number, lane] : lanes_) out.push_back(lane->socket->fd());
  return out;
}

}  // namespace ff::net
