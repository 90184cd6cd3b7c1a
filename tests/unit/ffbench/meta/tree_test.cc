// The arithmetic of mdtest's trees.
#include "ffbench/meta/tree.hpp"

#include <gtest/gtest.h>

#include <set>

namespace ff::bench {
namespace {

TEST(NameTree, HasTheFoldersOfAFullTree) {
  // 1 + 3 + 9 folders; 5 files of each task in each.
  const auto tree = NameTree::make({.tasks = 4, .depth = 2, .branch = 3, .files = 5, .unique = false}, "/r");
  ASSERT_TRUE(tree) << tree.error().message();
  EXPECT_EQ(tree->folders_per_tree(), 13);
  EXPECT_EQ(tree->trees(), 1);
  EXPECT_EQ(tree->files_per_task(), 65);
  EXPECT_EQ(tree->folder(2, 0), "/r/shared");
  EXPECT_EQ(tree->folder(2, 1), "/r/shared/d.0");
  EXPECT_EQ(tree->folder(2, 12), "/r/shared/d.2/d.2");
}

TEST(NameTree, ParentsComeBeforeChildren) {
  const auto tree = NameTree::make({.depth = 3, .branch = 2, .files = 1, .unique = true}, "/r").value();
  std::set<std::string> made;
  for (std::int64_t i = 0; i < tree.folders_per_tree(); ++i) {
    const std::string folder = tree.folder(0, i);
    if (i > 0) {
      EXPECT_TRUE(made.contains(folder.substr(0, folder.rfind('/')))) << folder;
    }
    EXPECT_TRUE(made.insert(folder).second) << folder;
  }
  EXPECT_EQ(made.size(), 15u);
}

TEST(NameTree, GivesEveryFileOfEveryTaskANameOfItsOwn) {
  for (const bool unique : {false, true}) {
    const auto tree = NameTree::make({.tasks = 3, .depth = 1, .branch = 2, .files = 4, .unique = unique}, "/r").value();
    std::set<std::string> names;
    for (std::int64_t task = 0; task < 3; ++task)
      for (std::int64_t i = 0; i < tree.files_per_task(); ++i)
        for (const bool renamed : {false, true}) names.insert(tree.file(task, i, renamed));
    EXPECT_EQ(names.size(), 3u * 12 * 2);
  }
}

TEST(NameTree, RefusesTreesThatNobodyCanMean) {
  EXPECT_FALSE(NameTree::make({.tasks = 0}, "/r"));
  EXPECT_FALSE(NameTree::make({.files = 0}, "/r"));
  EXPECT_FALSE(NameTree::make({.branch = 0}, "/r"));
  EXPECT_FALSE(NameTree::make({.depth = 60, .branch = 2}, "/r"));
  EXPECT_FALSE(NameTree::make({.tasks = 4000, .files = 100'000}, "/r"));
}

}  // namespace
}  // namespace ff::bench
