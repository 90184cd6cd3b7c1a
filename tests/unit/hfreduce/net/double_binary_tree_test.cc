// Every size from 2 to 1250, checked against the definition of a tree and the load that the double tree promises.
#include "hfreduce/tree/double_binary_tree.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace ff::hfreduce {
namespace {

constexpr int kSizeMax = 1250;

std::vector<TreeNode> whole_tree(int size, int tree) {
  std::vector<TreeNode> nodes;
  for (int r = 0; r < size; ++r) nodes.push_back(double_binary_tree(size, r, tree));
  return nodes;
}

TEST(DoubleBinaryTree, IsOneTreeWithAgreeingLinks) {
  for (int n = 2; n <= kSizeMax; ++n)
    for (int t = 0; t < 2; ++t) {
      const auto nodes = whole_tree(n, t);
      int roots = 0, edges = 0;
      for (int r = 0; r < n; ++r) {
        const TreeNode& node = nodes[static_cast<std::size_t>(r)];
        if (node.parent < 0) {
          ++roots;
          ASSERT_EQ(node.depth, 0);
        } else {
          const TreeNode& parent = nodes[static_cast<std::size_t>(node.parent)];
          ASSERT_TRUE(parent.children[0] == r || parent.children[1] == r) << n << " " << t << " " << r;
          // A depth that grows by one along every edge leaves no room for a cycle.
          ASSERT_EQ(node.depth, parent.depth + 1);
        }
        for (const int child : node.children) {
          if (child < 0) continue;
          ++edges;
          ASSERT_EQ(nodes[static_cast<std::size_t>(child)].parent, r);
        }
        ASSERT_FALSE(node.children[0] < 0 && node.children[1] >= 0) << "a single child is child 0";
      }
      ASSERT_EQ(roots, 1);
      ASSERT_EQ(edges, n - 1);
    }
}

TEST(DoubleBinaryTree, NoRankIsInteriorTwiceButRankZeroOfOddSizes) {
  for (int n = 2; n <= kSizeMax; ++n) {
    std::vector<int> twice;
    for (int r = 0; r < n; ++r) {
      const bool leaf0 = double_binary_tree(n, r, 0).is_leaf(), leaf1 = double_binary_tree(n, r, 1).is_leaf();
      ASSERT_FALSE(leaf0 && leaf1) << n << " " << r;
      if (!leaf0 && !leaf1) twice.push_back(r);
    }
    ASSERT_EQ(twice, n % 2 == 0 ? std::vector<int>{} : std::vector<int>{0}) << n;
  }
}

TEST(DoubleBinaryTree, NobodyMovesMoreThanTwiceTheMessageEachWay) {
  for (int n = 4; n <= kSizeMax; ++n) {
    double send_max = 0, receive_max = 0;
    for (int r = 0; r < n; ++r) {
      double send = 0, receive = 0;
      for (int t = 0; t < 2; ++t) {
        const TreeNode node = double_binary_tree(n, r, t);
        const int children = (node.children[0] >= 0 ? 1 : 0) + (node.children[1] >= 0 ? 1 : 0);
        const int parents = node.parent >= 0 ? 1 : 0;
        // Half of the message: up to the parent and down to the children; the mirror image received.
        send += 0.5 * (parents + children);
        receive += 0.5 * (children + parents);
      }
      send_max = std::max(send_max, send);
      receive_max = std::max(receive_max, receive);
    }
    ASSERT_EQ(send_max, 2.0) << n;
    ASSERT_EQ(receive_max, 2.0) << n;
  }
}

TEST(DoubleBinaryTree, HasTheDepthOfThePaper) {
  const int sizes[] = {4, 8, 16, 32, 64, 128, 180, 600, 1250};
  const int depths[] = {2, 3, 4, 5, 6, 7, 8, 10, 11};
  for (std::size_t i = 0; i < std::size(sizes); ++i)
    EXPECT_EQ(double_binary_tree_depth(sizes[i]), depths[i]) << sizes[i];
}

TEST(DoubleBinaryTree, OfSixRanksIsAsDrawn) {
  // Tree 0: 0 - 4 - {2 - {1, 3}, 5}. Tree 1 is its mirror image: rank r at position 5 - r.
  EXPECT_EQ(double_binary_tree(6, 0, 0).children, (std::array<int, 2>{4, -1}));
  EXPECT_EQ(double_binary_tree(6, 4, 0).children, (std::array<int, 2>{2, 5}));
  EXPECT_EQ(double_binary_tree(6, 2, 0).children, (std::array<int, 2>{1, 3}));
  EXPECT_EQ(double_binary_tree(6, 5, 1).children, (std::array<int, 2>{1, -1}));
  EXPECT_EQ(double_binary_tree(6, 1, 1).children, (std::array<int, 2>{3, 0}));
}

TEST(DoubleBinaryTree, OfOneRankIsARootAlone) {
  EXPECT_EQ(double_binary_tree(1, 0, 0).parent, -1);
  EXPECT_TRUE(double_binary_tree(1, 0, 1).is_leaf());
  EXPECT_EQ(double_binary_tree_depth(1), 0);
}

}  // namespace
}  // namespace ff::hfreduce
