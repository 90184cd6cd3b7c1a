// A made-up machine, read from a folder.
#include "ffbench/measure/environment.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "libcommon/testing/temp_folder.hpp"

namespace ff::bench {
namespace {

void write(const testing::TempFolder& root, const std::string& name, const std::string& text) {
  const std::filesystem::path path = root.file(name);
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path) << text << '\n';
}

report::Cell fact(const std::vector<FieldGroup>& groups, const std::string& group, const std::string& field) {
  for (const FieldGroup& each : groups)
    if (each.name == group)
      for (const auto& [name, cell] : each.fields)
        if (name == field) return cell;
  return {};
}

using report::Cell;

TEST(CaptureEnvironment, ReadsWhatIsThere) {
  const testing::TempFolder root;
  write(root, "proc/sys/kernel/hostname", "node17");
  write(root, "proc/cpuinfo", "model name\t: Fast One\nflags\t\t: fpu hypervisor sse\nmicrocode\t: 0x1");
  write(root, "proc/meminfo", "MemTotal: 2048 kB\nMemAvailable: 1024 kB\nHugePages_Total: 3\nHugepagesize: 2048 kB");
  write(root, "proc/self/mountinfo",
        "1 0 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "2 1 8:2 / /data\\040set rw,noatime - xfs /dev/nvme0n1 rw\n"
        "3 1 8:3 / /data rw - tmpfs tmpfs rw");
  write(root, "etc/os-release", "ID=debian\nPRETTY_NAME=\"Debian 12\"");
  write(root, "sys/class/dmi/id/sys_vendor", "QEMU");
  const std::string cpu = "sys/devices/system/cpu/";
  write(root, cpu + "cpu0/cpufreq/scaling_governor", "powersave");
  write(root, cpu + "cpu1/cpufreq/scaling_governor", "powersave");
  write(root, cpu + "cpu0/cpufreq/scaling_cur_freq", "2000000");
  write(root, cpu + "cpu1/cpufreq/scaling_cur_freq", "3500000");
  write(root, cpu + "intel_pstate/no_turbo", "1");
  write(root, cpu + "smt/active", "1");
  write(root, cpu + "vulnerabilities/mds", "Not affected");
  write(root, cpu + "vulnerabilities/spectre_v2", "Mitigation: Retpolines");
  write(root, "sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet");
  write(root, "sys/block/nvme0n1/size", "2048");
  write(root, "sys/block/nvme0n1/device/model", "Quick Disk   ");
  write(root, "sys/block/nvme0n1/queue/rotational", "0");
  write(root, "sys/block/nvme0n1/queue/scheduler", "[none] mq-deadline");
  write(root, "sys/block/loop0/size", "0");
  write(root, "sys/class/net/eth0/mtu", "9000");
  write(root, "sys/class/net/eth0/operstate", "up");

  const auto groups = capture_environment(root.path(), "/data set/run");
  EXPECT_EQ(fact(groups, "host", "name"), Cell(std::string("node17")));
  EXPECT_EQ(fact(groups, "host", "os"), Cell(std::string("Debian 12")));
  EXPECT_EQ(fact(groups, "host", "virtualisation"), Cell(std::string("virtual machine (QEMU)")));
  EXPECT_EQ(fact(groups, "host", "clock_source"), Cell(std::string("hpet")));
  EXPECT_EQ(fact(groups, "cpu", "model"), Cell(std::string("Fast One")));
  EXPECT_EQ(fact(groups, "cpu", "governor"), Cell(std::string("powersave")));
  EXPECT_EQ(fact(groups, "cpu", "turbo"), Cell(false));
  EXPECT_EQ(fact(groups, "cpu", "smt"), Cell(true));
  EXPECT_EQ(fact(groups, "cpu", "mitigations"), Cell(std::string("spectre_v2")));
  EXPECT_EQ(fact(groups, "memory", "available_bytes"), Cell(std::int64_t{1 << 20}));
  EXPECT_EQ(fact(groups, "memory", "huge_pages"), Cell(std::int64_t{3}));
  EXPECT_EQ(fact(groups, "disk nvme0n1", "model"), Cell(std::string("Quick Disk")));
  EXPECT_EQ(fact(groups, "disk nvme0n1", "bytes"), Cell(std::int64_t{1 << 20}));
  EXPECT_EQ(fact(groups, "disk nvme0n1", "scheduler"), Cell(std::string("none")));
  EXPECT_EQ(fact(groups, "disk nvme0n1", "rotational"), Cell(false));
  EXPECT_EQ(fact(groups, "disk loop0", "bytes"), Cell());
  EXPECT_EQ(fact(groups, "nic eth0", "mtu_bytes"), Cell(std::int64_t{9000}));
  EXPECT_EQ(fact(groups, "folder", "mount"), Cell(std::string("/data set")));
  EXPECT_EQ(fact(groups, "folder", "file_system"), Cell(std::string("xfs")));
  EXPECT_EQ(frequency_hz(root.path()), 3.5e9);
}

TEST(CaptureEnvironment, TheFolderIsOnTheLongestMountThatHoldsIt) {
  const testing::TempFolder root;
  write(root, "proc/self/mountinfo",
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n3 1 8:3 / /data rw - tmpfs a rw\n3 1 8:3 / /data rw - tmpfs b rw");
  EXPECT_EQ(fact(capture_environment(root.path(), "/database"), "folder", "mount"), Cell(std::string("/")));
  EXPECT_EQ(fact(capture_environment(root.path(), "/data"), "folder", "device"), Cell(std::string("b")));
}

TEST(CaptureEnvironment, AnEmptyRootIsNoError) {
  const testing::TempFolder root;
  EXPECT_EQ(fact(capture_environment(root.path(), "/"), "folder", "mount"), Cell());
  EXPECT_EQ(frequency_governor(root.path()), "");
  EXPECT_FALSE(frequency_hz(root.path()));
}

TEST(CaptureEnvironment, ThisMachineHasAKernelAndMemory) {
  const auto groups = capture_environment("", std::filesystem::current_path().string());
  EXPECT_TRUE(std::holds_alternative<std::string>(fact(groups, "host", "kernel")));
  EXPECT_GT(std::get<std::int64_t>(fact(groups, "memory", "bytes")), 0);
}

}  // namespace
}  // namespace ff::bench
