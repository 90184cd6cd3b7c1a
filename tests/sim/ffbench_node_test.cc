// The node validator's storage check on simulated disks: a profile learned on good ones drains the node with a slow one
// and names what is slow; a good one that the profile never saw stays fit.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "ffbench/node/checks.hpp"
#include "ffbench/node/node_report.hpp"
#include "ffbench/node/profile.hpp"
#include "libcommon/testing/sim_env.hpp"
#include "libcommon/testing/sim_world.hpp"

namespace ff::bench {
namespace {

using namespace std::chrono_literals;
using runtime::Task;
using testing::Latency;

constexpr std::uint64_t kProbeBytes = 8 << 20;

testing::DiskModel good_disk() {
  testing::DiskModel disk;
  disk.read = Latency::lognormal(80us, 0.3);
  disk.write = Latency::lognormal(30us, 0.3);
  disk.sync = Latency::lognormal(200us, 0.3);
  disk.bytes_per_second = 2e9;
  return disk;
}

Result<StorageProbe> probe_simulated(std::uint64_t seed, testing::DiskModel disk) {
  testing::WorldOptions options;
  options.disk = disk;
  testing::SimWorld world(seed, options);
  world.add_node();
  StorageProbe probe;
  world.start(0, [&](testing::SimEnv& env) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(probe, co_await probe_on_env(env, "probe", kProbeBytes, 500ms, {}));
    co_return {};
  });
  FF_TRY(world.run_until([&] { return world.exited(0); }, 10min));
  FF_TRY(world.exit_result(0));
  return probe;
}

NodeReport validate(std::uint64_t seed, const testing::DiskModel& disk) {
  NodeContext context;
  context.folder = "/simulated";
  context.probe_storage = [&](auto&&...) { return probe_simulated(seed, disk); };
  return {.host = "n" + std::to_string(seed),
          .level = "quick",
          .version = {},
          .started = {},
          .checks = check_storage(context)};
}

const Profile& learned() {
  static const Profile kProfile = [] {
    std::vector<NodeReport> good;
    for (std::uint64_t seed = 1; seed <= 5; ++seed) good.push_back(validate(seed, good_disk()));
    const auto profile = learn_profile(good);
    EXPECT_TRUE(profile) << profile.error().message();
    return profile.value_or(Profile{});
  }();
  return kProfile;
}

// The findings that failed, of a node with this disk.
std::vector<std::string> failed(const testing::DiskModel& disk) {
  NodeReport node = validate(77, disk);
  judge_by_profile(node.checks, learned(), {"storage"});
  std::vector<std::string> ids;
  for (const Finding& finding : node.checks)
    if (finding.verdict != CheckVerdict::kPass) ids.push_back(finding.id);
  EXPECT_EQ(node.fitness(), ids.empty() ? Fitness::kFit : Fitness::kDrain);
  std::ranges::sort(ids);
  return ids;
}

TEST(NodeOnSim, ADiskLikeTheOthersIsFit) { EXPECT_EQ(failed(good_disk()), std::vector<std::string>{}); }

TEST(NodeOnSim, ADiskThatReadsSlowlyIsNamed) {
  testing::DiskModel disk = good_disk();
  disk.read = Latency::lognormal(2ms, 0.3);
  EXPECT_EQ(failed(disk), (std::vector<std::string>{"storage.randread_p99", "storage.read"}));
}

TEST(NodeOnSim, ADiskThatSyncsSlowlyIsNamed) {
  testing::DiskModel disk = good_disk();
  disk.sync = Latency::lognormal(5ms, 0.3);
  const auto ids = failed(disk);
  EXPECT_TRUE(std::ranges::find(ids, "storage.fsync_p99") != ids.end());
  EXPECT_TRUE(std::ranges::find(ids, "storage.read") == ids.end());
}

TEST(NodeOnSim, ADiskOfLowBandwidthIsNamed) {
  testing::DiskModel disk = good_disk();
  disk.bytes_per_second = 2e8;
  const auto ids = failed(disk);
  EXPECT_TRUE(std::ranges::find(ids, "storage.write") != ids.end());
  EXPECT_TRUE(std::ranges::find(ids, "storage.read") != ids.end());
}

TEST(NodeOnSim, ADiskThatFlipsBitsIsNamed) {
  testing::DiskModel disk = good_disk();
  disk.bit_flip = 1;
  const auto ids = failed(disk);
  EXPECT_TRUE(std::ranges::find(ids, "storage.wrong") != ids.end());
}

TEST(NodeOnSim, ADiskThatFailsIsNamed) {
  testing::DiskModel disk = good_disk();
  disk.read_error = 1;
  NodeReport node = validate(77, disk);
  ASSERT_EQ(node.checks.size(), 1u);
  EXPECT_EQ(node.checks[0].id, "storage");
  EXPECT_EQ(node.fitness(), Fitness::kDrain);
}

}  // namespace
}  // namespace ff::bench
