#include "hfreduce/net/link.hpp"

#include <fmt/core.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace ff::hfreduce::net {
namespace {

constexpr std::size_t kTurnBytes = 1 << 20;
constexpr std::size_t kBatchBytes = 256 << 10;

Lane lane_of(FrameKind kind) noexcept {
  return kind == FrameKind::kInput || kind == FrameKind::kPartial ? Lane::kNetUp : Lane::kNetDown;
}

const char* span_name(FrameKind kind) noexcept {
  switch (kind) {
    case FrameKind::kInput: return "receive input";
    case FrameKind::kPartial: return "receive partial";
    case FrameKind::kResult: return "receive result";
    case FrameKind::kToken: return "receive token";
    case FrameKind::kMessage: return "receive message";
    case FrameKind::kExchange: return "receive exchange";
  }
  return "receive";
}

}  // namespace

Link::Link(UniqueFd fd, int peer, int lane, std::uint32_t group_id, Trace* trace)
    : fd_(std::move(fd)),
      peer_(peer),
      lane_(lane),
      group_id_(group_id),
      trace_(trace),
      staging_(std::make_unique<std::byte[]>(kStagingBytes)) {}

void Link::queue(FrameHeader header, const void* payload, bool urgent, std::uint64_t cookie) {
  header.group_id = group_id_;
  (urgent ? urgent_ : normal_)
      .push({encode_frame_header(header), static_cast<const std::byte*>(payload), header.length, cookie});
}

void Link::fill_batch() {
  batch_begin_ = batch_end_ = 0;
  std::size_t bytes = 0;
  while (batch_end_ < kBatchMax && bytes < kBatchBytes && (!urgent_.empty() || !normal_.empty())) {
    batch_[batch_end_] = urgent_.empty() ? normal_.pop() : urgent_.pop();
    bytes += batch_[batch_end_++].length;
  }
}

ssize_t Link::send_batch() {
  std::array<iovec, 2 * kBatchMax> pieces;
  std::size_t count = 0, skip = begun_bytes_;
  const auto add = [&](const std::byte* data, std::size_t bytes) {
    const std::size_t done = std::min(skip, bytes);
    skip -= done;
    if (bytes > done) pieces[count++] = {const_cast<std::byte*>(data + done), bytes - done};
  };
  for (std::size_t i = batch_begin_; i < batch_end_; ++i) {
    add(batch_[i].header.data(), kFrameHeaderBytes);
    add(batch_[i].payload, batch_[i].length);
  }
  msghdr message{};
  message.msg_iov = pieces.data();
  message.msg_iovlen = count;
  return sendmsg(fd_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void Link::finish_sent(std::size_t bytes, FrameSink& sink) {
  bytes_sent_ += bytes;
  begun_bytes_ += bytes;
  while (batch_begin_ < batch_end_ && begun_bytes_ >= kFrameHeaderBytes + batch_[batch_begin_].length) {
    begun_bytes_ -= kFrameHeaderBytes + batch_[batch_begin_].length;
    sink.sent(*this, batch_[batch_begin_++].cookie);
  }
}

Link::Io Link::flush(FrameSink& sink) {
  std::size_t moved = 0;
  while (moved < kTurnBytes) {
    if (batch_begin_ == batch_end_) fill_batch();
    if (batch_begin_ == batch_end_) break;
    const ssize_t n = send_batch();
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) break;
      return closed(fmt::format("send: {}", std::strerror(errno)));
    }
    moved += static_cast<std::size_t>(n);
    finish_sent(static_cast<std::size_t>(n), sink);
  }
  return moved > 0 ? Io::kProgress : Io::kIdle;
}

Link::Io Link::closed(std::string why) {
  error_text_ = std::move(why);
  return Io::kClosed;
}

