// Receiving of bulk: what arrives on a lane, straight to its place.
#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "libcommon/base/crc32c.hpp"
#include "libcommon/net/bulk_engine.hpp"
#include "libcommon/net/ping.hpp"

namespace ff::net {
namespace {

using runtime::Task;

constexpr unsigned kDiscardedInRowMax = 4096;  // segments for nothing, before the peer is given up
constexpr std::size_t kFramesQueuedMax = 8192;
constexpr std::size_t kPushAnswersQueuedMax = 128 << 10;  // acknowledgements are small, and a window may be many
constexpr std::size_t kAnswersQueuedMax = 4096;
constexpr std::uint8_t kCorruptMax = 3;

constexpr Errc kReasonCodes[] = {Errc::kNotFound, Errc::kInvalidArgument, Errc::kPermission, Errc::kCorrupt,
                                 Errc::kExhausted};

// A reason on the wire: the code's name, ": ", and the text.
Error parse_reason(std::span<const std::byte> payload, const std::string& peer) {
  const std::string text = reason_text(payload);
  for (const Errc code : kReasonCodes) {
    const std::string prefix = fmt::format("{}: ", errc_name(code));
    if (text.starts_with(prefix)) return Error(code, fmt::format("{}: {}", peer, text.substr(prefix.size())));
  }
  return Error(Errc::kUnavailable, fmt::format("{}: {}", peer, text));
}

std::unexpected<Error> out_of_step(const FrameHeader& header) {
  return fail(Errc::kCorrupt,
              fmt::format("bulk lane: a {} frame that does not fit what was sent", frame_type_name(header.type)));
}

}  // namespace

Task<Result<>> BulkEngine::read_lane(BulkLane& lane) {
  FrameHeaderBytes head;
  std::array<std::byte, kReasonBytesMax> small;
  while (true) {
    FF_CO_TRY(co_await lane.socket->read_exact(head));
    FF_CO_TRY_ASSIGN(const FrameHeader header, decode_frame_header(head));
    lane.progress = host_.env().now();
    const bool bulk = header.type == FrameType::kBulk;
    if (lane.frames.size() > (bulk ? kPushAnswersQueuedMax : kFramesQueuedMax))
      co_return fail(Errc::kExhausted, "bulk lane: the peer sends and does not read the answers");
    if (bulk) {
      if (checksum_ && header.length > 0 && (header.flags & kFlagPayloadChecked) == 0)
        co_return fail(Errc::kCorrupt, "bulk lane: a segment without checksum, where both sides agreed on one");
      FF_CO_TRY((header.flags & kFlagPulled) != 0 ? co_await on_pulled(lane, header)
                                                  : co_await on_pushed(lane, header));
      continue;
    }
    if (header.length > small.size()) co_return out_of_step(header);
    const auto payload = std::span(small).first(header.length);
    if (!payload.empty()) FF_CO_TRY(co_await lane.socket->read_exact(payload));
    FF_CO_TRY(check_payload(header, payload));
    switch (header.type) {
      case FrameType::kBulkAck: FF_CO_TRY(on_ack(lane, header)); break;
      case FrameType::kBulkNack: FF_CO_TRY(on_nack(lane, header, payload)); break;
      case FrameType::kPull: FF_CO_TRY(on_pull(lane, header, payload)); break;
      case FrameType::kPing: FF_CO_TRY(co_await on_ping(lane, header.transfer)); break;
      case FrameType::kPong:
        if (const auto fence = fences_.find(dropped_lane(header.transfer));
            fence != fences_.end() && fence->second.number == header.transfer)
          fence_passed(fence->first);
        break;
      case FrameType::kGoaway: co_return fail(Errc::kUnavailable, "peer closed the lane: " + reason_text(payload));
      default: co_return out_of_step(header);
    }
  }
}

Task<Result<>> BulkEngine::place(BulkLane& lane, Uses& uses, std::span<std::byte> into) {
  uses.begin();
  lane.reading_into = &uses;
  Result<> read = co_await lane.socket->read_exact(into);
  lane.reading_into = nullptr;
  uses.end();
  if (read) {
    lane.useful = true;
    lane.progress = host_.env().now();
    host_.counters().bulk_bytes_moved += into.size();
    if (lane.encrypted) host_.counters().bulk_bytes_copied += into.size();
  }
  co_return read;
}

Task<Result<>> BulkEngine::discard(BulkLane& lane, std::uint64_t bytes) {
  const std::span<std::byte> scratch = host_.scratch();
  while (bytes > 0) {
    const std::uint64_t part = std::min<std::uint64_t>(bytes, scratch.size());
    FF_CO_TRY(co_await lane.socket->read_exact(scratch.first(part)));
    bytes -= part;
    lane.progress = host_.env().now();
  }
  co_return {};
}

// A peer may be late to learn of a revocation; one that never learns is a burden.
Result<> BulkEngine::discarded() {
  ++host_.counters().bulk_discarded;
  if (++discarded_in_row_ < kDiscardedInRowMax) return {};
  Error why(Errc::kPermission, fmt::format("{} segments in a row for memory that is not exposed", kDiscardedInRowMax));
  owner_.bulk_failed(why);
  return fail(std::move(why));
}

void BulkEngine::refuse(BulkLane& lane, const FrameHeader& header, std::uint16_t flags, const Error& why) {
  const std::string text = fmt::format("{}: {}", errc_name(why.code()), why.message());
  const auto payload = std::as_bytes(std::span(bounded_reason(text)));
  FrameHeader answer = checked_header(FrameType::kBulkNack, payload);
  answer.flags |= flags;
  answer.region = header.region;
  answer.offset = header.offset;
  answer.transfer = header.transfer;
  post_frame(lane, answer, payload);
}

Task<Result<>> BulkEngine::on_pushed(BulkLane& lane, FrameHeader header) {
  Result<std::shared_ptr<Region>> found = exposures_.find(header.region, header.offset, header.length, Access::kPush);
  if (!found) {
    FF_CO_TRY(co_await discard(lane, header.length));
    FF_CO_TRY(discarded());
    refuse(lane, header, 0, found.error());
    co_return {};
  }
  const std::shared_ptr<Region> region = std::move(*found);
  const auto into = region->memory.subspan(header.offset, header.length);
  FF_CO_TRY(co_await place(lane, region->uses, into));
  discarded_in_row_ = 0;
  if (!check_payload(header, into)) {
    ++host_.counters().bulk_corrupt;
    refuse(lane, header, 0, Error(Errc::kCorrupt, "bulk: the checksum of a segment differs"));
    co_return {};
  }
  region->arrived.add(header.offset, header.offset + header.length);
  post_frame(
      lane,
      {.type = FrameType::kBulkAck, .region = header.region, .offset = header.offset, .transfer = header.transfer});
  co_return {};
}

Task<Result<>> BulkEngine::on_pulled(BulkLane& lane, FrameHeader header) {
  if (lane.pulls.empty()) co_return out_of_step(header);
  // The front stays in place while its bytes are read: only this task takes it away.
  Segment& segment = lane.pulls.front();
  if (segment.transfer != header.transfer || header.offset != segment.offset + segment.done || header.region != 1 ||
      header.length == 0 || header.length > segment.bytes - segment.done)
    co_return out_of_step(header);
  BulkOperation* const operation = segment.operation;
  bool good = true;
  if (operation == nullptr || operation->finished()) {
    FF_CO_TRY(co_await discard(lane, header.length));  // it was we who gave up: no offence
  } else {
    const std::span<std::byte> into(operation->memory + header.offset, header.length);
    FF_CO_TRY(co_await place(lane, operation->kernel, into));
    good = check_payload(header, into).has_value();
    discarded_in_row_ = 0;
  }
  segment.done += header.length;
  if (good && segment.done < segment.bytes) co_return {};
  if (!good && segment.done < segment.bytes) co_return fail(Errc::kCorrupt, "bulk: the checksum of a part differs");
  const Segment ended = segment;
  lane.pulls.pop_front();
  lane.under_way -= ended.bytes;
  lane.work.wake_one();
  if (!good) {
    ++host_.counters().bulk_corrupt;
    segment_corrupt(ended);
  } else if (ended.operation != nullptr) {
    ended.operation->segment_done(ended.bytes);
  }
  co_return {};
}

void BulkEngine::segment_corrupt(Segment segment) {
  if (segment.operation == nullptr) return;
  if (++segment.corrupt <= kCorruptMax) return again(segment);
  segment.operation->finish(
      fail(Errc::kCorrupt, fmt::format("{}: bulk: the checksum of {} bytes at offset {} differed {} "
                                       "times (is a NIC or memory broken?)",
                                       owner_.peer_text(), segment.bytes, segment.offset, kCorruptMax + 1)));
}

Result<> BulkEngine::on_ack(BulkLane& lane, const FrameHeader& header) {
  if (lane.pushes.empty() || lane.pushes.front().transfer != header.transfer) return out_of_step(header);
  lane.useful = true;
  const Segment segment = lane.pushes.front();
  lane.pushes.pop_front();
  lane.under_way -= segment.bytes;
  if (!waiting_.empty()) lane.work.wake_one();
  if (segment.operation != nullptr) segment.operation->segment_done(segment.bytes);
  return {};
}

Result<> BulkEngine::on_nack(BulkLane& lane, const FrameHeader& header, std::span<const std::byte> reason) {
  std::deque<Segment>& sent = (header.flags & kFlagPulled) != 0 ? lane.pulls : lane.pushes;
  // Not always the front: a refusal overtakes the bytes of earlier pulls.
  const auto at = std::ranges::find(sent, header.transfer, &Segment::transfer);
  if (at == sent.end()) return out_of_step(header);
  const Segment segment = *at;
  sent.erase(at);
  lane.under_way -= segment.bytes;
  lane.work.wake_one();
  if (segment.operation == nullptr) return {};
  Error why = parse_reason(reason, owner_.peer_text());
  if (why.code() == Errc::kCorrupt)
    segment_corrupt(segment);
  else
    segment.operation->finish(fail(std::move(why)));
  return {};
}

Result<> BulkEngine::on_pull(BulkLane& lane, const FrameHeader& header, std::span<const std::byte> payload) {
  FF_TRY_ASSIGN(const PullRequest request, decode_pull(header, payload));
  if (lane.answers.size() >= kAnswersQueuedMax)
    return fail(Errc::kExhausted, "bulk lane: the peer asks for more than it reads");
  Result<std::shared_ptr<Region>> region = exposures_.find(header.region, header.offset, request.length, Access::kPull);
  if (!region || request.length > kBulkBytesMax) {
    refuse(lane, header, kFlagPulled,
           region ? Error(Errc::kInvalidArgument, "bulk: more in one pull than one frame holds") : region.error());
    return discarded();
  }
  discarded_in_row_ = 0;
  const std::byte* from = (*region)->memory.data() + header.offset;
  lane.answers.push_back({std::move(*region),
                          {.type = FrameType::kBulk,
                           .flags = kFlagPulled,
                           .length = static_cast<std::uint32_t>(request.length),
                           .region = request.destination_region,
                           .offset = request.destination_offset,
                           .transfer = header.transfer},
                          from});
  lane.work.wake_one();
  return {};
}

Task<Result<>> BulkEngine::on_ping(BulkLane& lane, std::uint64_t number) {
  if (ping_purpose(number) == PingPurpose::kDropLane) {
    const std::uint16_t dropped = dropped_lane(number);
    if (dropped == lane.number) co_return fail(Errc::kCorrupt, "bulk lane: asked to drop itself");
    if (dropped == 0 || dropped >= kLanesMax)
      co_return fail(Errc::kCorrupt, fmt::format("bulk lane: asked to drop lane {}, which cannot be", dropped));
    FF_CO_TRY(co_await drop_lane(dropped, "bulk lane: the peer has lost it"));
  }
  post_frame(lane, {.type = FrameType::kPong, .transfer = number});
  co_return {};
}

}  // namespace ff::net
