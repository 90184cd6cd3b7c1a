// caches, big_memory and core_clock over folders that stand for the kernel's.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "ffbench/compute/big_memory.hpp"
#include "ffbench/compute/caches.hpp"
#include "ffbench/compute/core_clock.hpp"
#include "ffbench/compute/cpu_team.hpp"
#include "libcommon/testing/temp_folder.hpp"

namespace ff::bench {
namespace {

class MachineFacts : public ::testing::Test {
 protected:
  void put(const std::string& path, const std::string& text) {
    const std::filesystem::path file = root() + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  void put_cache(int cpu, int index, const char* level, const char* type, const char* size, const char* shared) {
    const std::string folder =
        "sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/cache/index" + std::to_string(index) + "/";
    put(folder + "level", std::string(level) + "\n");
    put(folder + "type", std::string(type) + "\n");
    put(folder + "size", std::string(size) + "\n");
    put(folder + "shared_cpu_list", std::string(shared) + "\n");
  }
  std::string root() const { return folder_.path() + "/"; }

  testing::TempFolder folder_;
};

TEST_F(MachineFacts, LastLevelCachesAddUpOncePerGroup) {
  for (int cpu = 0; cpu < 4; ++cpu) {
    put_cache(cpu, 0, "1", "Data", "32K", "");
    put_cache(cpu, 1, "1", "Instruction", "64K", "");
    put_cache(cpu, 2, "2", "Unified", "1024K", "");
    put_cache(cpu, 3, "3", "Unified", "16384K", cpu < 2 ? "0-1" : "2-3");
  }
  const int all[] = {0, 1, 2, 3};
  const Caches caches = read_caches(all, root());
  EXPECT_TRUE(caches.known);
  EXPECT_EQ(caches.l1, 32u << 10);
  EXPECT_EQ(caches.l2, 1u << 20);
  EXPECT_EQ(caches.last_level, 16u << 20);
  EXPECT_EQ(caches.last_level_sum, 32u << 20);
  EXPECT_EQ(read_caches({all, 2}, root()).last_level_sum, 16u << 20);
}

TEST_F(MachineFacts, WithoutSysfsTheLastLevelIsAGuess) {
  const int all[] = {0};
  EXPECT_FALSE(read_caches(all, root()).known);
  EXPECT_EQ(read_caches(all, root()).last_level_sum, 32u << 20);
}

TEST_F(MachineFacts, AvailableMemoryHeedsTheStrictestGroup) {
  put("proc/meminfo", "MemTotal:       1000000 kB\nMemAvailable:    500000 kB\n");
  EXPECT_EQ(*available_memory(root()), 500000u * 1024);
  EXPECT_EQ(*total_memory(root()), 1000000u * 1024);
  put("proc/self/cgroup", "0::/jobs/one\n");
  put("sys/fs/cgroup/jobs/one/memory.max", "max\n");
  put("sys/fs/cgroup/jobs/memory.max", "100000000\n");
  put("sys/fs/cgroup/jobs/memory.current", "30000000\n");
  EXPECT_EQ(*available_memory(root()), 70000000u);
  put("sys/fs/cgroup/jobs/memory.current", "130000000\n");
  EXPECT_EQ(*available_memory(root()), 0u);
}

TEST_F(MachineFacts, StatedClockIsInHertz) {
  EXPECT_FALSE(stated_hz(3, root()));
  put("sys/devices/system/cpu/cpu3/cpufreq/scaling_cur_freq", "2450000\n");
  EXPECT_EQ(stated_hz(3, root()), 2.45e9);
  EXPECT_GT(measured_hz(), 1e7);
}

TEST(BigMemory, IsAlignedZeroedAndRefusesTooMuch) {
  const auto memory = BigMemory::map(5 << 20);
  ASSERT_TRUE(memory) << memory.error().message();
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory->data()) % (2 << 20), 0u);
  EXPECT_EQ(memory->as<char>()[(5 << 20) - 1], 0);
  EXPECT_EQ(BigMemory::map(1ull << 60).error().code(), Errc::kExhausted);
}

TEST(CpuTeam, SharesCoverEverythingOnce) {
  std::size_t next = 0;
  for (std::size_t i = 0; i < 7; ++i) {
    const Share share = share_of(1000, 64, i, 7);
    EXPECT_EQ(share.first, next);
    EXPECT_TRUE(share.last % 64 == 0 || i == 6);
    next = share.last;
  }
  EXPECT_EQ(next, 1000u);
}

TEST(CpuTeam, RefusesProcessorsTwiceAndUnknown) {
  EXPECT_EQ(usable_cpus({0, 0}).error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(usable_cpus({5000}).error().code(), Errc::kInvalidArgument);
  EXPECT_FALSE(usable_cpus({})->empty());
}

}  // namespace
}  // namespace ff::bench
