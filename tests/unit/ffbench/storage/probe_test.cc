// The validator's look at storage: what it leaves behind, how long it takes on a slow disk.
#include "ffbench/storage/probe.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <thread>

#include "libcommon/testing/sim_env.hpp"
#include "libcommon/testing/sim_world.hpp"
#include "libcommon/testing/temp_folder.hpp"

namespace ff::bench {
namespace {

using namespace std::chrono_literals;
using runtime::Task;

TEST(StorageProbe, FindsNothingWrongWithThisStorageAndLeavesNothing) {
  testing::TempFolder folder;
  const auto probe = probe_storage(folder.path(), 2 << 20, 50ms, {});
  ASSERT_TRUE(probe) << probe.error().message();
  EXPECT_EQ(probe->verify_errors, 0u);
  EXPECT_GT(probe->write_bandwidth, 0);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

// The validator kills a check that is late, and is killed itself.
TEST(StorageProbe, LeavesNothingWhenItIsKilled) {
  testing::TempFolder folder;
  const pid_t child = ::fork();
  if (child == 0) {
    const auto ignored = probe_storage(folder.path(), 1 << 20, 60s, {});
    ::_exit(ignored ? 0 : 1);
  }
  std::this_thread::sleep_for(1s);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, WNOHANG), 0) << "it ended by itself, with " << status;
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(StorageProbe, EndsInTimeOnASlowDisk) {
  testing::WorldOptions options;
  options.disk.bytes_per_second = 4e6;
  testing::SimWorld world(1, options);
  world.add_node();
  StorageProbe probe;
  runtime::Duration elapsed{};
  world.start(0, [&](testing::SimEnv& env) -> Task<Result<>> {
    const auto begin = env.now();
    FF_CO_TRY_ASSIGN(probe, co_await probe_on_env(env, "probe", 64 << 20, 500ms, {}));
    elapsed = env.now() - begin;
    co_return {};
  });
  ASSERT_TRUE(world.run_until([&] { return world.exited(0); }, 10min));
  ASSERT_TRUE(world.exit_result(0)) << world.exit_result(0).error().message();
  EXPECT_LT(elapsed, 5s);  // 64 MiB alone would take 16 s each way
  EXPECT_NEAR(probe.write_bandwidth, 4e6, 1e6);
  EXPECT_NEAR(probe.read_bandwidth, 4e6, 1e6);
  EXPECT_EQ(probe.verify_errors, 0u);
}

}  // namespace
}  // namespace ff::bench
