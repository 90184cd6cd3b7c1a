// The two trees of the double binary tree, as pure functions of (size, rank).
//
// Each tree carries half of the chunks; a rank is interior in at most one of them (for odd sizes rank 0 in both),
// so each sends and receives at most twice the message in all.
// Source  Sanders, Speck, Traeff, "Two-tree algorithms for full bandwidth broadcast, reduction and scan" (2009);
//         the shape is NCCL's in-order tree. Tested for 2..1250 ranks (Fire-Flyer paper, up to 1,250 nodes).
#pragma once

#include <array>
#include <span>

namespace ff::hfreduce {

struct TreeNode {
  int parent = -1;                      // -1: root
  std::array<int, 2> children{-1, -1};  // -1: none; combined as child 0, self, child 1
  int depth = 0;                        // edges to the root

  bool is_leaf() const noexcept { return children[0] < 0 && children[1] < 0; }
};

// REQUIRES 0 <= rank < size, tree in {0, 1}.
TreeNode double_binary_tree(int size, int rank, int tree) noexcept;

// Edges on the longest way from a leaf to the root, over both trees.
int double_binary_tree_depth(int size) noexcept;

}  // namespace ff::hfreduce
