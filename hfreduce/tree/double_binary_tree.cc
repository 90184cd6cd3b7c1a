// In-order numbering: odd positions are leaves, the lowest set bit of a position is its height. The second tree uses
// the same shape on renumbered ranks, mirrored for even sizes and shifted by one for odd ones, so that leaves become
// interior.
#include "hfreduce/tree/double_binary_tree.hpp"

#include <algorithm>
#include <bit>

#include "libcommon/base/assert.hpp"

namespace ff::hfreduce {
namespace {

int lowest_bit(int position) noexcept { return position & -position; }

int parent_of(int size, int position) noexcept {
  if (position == 0) return -1;
  const int bit = lowest_bit(position);
  const int up = (position ^ bit) | (bit << 1);
  return up < size ? up : position ^ bit;
}

std::array<int, 2> children_of(int size, int position) noexcept {
  if (position == 0) {
    // The root has one child: the largest power of two below the size.
    return {size > 1 ? static_cast<int>(std::bit_floor(static_cast<unsigned>(size - 1))) : -1, -1};
  }
  const int half = lowest_bit(position) / 2;
  if (half == 0) return {-1, -1};
  int right = -1;
  for (int step = half; step > 0 && right < 0; step /= 2)
    if (position + step < size) right = position + step;
  return {position - half, right};
}

int position_of(int size, int rank, int tree) noexcept {
  if (tree == 0) return rank;
  return size % 2 == 0 ? size - 1 - rank : (rank + size - 1) % size;
}

int rank_of(int size, int position, int tree) noexcept {
  if (position < 0) return -1;
  if (tree == 0) return position;
  return size % 2 == 0 ? size - 1 - position : (position + 1) % size;
}

}  // namespace

TreeNode double_binary_tree(int size, int rank, int tree) noexcept {
  FF_ASSERT(rank >= 0 && rank < size && (tree == 0 || tree == 1), size, rank, tree);
  const int position = position_of(size, rank, tree);
  TreeNode node;
  node.parent = rank_of(size, parent_of(size, position), tree);
  const auto below = children_of(size, position);
  for (std::size_t i = 0; i < 2; ++i) node.children[i] = rank_of(size, below[i], tree);
  for (int up = parent_of(size, position); up >= 0; up = parent_of(size, up)) ++node.depth;
  return node;
}

int double_binary_tree_depth(int size) noexcept {
  int deepest = 0;
  // Both trees have one shape.
  for (int rank = 0; rank < size; ++rank) deepest = std::max(deepest, double_binary_tree(size, rank, 0).depth);
  return deepest;
}

}  // namespace ff::hfreduce
