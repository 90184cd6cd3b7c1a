// The phases on a real folder: what exists after each, how much was counted, and that nothing is left.
#include "ffbench/meta/workload.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "libcommon/testing/temp_folder.hpp"

namespace ff::bench {
namespace {

namespace fs = std::filesystem;

struct Found {
  int folders = 0, files = 0, renamed = 0;
  std::uintmax_t bytes = 0;
};

Found look(const std::string& path) {
  Found found;
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    if (entry.is_directory()) {
      ++found.folders;
    } else {
      ++found.files;
      found.renamed += entry.path().filename().string().starts_with("r.");
      found.bytes += entry.file_size();
    }
  }
  return found;
}

const MetaOptions kShared{.shape = {.tasks = 3, .depth = 1, .branch = 2, .files = 4}, .file_bytes = 100};

TEST(MetaWorkload, DoesWhatItsPhasesSayAndCountsIt) {
  testing::TempFolder folder;
  auto workload = MetaWorkload::make(local_names(), folder.path(), kShared);
  ASSERT_TRUE(workload) << workload.error().message();
  MetaWorkload& w = **workload;
  // Three folders; three tasks with four files in each.
  const auto run = [&](MetaPhase phase, double operations) {
    const auto reading = w.run(phase, {});
    ASSERT_TRUE(reading) << name_of(phase) << ": " << reading.error().message();
    EXPECT_EQ(reading->values.at(1), operations) << name_of(phase);
    EXPECT_EQ(static_cast<double>(w.operations(phase)), operations) << name_of(phase);
    EXPECT_GT(reading->values.at(0), 0);
    EXPECT_EQ(reading->latencies.at(0).count(), static_cast<std::uint64_t>(operations));
  };
  for (int round = 0; round < 2; ++round) {
    run(MetaPhase::kMkdir, 3);
    EXPECT_EQ(look(w.folder()).folders, 3);
    run(MetaPhase::kCreate, 36);
    EXPECT_EQ(look(w.folder()).files, 36);
    EXPECT_EQ(look(w.folder()).bytes, 3600u);
    run(MetaPhase::kStat, 36);
    run(MetaPhase::kRead, 36);
    run(MetaPhase::kReaddir, 9);
    run(MetaPhase::kRename, 36);
    EXPECT_EQ(look(w.folder()).renamed, 36);
    run(MetaPhase::kUnlink, 36);
    EXPECT_EQ(look(w.folder()).files, 0);
    run(MetaPhase::kRmdir, 3);
    EXPECT_EQ(look(w.folder()).folders, 0);
  }
}

TEST(MetaWorkload, OwnTreesAndShiftedRandomOrder) {
  testing::TempFolder folder;
  MetaOptions options = kShared;
  options.shape.unique = options.random = true;
  options.shift = 1;
  auto workload = MetaWorkload::make(local_names(), folder.path(), options);
  ASSERT_TRUE(workload);
  EXPECT_EQ((*workload)->operations(MetaPhase::kMkdir), 9);
  for (const MetaPhase phase : kMetaPhases) {
    const auto reading = (*workload)->run(phase, {});
    ASSERT_TRUE(reading) << name_of(phase) << ": " << reading.error().message();
  }
}

TEST(MetaWorkload, RemovesItsFolderAfterAnUnfinishedRoundAndTouchesNothingElse) {
  testing::TempFolder folder;
  std::ofstream(folder.path() + "/mine") << "x";
  {
    auto workload = MetaWorkload::make(local_names(), folder.path(), kShared);
    ASSERT_TRUE((*workload)->run(MetaPhase::kMkdir, {}));
    ASSERT_TRUE((*workload)->run(MetaPhase::kCreate, {}));
  }
  EXPECT_EQ(look(folder.path()).files, 1);
  EXPECT_EQ(look(folder.path()).folders, 0);
}

TEST(MetaWorkload, AFailedPhaseNamesThePathAndTheNextRoundBeginsAnew) {
  testing::TempFolder folder;
  auto workload = MetaWorkload::make(local_names(), folder.path(), kShared);
  MetaWorkload& w = **workload;
  ASSERT_TRUE(w.run(MetaPhase::kMkdir, {}));
  ASSERT_TRUE(w.run(MetaPhase::kCreate, {}));
  fs::remove(w.folder() + "/shared/d.1/f.2.3");
  const auto failed = w.run(MetaPhase::kStat, {});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code(), Errc::kNotFound);
  EXPECT_NE(failed.error().message().find("d.1/f.2.3: stat"), std::string::npos) << failed.error().message();
  EXPECT_FALSE(w.run(MetaPhase::kRead, {}));
  for (const MetaPhase phase : kMetaPhases) {
    const auto reading = w.run(phase, {});
    ASSERT_TRUE(reading) << name_of(phase) << ": " << reading.error().message();
  }
}

TEST(MetaWorkload, NoticesAFileOfAnotherLength) {
  testing::TempFolder folder;
  auto workload = MetaWorkload::make(local_names(), folder.path(), kShared);
  MetaWorkload& w = **workload;
  ASSERT_TRUE(w.run(MetaPhase::kMkdir, {}));
  ASSERT_TRUE(w.run(MetaPhase::kCreate, {}));
  fs::resize_file(w.folder() + "/shared/f.0.0", 99);
  const auto failed = w.run(MetaPhase::kStat, {});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code(), Errc::kCorrupt);
}

TEST(MetaWorkload, StopsSoonWhenAsked) {
  testing::TempFolder folder;
  MetaOptions options = kShared;
  options.shape.files = 1000;
  auto workload = MetaWorkload::make(local_names(), folder.path(), options);
  ASSERT_TRUE((*workload)->run(MetaPhase::kMkdir, {}));
  std::stop_source stop;
  stop.request_stop();
  const auto stopped = (*workload)->run(MetaPhase::kCreate, stop.get_token());
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code(), Errc::kCancelled);
}

TEST(MetaWorkload, SaysWhyItCannotWorkThere) {
  const auto absent = MetaWorkload::make(local_names(), "/no/such/folder", kShared);
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code(), Errc::kNotFound);
  EXPECT_NE(absent.error().message().find("/no/such/folder"), std::string::npos);
}

}  // namespace
}  // namespace ff::bench