// One read: the rest of the payload straight to its place, what follows it (or a header) into the staging area.
Link::Io Link::refill() {
  if (staged_begin_ == staged_end_) staged_begin_ = staged_end_ = 0;
  if (staged_begin_ > 0 && staged_end_ + kFrameHeaderBytes > kStagingBytes) {
    std::memmove(staging_.get(), staging_.get() + staged_begin_, staged_end_ - staged_begin_);
    staged_end_ -= staged_begin_;
    staged_begin_ = 0;
  }
  std::array<iovec, 2> pieces;
  std::size_t count = 0;
  const std::size_t direct = in_payload_ ? missing_ : 0;
  if (direct > 0) pieces[count++] = {to_, direct};
  pieces[count++] = {staging_.get() + staged_end_, kStagingBytes - staged_end_};
  msghdr message{};
  message.msg_iov = pieces.data();
  message.msg_iovlen = count;
  const ssize_t n = recvmsg(fd_.get(), &message, MSG_DONTWAIT);
  if (n == 0) return closed("connection closed by the peer");
  if (n < 0) {
    if (errno == EINTR) return Io::kProgress;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return Io::kIdle;
    return closed(fmt::format("receive: {}", std::strerror(errno)));
  }
  const auto got = static_cast<std::size_t>(n);
  bytes_received_ += got;
  const std::size_t placed = std::min(got, direct);
  to_ += placed;
  missing_ -= placed;
  staged_end_ += got - placed;
  return Io::kProgress;
}

// Decodes a staged header if there is none in work and asks the sink for a place.
Link::Io Link::open_frame(FrameSink& sink) {
  if (!have_header_) {
    if (staged_end_ - staged_begin_ < kFrameHeaderBytes) return Io::kIdle;
    const auto decoded = decode_frame_header(
        std::span<const std::byte, kFrameHeaderBytes>(staging_.get() + staged_begin_, kFrameHeaderBytes));
    if (!decoded || decoded->group_id != group_id_) {
      error_text_ = decoded ? "frame: of another group" : decoded.error().message();
      return Io::kCorrupt;
    }
    staged_begin_ += kFrameHeaderBytes;
    header_ = *decoded;
    have_header_ = true;
    if (trace_ != nullptr) frame_begin_ns_ = Trace::now_ns();
  }
  const Landing landing = sink.accept(*this, header_);
  blocked_ = landing.kind == Landing::Kind::kLater;
  if (blocked_) return Io::kIdle;
  if (landing.kind == Landing::Kind::kWrong) return Io::kWrong;
  to_ = landing.to;
  missing_ = header_.length;
  in_payload_ = true;
  return Io::kProgress;
}

void Link::finish_frame(FrameSink& sink) {
  in_payload_ = have_header_ = false;
  --expected_;
  if (trace_ != nullptr)
    trace_->record({span_name(header_.kind), lane_of(header_.kind), frame_begin_ns_, Trace::now_ns(), header_.length,
                    header_.index});
  const FrameHeader header = header_;
  sink.received(*this, header);
}

Link::Io Link::receive(FrameSink& sink) {
  const std::uint64_t before = bytes_received_;
  bool progress = false;
  while (expected_ > 0 && bytes_received_ - before < kTurnBytes) {
    if (!in_payload_) {
      const Io opened = open_frame(sink);
      if (opened == Io::kCorrupt || opened == Io::kWrong) return opened;
      if (blocked_) break;
    }
    if (in_payload_) {
      const std::size_t staged = std::min(missing_, staged_end_ - staged_begin_);
      if (staged > 0) std::memcpy(to_, staging_.get() + staged_begin_, staged);
      to_ += staged;
      staged_begin_ += staged;
      missing_ -= staged;
      if (missing_ == 0) {
        progress = true;
        finish_frame(sink);
        continue;
      }
    }
    const Io read = refill();
    if (read == Io::kClosed) return read;
    if (read == Io::kIdle) break;
    progress = true;
    // A frame that ended with this read is finished before the next turn's limit is looked at.
    if (in_payload_ && missing_ == 0) finish_frame(sink);
  }
  return progress ? Io::kProgress : Io::kIdle;
}

}  // namespace ff::hfreduce::net
