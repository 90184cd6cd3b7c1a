// Direct: every chunk has an owner. The others send their raw input for it to the owner, which combines all inputs in
// one pass in pairwise order and sends the result to those who want it; what is only moved goes straight from its
// source. Covers every collective that segments_of() describes.
//
// Cost       2 latencies; all_reduce sends 2 * (n - 1) / n of the message per rank. Raw inputs: one rounding.
// Owner      The single destination, or chunk number mod n, so that owners take turns and prefixes become final early.
// Memory     slots() chunks times n - 1 inputs of scratch. An input that finds no slot stays in the
//            kernel (back-pressure).
// Progress   No deadlock: inputs are queued in chunk order and depend on nothing received; the owner has a slot for the
//            first chunk it has not finished; results are always taken. So the first unfinished chunk finishes.
#pragma once

#include "hfreduce/net/algorithm.hpp"

namespace ff::hfreduce::net {

class Direct final : public Algorithm {
 public:
  void plan(const Job& job, std::vector<LinkId>& needs) override;
  void start(const LinkTable& links) override;
  bool pump() override;
  bool done() const override;
  bool waits_for_input() const override;
  void received(Link& link, const FrameHeader& header) override;

 protected:
  Landing place(Link& link, const FrameHeader& header) override;

 private:
  static constexpr std::size_t kNone = ~std::size_t{0};
  struct Piece {
    std::uint64_t id;
    int peer;  // who gets it (sends), who gives it (results), Segment::kAll: everybody
    std::uint64_t send_offset, recv_offset, bytes;
    std::size_t next = kNone;  // results: the next one from the same peer
  };
  struct Peer {
    std::uint64_t inputs_expected = 0, inputs_got = 0;  // of my owned chunks
    std::uint64_t results_expected = 0;
    std::size_t first_result = kNone, last_result = kNone;
    bool linked = false;
  };

  void add(const Segment& segment, const Piece& piece);
  void add_combined(const Segment& segment, Piece piece, int owner);
  void add_moved(const Segment& segment, Piece piece);
  void expect_result(Piece piece, int from);
  void want_link(int peer) { peers_[static_cast<std::size_t>(peer)].linked = true; }
  void send_to(int peer, FrameKind kind, const Piece& piece, const std::byte* data, bool urgent);
  std::byte* slot_of(std::uint64_t position, int peer) noexcept;
  bool send_ready_inputs();
  bool combine_next();
  bool copy_next();

  std::vector<Peer> peers_;
  std::vector<Piece> inputs_, moves_, owned_, results_, copies_;
  std::vector<int> arrived_;  // inputs of the owned chunk in this slot
  std::vector<const void*> combine_in_;
  const LinkTable* links_ = nullptr;
  Scratch scratch_;
  OutputPrefix prefix_;
  std::uint64_t slots_ = 0, slot_bytes_ = 0;
  std::size_t next_input_ = 0, next_owned_ = 0, next_copy_ = 0, results_left_ = 0;
};

}  // namespace ff::hfreduce::net
