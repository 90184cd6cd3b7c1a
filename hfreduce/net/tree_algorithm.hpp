// Tree: pipelined double binary tree. Partial sums go up, results come down, chunk by chunk, both trees and both
// directions at once.
//
//   all_reduce  even chunks in tree 0, odd chunks in tree 1: every rank moves at most twice the message each way
//   reduce      up only, broadcast down only; tree 0 with ranks counted from the root
//
// Order     child 0, self, child 1 at every node, so it is fixed by the size; partials of low types are fp32
//           (partial.hpp).
// Memory    kSlots chunks per child and for the own partial sum; a child's chunk that finds no slot stays in the
//           kernel.
// Progress  No deadlock: each tree has its own link (lane), on which one direction carries only partials and the
//           other only results. Partials wait for partials from below only, results are always taken.
#pragma once

#include <array>

#include "hfreduce/net/algorithm.hpp"
#include "hfreduce/tree/double_binary_tree.hpp"

namespace ff::hfreduce::net {

class Tree final : public Algorithm {
 public:
  void plan(const Job& job, std::vector<LinkId>& needs) override;
  void start(const LinkTable& links) override;
  bool pump() override;
  bool done() const override;
  bool waits_for_input() const override;
  void received(Link& link, const FrameHeader& header) override;
  void sent(Link& link, std::uint64_t cookie) override;

 protected:
  Landing place(Link& link, const FrameHeader& header) override;

 private:
  static constexpr std::uint64_t kSlots = 4;
  static constexpr std::uint64_t kNoCookie = 0, kPartialCookie = 1;

  struct Half {
    TreeNode node;                           // in ranks of the group
    std::array<bool, 2> child_is_leaf{};     // a leaf sends its input as it is
    std::uint64_t first = 0, stride = 1;     // chunk of position i: first + i * stride
    std::uint64_t count = 0;                 // chunks in this tree
    std::array<std::uint64_t, 2> arrived{};  // positions received from each child
    std::uint64_t combined = 0;              // positions combined (a leaf: queued)
    std::uint64_t partials_sent = 0;         // of those, in the kernel
    std::uint64_t results = 0;               // positions whose result is here
    std::uint64_t chunk(std::uint64_t position) const noexcept { return first + position * stride; }
  };

  bool up() const noexcept { return job_.kind != Collective::kBroadcast; }
  bool down() const noexcept { return job_.kind != Collective::kReduce; }
  void plan_half(int tree, int relative_to);
  std::uint64_t child_bytes(const Half& half, std::size_t child, std::uint64_t chunk) const noexcept;
  std::byte* child_slot(int tree, std::size_t child, std::uint64_t position) noexcept;
  std::byte* partial_slot(int tree, std::uint64_t position) noexcept;
  bool advance(int tree);
  bool may_combine(const Half& half) const noexcept;
  bool input_ready(const Half& half) const noexcept { return job_.ready(chunks_.end(half.chunk(half.combined))); }
  void combine(int tree);
  void send_down(int tree, std::uint64_t chunk, const std::byte* data);

  std::array<Half, 2> halves_;
  int trees_ = 0;
  Chunks chunks_;
  std::uint64_t slot_bytes_ = 0;
  const LinkTable* links_ = nullptr;
  Scratch scratch_;
  OutputPrefix prefix_;
};

}  // namespace ff::hfreduce::net
