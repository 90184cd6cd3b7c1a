// Receiving on the control lane: frames where they lie in the reactor's memory, or assembled when they came in parts.
#include <fmt/core.h>

#include <algorithm>

#include "libcommon/net/ping.hpp"
#include "libcommon/net/tcp_connection.hpp"

namespace ff::net {

using runtime::Task;

// Bytes of a frame that has not come whole, or that came while reading was paused. Empty between frames, so that an
// idle connection holds nothing.
struct TcpConnection::Assembly {
  std::vector<std::byte> bytes;
  runtime::Semaphore::Permit permit;  // of the network's budget
  std::size_t permitted = 0;

  // Room for `count` bytes. False: the budget has none now.
  bool reserve(runtime::Semaphore& budget, std::size_t count) {
    if (count <= permitted) return true;
    permit.release();
    permitted = 0;
    auto more = budget.try_acquire(count);
    if (!more) return false;
    permit = std::move(*more);
    permitted = count;
    bytes.reserve(count);
    return true;
  }
  void drop(std::size_t count) {
    bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count));
    if (!bytes.empty()) return;
    bytes = {};
    permit.release();
    permitted = 0;
  }
};

Task<void> TcpConnection::read_control() {
  Result<> ended = co_await read_all();
  peer_done_ = true;
  if (!ended)
    fail_with(std::move(ended).error());
  else
    changed_.wake_all();
}

Task<Result<>> TcpConnection::read_all() {
  Assembly assembly;
  FrameCutter cutter;
  while (true) {
    FF_CO_TRY(co_await resumed());
    FF_CO_TRY_ASSIGN(runtime::Received chunk, co_await socket_->receive());
    if (chunk.bytes().empty()) co_return fail(Errc::kUnavailable, "the peer closed the connection");
    received_ = host_.env().now();
    std::span<const std::byte> rest = chunk.bytes();
    while (!rest.empty()) {
      if (assembly.bytes.empty()) {
        FF_CO_TRY_ASSIGN(const std::size_t used, deliver(rest, cutter));
        rest = rest.subspan(used);
        if (rest.empty()) break;
      }
      // Lent memory is for all connections: what must wait, waits in memory of our own.
      const bool waits = paused_ || !assembly.reserve(host_.assembly(), cutter.wanted());
      const std::size_t bytes = waits ? rest.size() : std::min(cutter.wanted() - assembly.bytes.size(), rest.size());
      assembly.bytes.insert(assembly.bytes.end(), rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(bytes));
      rest = rest.subspan(bytes);
      if (waits) {
        chunk = {};
        FF_CO_TRY(co_await grow(assembly, std::max(assembly.bytes.size(), cutter.wanted())));
      }
      do {
        FF_CO_TRY(co_await resumed());
        FF_CO_TRY_ASSIGN(const std::size_t used, deliver(assembly.bytes, cutter));
        assembly.drop(used);
      } while (paused_ && !assembly.bytes.empty());
    }
    partial_ = !assembly.bytes.empty();
  }
}

// Delivers the whole frames at the front, until there is none or reading is paused; how many bytes they took.
Result<std::size_t> TcpConnection::deliver(std::span<const std::byte> bytes, FrameCutter& cutter) {
  std::size_t used = 0;
  while (!paused_ && !why_) {
    FF_TRY_ASSIGN(const auto frame, cutter.peek(bytes.subspan(used)));
    if (!frame) return used;
    FF_TRY(on_frame(frame->header, frame->payload));
    used += cutter.consume();
  }
  return why_ ? bytes.size() : used;  // after close() what comes is of no interest
}

// Room for `bytes` in the assembly; waits for the budget of the network, which is no silence of the peer.
Task<Result<>> TcpConnection::grow(Assembly& assembly, std::size_t bytes) {
  if (assembly.reserve(host_.assembly(), bytes)) co_return {};  // nobody holds some of it while waiting for more
  waiting_for_memory_ = true;
  auto permit = co_await host_.assembly().acquire(bytes);
  waiting_for_memory_ = false;
  received_ = host_.env().now();
  FF_CO_TRY_ASSIGN(assembly.permit, std::move(permit));
  assembly.permitted = bytes;
  assembly.bytes.reserve(bytes);
  co_return {};
}

Task<Result<>> TcpConnection::resumed() {
  while (paused_ && !why_) FF_CO_TRY(co_await resumed_.wait());
  co_return {};
}

void TcpConnection::resume_reading() noexcept {
  if (!std::exchange(paused_, false)) return;
  received_ = host_.env().now();  // its silence counts from here
  resumed_.wake_all();
}

Result<> TcpConnection::on_frame(const FrameHeader& header, std::span<const std::byte> payload) {
  switch (header.type) {
    case FrameType::kMessage:
      if (!payload.empty() && (header.flags & kFlagPayloadChecked) == 0)
        return fail(Errc::kCorrupt, "a message without checksum");
      ++host_.counters().messages_received;
      handler_->on_message(*this, payload);
      return {};
    case FrameType::kPing: return on_ping(header.transfer);
    case FrameType::kPong: return {};
    case FrameType::kGoaway:
      return fail(Errc::kUnavailable, fmt::format("the peer closed the connection: {}", reason_text(payload)));
    default:
      return fail(Errc::kCorrupt,
                  fmt::format("a {} frame does not belong on the control lane", frame_type_name(header.type)));
  }
}

Result<> TcpConnection::on_ping(std::uint64_t number) {
  const std::uint64_t rest = number & ((std::uint64_t{1} << 56) - 1);
  switch (ping_purpose(number)) {
    case PingPurpose::kAlive: post_frame(FrameType::kPong, number); return {};
    case PingPurpose::kTraffic:
      if (!planes_.empty() || rest >= kTrafficClasses.size()) break;
      traffic_ = kTrafficClasses[rest];
      traffic_known_ = true;
      mark_socket(socket_->fd());
      for (const int fd : bulk_lane_fds()) mark_socket(fd);
      return {};
    case PingPurpose::kOpenLanes:
      if (planes_.empty()) break;
      if (!lanes_wanted_) open_lanes();
      return {};
    case PingPurpose::kDropLane: break;
  }
  return fail(Errc::kCorrupt, fmt::format("a ping of no meaning here: {:#x}", number));
}

}  // namespace ff::net
