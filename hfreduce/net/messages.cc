#include "hfreduce/net/messages.hpp"

#include <fmt/core.h>

namespace ff::hfreduce::net {

void Messages::plan(const Job& job, std::vector<LinkId>& needs) {
  job_ = job;
  peers_.assign(static_cast<std::size_t>(job.size), {});
  next_.assign(ops_.size(), kNone);
  frames_left_ = 0;
  for (std::size_t i = 0; i < ops_.size(); ++i) {
    Peer& peer = peers_[static_cast<std::size_t>(ops_[i].peer)];
    if (!peer.linked) needs.push_back({ops_[i].peer, 0});
    peer.linked = true;
    if (ops_[i].is_send) continue;
    frames_left_ += frames_of(ops_[i].bytes);
    if (peer.first == kNone) peer.first = i;
    if (peer.last != kNone) next_[peer.last] = i;
    peer.last = i;
  }
}

void Messages::start(const LinkTable& links) {
  for (const P2pOp& op : ops_) {
    Link& link = links.at(op.peer, 0);
    if (op.is_send)
      send(link, op);
    else
      link.expect(frames_of(op.bytes));
  }
}

void Messages::send(Link& link, const P2pOp& op) {
  const std::uint64_t seq = kind_ == FrameKind::kMessage ? link.messages_out++ : job_.seq;
  const auto* data = static_cast<const std::byte*>(op.send);
  std::uint64_t at = 0;
  for (std::uint64_t i = 0; i < frames_of(op.bytes); ++i) {
    const std::uint64_t length = std::min(kFrameBytes, op.bytes - at);
    link.queue({.kind = kind_,
                .signature = static_cast<std::uint32_t>(op.bytes),
                .seq = seq,
                .index = static_cast<std::uint32_t>(op.bytes >> 32),
                .length = static_cast<std::uint32_t>(length)},
               data + at);
    at += length;
  }
}

Landing Messages::place(Link& link, const FrameHeader& header) {
  const Peer& peer = peers_[static_cast<std::size_t>(link.peer())];
  if (peer.first == kNone) return Landing::wrong();
  const P2pOp& op = ops_[peer.first];
  expected_bytes_ = op.bytes;
  expected_seq_ = kind_ == FrameKind::kMessage ? link.messages_in : job_.seq;
  const std::uint64_t bytes = std::uint64_t{header.index} << 32 | header.signature;
  if (header.kind != kind_ || header.seq != expected_seq_ || bytes != op.bytes ||
      header.length != std::min(kFrameBytes, op.bytes - peer.got))
    return Landing::wrong();
  return Landing::take(static_cast<std::byte*>(op.recv) + peer.got);
}

void Messages::received(Link& link, const FrameHeader& header) {
  Peer& peer = peers_[static_cast<std::size_t>(link.peer())];
  --frames_left_;
  peer.got += header.length;
  if (peer.got < ops_[peer.first].bytes) return;
  peer.first = next_[peer.first];
  peer.got = 0;
  // Numbers count point-to-point messages only, on both ends alike; an exchange goes by its call's number.
  if (kind_ == FrameKind::kMessage) ++link.messages_in;
}

std::string Messages::explain(const FrameHeader& header) const {
  if (header.kind != kind_)
    return fmt::format("it is at call {} with a {} frame, this rank at call {} ({}) waits for a {}", header.seq,
                       frame_kind_name(header.kind), job_.seq, collective_name(job_.kind), frame_kind_name(kind_));
  if (header.seq != expected_seq_)
    return fmt::format("its {} is number {}, number {} is expected", frame_kind_name(kind_), header.seq, expected_seq_);
  return fmt::format("it sends {} bytes where this rank expects {}",
                     std::uint64_t{header.index} << 32 | header.signature, expected_bytes_);
}

}  // namespace ff::hfreduce::net
