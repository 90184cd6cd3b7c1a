// Messages: sends and receives between pairs, all progressing together; all_to_all_v is a list of them.
//
// Order      The messages of a pair match in list order. A message goes as frames of kFrameBytes (one empty frame
//            if it is empty), each carrying the whole size, so that a receiver who expects another size can name
//            both.
// Numbering  Point to point frames carry the number of the message on the link and direction, not the call's: two
//            ranks may have made different numbers of calls with others.
#pragma once

#include "hfreduce/net/algorithm.hpp"

namespace ff::hfreduce::net {

class Messages final : public Algorithm {
 public:
  static constexpr std::uint64_t kFrameBytes = 512 << 10;
  // The list of the next call; not copied, valid until it ends. No pair with oneself. `kind` kMessage or kExchange.
  void set(std::span<const P2pOp> ops, FrameKind kind) noexcept {
    ops_ = ops;
    kind_ = kind;
  }
  Landing accept(Link& link, const FrameHeader& header) override { return place(link, header); }
  void plan(const Job& job, std::vector<LinkId>& needs) override;
  void start(const LinkTable& links) override;
  bool pump() override { return false; }
  bool done() const override { return frames_left_ == 0; }
  void received(Link& link, const FrameHeader& header) override;
  std::string explain(const FrameHeader& header) const override;

 protected:
  Landing place(Link& link, const FrameHeader& header) override;

 private:
  static constexpr std::size_t kNone = ~std::size_t{0};
  struct Peer {
    std::size_t first = kNone, last = kNone;  // receives, by ops_ index
    std::uint64_t got = 0;                    // bytes of the first one
    bool linked = false;
  };
  static std::uint64_t frames_of(std::uint64_t bytes) noexcept {
    return bytes == 0 ? 1 : (bytes + kFrameBytes - 1) / kFrameBytes;
  }
  void send(Link& link, const P2pOp& op);

  std::span<const P2pOp> ops_;
  FrameKind kind_ = FrameKind::kMessage;
  std::vector<Peer> peers_;
  std::vector<std::size_t> next_;  // the next receive from the same peer
  std::uint64_t frames_left_ = 0;
  std::uint64_t expected_bytes_ = 0, expected_seq_ = 0;  // of the frame refused last, for explain()
};

}  // namespace ff::hfreduce::net
