// Ring: reduce-scatter and all-gather around a ring, pipelined by chunk, to compare with the trees. all_reduce
// only.
//
// Chunk c starts at rank c mod n as raw input, is combined with each next rank's input (what came, then own), is
// finished by the rank before its start and goes round once more as result. Order is fixed by the chunk's number,
// so all ranks have the same bits.
// Memory    one chunk to land in; partial sums lie in recv, for low types (fp32) in scratch of count * 4 bytes.
// Progress  No deadlock: an arriving partial is combined at once and frees the landing place; results are always
//           taken.
#pragma once

#include "hfreduce/net/algorithm.hpp"

namespace ff::hfreduce::net {

class Ring final : public Algorithm {
 public:
  void plan(const Job& job, std::vector<LinkId>& needs) override;
  void start(const LinkTable& links) override;
  bool pump() override;
  bool done() const override { return next_own_ >= chunks_.count() && left_ == 0; }
  bool waits_for_input() const override;
  void received(Link& link, const FrameHeader& header) override;

 protected:
  Landing place(Link& link, const FrameHeader& header) override;

 private:
  int next() const noexcept { return (job_.rank + 1) % job_.size; }
  int previous() const noexcept { return (job_.rank + job_.size - 1) % job_.size; }
  int start_of(std::uint64_t chunk) const noexcept {
    return static_cast<int>(chunk % static_cast<std::uint64_t>(job_.size));
  }
  int finisher_of(std::uint64_t chunk) const noexcept { return (start_of(chunk) + job_.size - 1) % job_.size; }
  bool raw_from_previous(std::uint64_t chunk) const noexcept { return start_of(chunk) == previous(); }
  std::uint64_t partial_bytes(std::uint64_t chunk) const noexcept;
  std::byte* partial_at(std::uint64_t chunk) noexcept;
  void combine(std::uint64_t chunk);
  void pass_result(std::uint64_t chunk);

  Chunks chunks_;
  const LinkTable* links_ = nullptr;
  Scratch landing_, wide_;
  OutputPrefix prefix_;
  std::uint64_t next_own_ = 0;  // the next chunk that starts here
  std::uint64_t left_ = 0;      // frames to come
  bool waiting_ = false;        // a frame waits for this rank's input
};

}  // namespace ff::hfreduce::net
