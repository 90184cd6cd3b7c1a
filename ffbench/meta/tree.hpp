// The tree of names that `ffbench meta` makes: pure arithmetic, so that the counts of operations are known beforehand.
//
// Shape    As mdtest's: a root folder, under it `branch` folders a level down to `depth` levels (depth 0: the root
//          alone), and in every folder of the tree `files` files of each task. Every task has a tree of its own
//          ("task.3"), or all share one ("shared").
// Names    folders "d.N" with N the child's number; files "f.TASK.N", after the rename phase "r.TASK.N".
// Threads  Immutable after construction.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "libcommon/base/result.hpp"

namespace ff::bench {

struct TreeShape {
  std::int64_t tasks = 1;
  std::int64_t depth = 0;
  std::int64_t branch = 1;
  std::int64_t files = 1000;  // of each task in each folder
  bool unique = false;        // a tree for each task
};

inline constexpr std::int64_t kTreeFilesMax = 100'000'000;  // of all tasks

class NameTree {
 public:
  // kInvalidArgument: a number below its least, or more than kTreeFilesMax files.
  static Result<NameTree> make(TreeShape shape, const std::string& root);

  const TreeShape& shape() const noexcept { return shape_; }
  std::int64_t folders_per_tree() const noexcept { return static_cast<std::int64_t>(folders_.size()); }
  std::int64_t trees() const noexcept { return shape_.unique ? shape_.tasks : 1; }
  // Files of one task.
  std::int64_t files_per_task() const noexcept { return folders_per_tree() * shape_.files; }

  // Folder `index` of the tree that the task uses, parents before children; index 0 is the tree's root.
  std::string folder(std::int64_t task, std::int64_t index) const;
  // The task's file `index`, counted through the folders in turn: neighbours in number lie in different folders.
  std::string file(std::int64_t task, std::int64_t index, bool renamed) const;

 private:
  NameTree(TreeShape shape, std::string root, std::vector<std::string> folders)
      : shape_(shape), root_(std::move(root)), folders_(std::move(folders)) {}

  TreeShape shape_;
  std::string root_;
  std::vector<std::string> folders_;  // paths below the tree's root: "", "/d.0", "/d.0/d.1", ...
};

}  // namespace ff::bench
