// A made-up machine of two sockets, read from a folder.
#include "libcommon/machine/machine.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace ff::machine {
namespace {

class FakeRoot {
 public:
  FakeRoot() {
    std::string name = (std::filesystem::temp_directory_path() / "ff-root-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~FakeRoot() { std::filesystem::remove_all(path_); }
  void write(const std::string& name, const std::string& text) {
    const std::filesystem::path path = path_ + "/" + name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text << '\n';
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(CountInList, KernelLists) {
  EXPECT_EQ(count_in_list("0-2,5"), 4);
  EXPECT_EQ(count_in_list("7"), 1);
  EXPECT_EQ(count_in_list(""), 0);
  EXPECT_EQ(count_in_list("3-1"), 0);
  EXPECT_EQ(count_in_list("a"), 0);
}

TEST(ReadMachine, TwoSocketsFourCores) {
  FakeRoot root;
  for (int cpu = 0; cpu < 4; ++cpu) {
    const std::string at = "sys/devices/system/cpu/cpu" + std::to_string(cpu);
    root.write(at + "/topology/physical_package_id", std::to_string(cpu / 2));
    root.write(at + "/cache/index0/level", "1");
    root.write(at + "/cache/index0/type", "Instruction");
    root.write(at + "/cache/index3/level", "3");
    root.write(at + "/cache/index3/type", "Unified");
    root.write(at + "/cache/index3/size", "32768K");
    root.write(at + "/cache/index3/shared_cpu_list", cpu < 2 ? "0-1" : "2-3");
  }
  root.write("sys/devices/system/cpu/cpufreq/boost", "1");  // not a core
  root.write("sys/devices/system/node/node1/cpulist", "2-3");
  root.write("sys/devices/system/node/node1/meminfo", "Node 1 MemTotal:       1024 kB");
  root.write("sys/class/net/lo/operstate", "unknown");
  root.write("sys/class/net/eth0/operstate", "up");
  root.write("sys/class/net/eth0/speed", "200000");
  root.write("sys/class/net/eth0/mtu", "9000");
  root.write("sys/class/net/veth0/speed", "-1");
  root.write("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never");
  root.write("proc/cpuinfo", "processor\t: 0\nmodel name\t: Fast One\n");
  root.write("proc/meminfo", "MemTotal:        2048 kB");
  root.write("proc/sys/kernel/yama/ptrace_scope", "1");
  root.write("proc/sys/net/ipv4/tcp_congestion_control", "bbr");

  const Machine m = read_machine(root.path());
  EXPECT_EQ(m.sockets, 2);
  EXPECT_EQ(m.cores_online, 4);
  EXPECT_EQ(m.cpu_model, "Fast One");
  EXPECT_EQ(m.memory_bytes, 2048u * 1024);
  ASSERT_EQ(m.caches.size(), 1u);
  EXPECT_EQ(m.caches[0].bytes, 32u << 20);
  EXPECT_EQ(m.caches[0].instances, 2);
  EXPECT_EQ(m.caches[0].cpus_sharing_one, 2);
  ASSERT_EQ(m.nodes.size(), 1u);
  EXPECT_EQ(m.nodes[0].memory_bytes, 1024u * 1024);
  ASSERT_EQ(m.nics.size(), 2u);
  EXPECT_EQ(m.nics[0].bits_per_second, 200'000'000'000u);
  EXPECT_FALSE(m.nics[1].bits_per_second);
  EXPECT_EQ(m.yama_ptrace_scope, 1);
  EXPECT_EQ(m.thp, "madvise");
  EXPECT_EQ(m.tcp_congestion_control, "bbr");
}

TEST(ReadMachine, AnEmptyRootIsNoError) {
  FakeRoot root;
  const Machine m = read_machine(root.path());
  EXPECT_EQ(m.sockets, 0);
  EXPECT_TRUE(m.cpu_model.empty());
  EXPECT_FALSE(m.yama_ptrace_scope);
}

}  // namespace
}  // namespace ff::machine
