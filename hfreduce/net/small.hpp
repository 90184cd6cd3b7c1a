// The algorithms for small messages: Flat, Binomial (recursive doubling, binomial reduce and broadcast) and
// Dissemination.
//
// All wait for the whole input before they begin; messages larger than a frame go as several frames.
#pragma once

#include "hfreduce/net/algorithm.hpp"

namespace ff::hfreduce::net {

// all_reduce: everybody sends its input to everybody and combines all of them in pairwise order. One latency, n - 1
// messages per rank, scratch of n - 1 messages.
class Flat final : public Algorithm {
 public:
  void plan(const Job& job, std::vector<LinkId>& needs) override;
  void start(const LinkTable& links) override;
  bool pump() override;
  bool done() const override { return combined_; }
  bool waits_for_input() const override { return !begun_; }
  void received(Link& link, const FrameHeader& header) override;
  void sent(Link& link, std::uint64_t cookie) override;

 protected:
  Landing place(Link& link, const FrameHeader& header) override;

 private:
  std::vector<std::uint64_t> got_;  // frames by peer
  std::vector<const void*> combine_in_;
  const LinkTable* links_ = nullptr;
  Scratch scratch_;
  Chunks frames_;
  std::uint64_t slot_bytes_ = 0, missing_ = 0, unsent_ = 0;
  bool begun_ = false, combined_ = false;
};

// all_reduce, reduce and broadcast in about log2 n steps, in pairwise order: step by step the two halves of T(lo, n)
// meet.
//   all_reduce, n a power of two   recursive doubling: step k exchanges with rank xor 2^k
//   all_reduce, other n            binomial reduce to rank 0, binomial broadcast from it
//   reduce                         binomial reduce to rank 0, which hands the result to the root
//   broadcast                      binomial, ranks counted from the root
// Inputs travel as they are, partial results as partials (partial.hpp); the last combination rounds and divides.
class Binomial final : public Algorithm {
 public:
  void plan(const Job& job, std::vector<LinkId>& needs) override;
  void start(const LinkTable& links) override;
  bool pump() override;
  bool done() const override { return step_ == steps_.size(); }
  bool waits_for_input() const override { return !begun_; }
  void received(Link& link, const FrameHeader& header) override;
  void sent(Link& link, std::uint64_t cookie) override;

 protected:
  Landing place(Link& link, const FrameHeader& header) override;

 private:
  enum class What : std::uint8_t { kExchange, kCombine, kSendPartial, kSendFinal, kReceiveFinal };
  struct Step {
    What what;
    int peer;
    bool peer_raw = false;  // what comes is the peer's input as it is
    bool last = false;      // the combination that finishes
  };

  void plan_doubling();
  void plan_reduce_to_zero();
  void plan_broadcast(int root);
  void enter();
  void leave();
  void send_message(FrameKind kind, const std::byte* data, std::uint64_t element_bytes);
  void combine();
  bool receives(const Step& step) const noexcept {
    return step.what == What::kExchange || step.what == What::kCombine || step.what == What::kReceiveFinal;
  }
  std::uint64_t incoming_bytes(const Step& step) const noexcept;

  std::vector<Step> steps_;
  std::size_t step_ = 0;
  const LinkTable* links_ = nullptr;
  Scratch landing_, partial_;
  Chunks incoming_;
  std::uint64_t landed_ = 0, unsent_ = 0;  // frames
  bool raw_ = true;                        // what I have is still my input as it is
  bool begun_ = false;
};

// barrier: in round k an empty frame to rank + 2^k, one from rank - 2^k. log2 n latencies.
class Dissemination final : public Algorithm {
 public:
  void plan(const Job& job, std::vector<LinkId>& needs) override;
  void start(const LinkTable& links) override;
  bool pump() override { return false; }
  bool done() const override { return round_ == rounds_; }
  void received(Link& link, const FrameHeader& header) override;

 protected:
  Landing place(Link& link, const FrameHeader& header) override;

 private:
  int from(int round) const noexcept { return (job_.rank - (1 << round) % job_.size + job_.size) % job_.size; }
  int to(int round) const noexcept { return (job_.rank + (1 << round)) % job_.size; }
  void send_token(int round);

  const LinkTable* links_ = nullptr;
  int round_ = 0, rounds_ = 0;
  std::uint64_t arrived_ = 0;  // bit k: the token of round k is here
};

}  // namespace ff::hfreduce::net
