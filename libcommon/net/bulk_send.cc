// Sending of bulk: what the next write of a lane takes.
#include <fmt/core.h>
#include <limits.h>

#include <algorithm>

#include "libcommon/base/crc32c.hpp"
#include "libcommon/net/bulk_engine.hpp"

namespace ff::net {
namespace {

using runtime::Task;

constexpr std::size_t kFramesMax = 64;                // small frames in one write
constexpr std::uint64_t kWriteBytesMax = 1u << 20;    // payload in one write, of each direction's kind
constexpr std::uint64_t kShareBytesMin = 256u << 10;  // below it a transfer is not spread over lanes
constexpr std::size_t kPayloadsMax = 256;             // in one write
constexpr std::size_t kPartsMax = 2 * kPayloadsMax;   // in one write, or one more; requests are parts without payload
static_assert(kFramesMax + kPartsMax < IOV_MAX);

}  // namespace

Task<Result<>> BulkEngine::write_lane(BulkLane& lane) {
  while (true) {
    fill(lane);
    if (lane.batch.parts.empty()) {
      FF_CO_TRY(co_await lane.work.wait());
      continue;
    }
    const Result<> written = co_await lane.socket->write(lane.batch.parts);
    lane.progress = host_.env().now();
    if (written) {
      host_.counters().bulk_bytes_moved += lane.batch.payload_bytes;
      if (lane.encrypted) host_.counters().bulk_bytes_copied += lane.batch.payload_bytes;
    }
    batch_written(lane.batch);
    FF_CO_TRY(written);
  }
}

void BulkEngine::fill(BulkLane& lane) {
  BulkLane::Batch& batch = lane.batch;
  // The parts point into these: they may not move.
  batch.headers.reserve(kPayloadsMax);
  for (std::size_t n = 0; n < kFramesMax && !lane.frames.empty(); ++n) {
    add_frame(batch, std::move(lane.frames.front()));
    lane.frames.pop_front();
  }
  while (!lane.answers.empty() && batch.payload_bytes < kWriteBytesMax && batch.headers.size() < kPayloadsMax / 2)
    add_answer(lane);
  const std::uint64_t answered = batch.payload_bytes;
  // Of what waits, a lane takes its share, so that one transfer uses all lanes.
  const std::uint64_t share = std::max<std::uint64_t>(waiting_bytes_ / std::max<std::size_t>(lanes_.size(), 1), 1);
  // Large segments cost fewer wake-ups of the receiver; no larger than the share, or one lane would take it all.
  const std::uint64_t segment = std::min<std::uint64_t>(host_.options().segment_bytes, std::max(kShareBytesMin, share));
  std::uint64_t taken = 0;
  while (!waiting_.empty() && taken < std::min(share, kWriteBytesMax) &&
         batch.payload_bytes - answered < kWriteBytesMax && lane.under_way < host_.options().lane_window_bytes &&
         batch.headers.size() < kPayloadsMax && batch.parts.size() < kPartsMax) {
    const std::uint64_t before = lane.under_way;
    add_segment(lane, segment);
    taken += lane.under_way - before;
  }
}

void BulkEngine::add_frame(BulkLane::Batch& batch, Message frame) {
  batch.parts.push_back({frame.before(kFrameHeaderBytes), kFrameHeaderBytes + frame.size()});
  batch.frames.push_back(std::move(frame));
}

void BulkEngine::add_payload(BulkLane::Batch& batch, FrameHeader header, const std::byte* from, Uses& uses) {
  if (checksum_ && header.length > 0) {
    header.flags |= kFlagPayloadChecked;
    header.payload_crc = crc32c(0, from, header.length);
  }
  batch.headers.push_back(encode_frame_header(header));
  batch.parts.push_back({batch.headers.back().data(), kFrameHeaderBytes});
  batch.parts.push_back({const_cast<std::byte*>(from), header.length});
  batch.payload_bytes += header.length;
  uses.begin();
  batch.uses.push_back(&uses);
}

void BulkEngine::add_answer(BulkLane& lane) {
  BulkLane::Answer answer = std::move(lane.answers.front());
  lane.answers.pop_front();
  add_payload(lane.batch, answer.header, answer.from, answer.region->uses);
  lane.batch.regions.push_back(std::move(answer.region));
}

void BulkEngine::add_segment(BulkLane& lane, std::uint64_t bytes_max) {
  BulkOperation& operation = waiting_.front();
  Segment segment;
  if (!operation.again.empty()) {
    segment = operation.again.back();
    operation.again.pop_back();
  } else {
    segment = {.operation = &operation,
               .offset = operation.next,
               .bytes = static_cast<std::uint32_t>(std::min(bytes_max, operation.bytes - operation.next))};
    operation.next += segment.bytes;
  }
  segment.transfer = next_transfer_++;
  waiting_bytes_ -= segment.bytes;
  lane.under_way += segment.bytes;
  // Turns: a large transfer does not hold up those behind it.
  operation.unlink();
  if (operation.next < operation.bytes || !operation.again.empty()) waiting_.push_back(operation);
  if (lane.pushes.empty() && lane.pulls.empty()) lane.progress = host_.env().now();

  const FrameHeader place{.region = operation.remote.region,
                          .offset = operation.remote.offset + segment.offset,
                          .transfer = segment.transfer};
  if (operation.kind == BulkKind::kPush) {
    FrameHeader header = place;
    header.type = FrameType::kBulk;
    header.length = segment.bytes;
    add_payload(lane.batch, header, operation.memory + segment.offset, operation.kernel);
    lane.pushes.push_back(segment);
    return;
  }
  // The destination is known by the transfer; region and offset come back and are compared.
  const auto payload =
      encode_pull({.length = segment.bytes, .destination_region = 1, .destination_offset = segment.offset});
  FrameHeader header = checked_header(FrameType::kPull, payload);
  header.region = place.region;
  header.offset = place.offset;
  header.transfer = place.transfer;
  Message frame(payload.size());
  std::ranges::copy(encode_frame_header(header), frame.before(kFrameHeaderBytes));
  std::ranges::copy(payload, frame.payload().begin());
  add_frame(lane.batch, std::move(frame));
  lane.pulls.push_back(segment);
}

void BulkEngine::batch_written(BulkLane::Batch& batch) noexcept {
  for (Uses* uses : batch.uses) uses->end();
  batch.clear();
}

void BulkEngine::wake_lanes() noexcept {
  for (auto& [number, lane] : lanes_) lane->work.wake_one();
}

void BulkEngine::post_frame(BulkLane& lane, const FrameHeader& header, std::span<const std::byte> payload) {
  Message frame(payload.size());
  std::ranges::copy(encode_frame_header(header), frame.before(kFrameHeaderBytes));
  std::ranges::copy(payload, frame.payload().begin());
  lane.frames.push_back(std::move(frame));
  lane.work.wake_one();
}

}  // namespace ff::net
