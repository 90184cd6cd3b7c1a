// Which operations the tasks do, in which order: by mdtest's rules.
#include "ffbench/meta/plan.hpp"

#include <gtest/gtest.h>

#include <set>

namespace ff::bench {
namespace {

const MetaOptions kShared{.shape = {.tasks = 3, .depth = 1, .branch = 2, .files = 4}, .file_bytes = 100, .sync = true};

std::vector<MetaStep> steps(const MetaOptions& options, MetaPhase phase, std::int64_t task) {
  const MetaPlan plan = MetaPlan::make(options, "/r").value();
  const MetaWalk walk(plan, phase, task);
  std::vector<MetaStep> all;
  for (std::uint64_t i = 0; i < walk.count(); ++i) all.push_back(walk.step(i));
  return all;
}

TEST(MetaPlan, OnlyTheFirstTaskMakesASharedTree) {
  EXPECT_EQ(steps(kShared, MetaPhase::kMkdir, 0).size(), 3u);
  EXPECT_TRUE(steps(kShared, MetaPhase::kMkdir, 1).empty());
  MetaOptions own = kShared;
  own.shape.unique = true;
  EXPECT_EQ(steps(own, MetaPhase::kMkdir, 1).size(), 3u);
}

TEST(MetaPlan, FoldersGoInTheOppositeOrder) {
  const auto made = steps(kShared, MetaPhase::kMkdir, 0), removed = steps(kShared, MetaPhase::kRmdir, 0);
  ASSERT_EQ(made.size(), removed.size());
  for (std::size_t i = 0; i < made.size(); ++i) EXPECT_EQ(made[i].path, removed[made.size() - 1 - i].path);
}

TEST(MetaPlan, StepsSayWhatIsExpected) {
  for (const MetaStep& step : steps(kShared, MetaPhase::kCreate, 2)) {
    EXPECT_EQ(step.bytes, 100u);
    EXPECT_TRUE(step.sync);
  }
  for (const MetaStep& step : steps(kShared, MetaPhase::kStat, 2)) EXPECT_EQ(step.bytes, 100u);
  for (const MetaStep& step : steps(kShared, MetaPhase::kReaddir, 2)) EXPECT_EQ(step.least, 4 * 3);
  const auto renamed = steps(kShared, MetaPhase::kRename, 2), removed = steps(kShared, MetaPhase::kUnlink, 2);
  ASSERT_EQ(renamed.size(), removed.size());
  for (std::size_t i = 0; i < renamed.size(); ++i) EXPECT_EQ(renamed[i].to, removed[i].path);
}

TEST(MetaPlan, ShiftTakesTheFilesOfAnotherTaskWhereTheyAreOnlyLookedAt) {
  MetaOptions shifted = kShared;
  shifted.shift = 2;
  for (const MetaPhase phase : {MetaPhase::kStat, MetaPhase::kRead})
    for (const MetaStep& step : steps(shifted, phase, 2))
      EXPECT_NE(step.path.find("/f.1."), std::string::npos) << step.path;
  for (const MetaPhase phase : {MetaPhase::kCreate, MetaPhase::kRename})
    for (const MetaStep& step : steps(shifted, phase, 2))
      EXPECT_NE(step.path.find("/f.2."), std::string::npos) << step.path;
}

TEST(MetaPlan, ARandomOrderTakesEachFileOnceAndIsNotThatOfTheTree) {
  MetaOptions random = kShared;
  random.random = true;
  random.shape.files = 100;
  MetaOptions straight = random;
  straight.random = false;
  const auto shuffled = steps(random, MetaPhase::kStat, 1), plain = steps(straight, MetaPhase::kStat, 1);
  ASSERT_EQ(shuffled.size(), 300u);
  std::set<std::string> names;
  std::size_t same = 0;
  for (std::size_t i = 0; i < shuffled.size(); ++i) {
    names.insert(shuffled[i].path);
    same += shuffled[i].path == plain[i].path;
  }
  EXPECT_EQ(names.size(), 300u);
  EXPECT_LT(same, 30u);
}

}  // namespace
}  // namespace ff::bench
