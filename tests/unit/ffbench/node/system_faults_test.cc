// Faults that stand in files of the kernel: each is written into a tree and must be named.
#include <gtest/gtest.h>

#include "ffbench/node/checks.hpp"
#include "tests/unit/ffbench/node/node_tree.hpp"

namespace ff::bench {
namespace {

TEST(LinkCheck, PassesLinksThatAreAlike) {
  NodeTree tree;
  tree.add_nic("ens1", "up", 200'000);
  tree.add_nic("ens2", "up", 200'000);
  const auto findings = check_link(tree.context());
  expect_finding(findings, "link.ens1.state", CheckVerdict::kPass);
  expect_finding(findings, "link.ens2.speed", CheckVerdict::kPass, "200 Gb/s");
  expect_finding(findings, "link.ens2.errors", CheckVerdict::kPass);
}

TEST(LinkCheck, NamesALinkThatIsSlowerThanItsLikes) {
  NodeTree tree;
  tree.add_nic("ens1", "up", 200'000);
  tree.add_nic("ens2", "up", 10'000);
  const auto findings = check_link(tree.context());
  expect_finding(findings, "link.ens1.speed", CheckVerdict::kPass);
  expect_finding(findings, "link.ens2.speed", CheckVerdict::kFail, "ens2 runs at 10 Gb/s instead of 200 Gb/s");
}

TEST(LinkCheck, TakesTheSpeedThatWasAskedFor) {
  NodeTree tree;
  tree.add_nic("ens1", "up", 10'000);
  auto context = tree.context();
  context.link_bits_per_second = 200e9;
  expect_finding(check_link(context), "link.ens1.speed", CheckVerdict::kFail, "10 Gb/s instead of 200 Gb/s");
}

TEST(LinkCheck, NamesLinksThatAreDownHalfOrFaulty) {
  NodeTree tree;
  tree.add_nic("ens1", "down", 0);
  tree.add_nic("ens2", "down", 0);
  tree.write("sys/class/net/ens2/flags", "0x1002");  // nobody switched it on
  tree.add_nic("ens3", "up", 1000);
  tree.write("sys/class/net/ens3/duplex", "half");
  tree.write("sys/class/net/ens3/statistics/rx_errors", "17");
  const auto findings = check_link(tree.context());
  expect_finding(findings, "link.ens1.state", CheckVerdict::kFail, "ens1 is down");
  expect_finding(findings, "link.ens2.state", CheckVerdict::kSkip, "not in use");
  expect_finding(findings, "link.ens3.duplex", CheckVerdict::kFail, "half duplex");
  expect_finding(findings, "link.ens3.errors", CheckVerdict::kWarn, "17 rx_errors");
}

TEST(LinkCheck, ReadsInfiniBandPorts) {
  NodeTree tree;
  tree.write("sys/class/infiniband/mlx5_0/ports/1/state", "4: ACTIVE");
  tree.write("sys/class/infiniband/mlx5_0/ports/1/rate", "200 Gb/sec (4X HDR)");
  tree.write("sys/class/infiniband/mlx5_0/ports/1/counters/link_downed", "2");
  tree.write("sys/class/infiniband/mlx5_1/ports/1/state", "1: DOWN");
  tree.write("sys/class/infiniband/mlx5_2/ports/1/state", "4: ACTIVE");
  tree.write("sys/class/infiniband/mlx5_2/ports/1/rate", "100 Gb/sec (2X HDR)");
  const auto findings = check_link(tree.context());
  expect_finding(findings, "link.mlx5_0-1.speed", CheckVerdict::kPass);
  expect_finding(findings, "link.mlx5_0-1.errors", CheckVerdict::kWarn, "2 link_downed");
  expect_finding(findings, "link.mlx5_1-1.state", CheckVerdict::kFail, "DOWN");
  expect_finding(findings, "link.mlx5_2-1.speed", CheckVerdict::kFail, "100 Gb/s instead of 200 Gb/s");
}

TEST(LinkCheck, ComparesInfiniBandPortsOfOneKindAlone) {
  NodeTree tree;
  const auto add = [&](const std::string& name, const std::string& device, const std::string& rate) {
    const std::string folder = "sys/class/infiniband/" + name + "/";
    tree.write(folder + "device/vendor", "0x15b3");
    tree.write(folder + "device/device", device);
    tree.write(folder + "ports/1/state", "4: ACTIVE");
    tree.write(folder + "ports/1/rate", rate);
  };
  add("mlx5_0", "0x101b", "200 Gb/sec (4X HDR)");
  add("mlx5_1", "0x1015", "25 Gb/sec (1X EDR)");
  add("mlx5_2", "0x101b", "100 Gb/sec (2X HDR)");
  const auto findings = check_link(tree.context());
  expect_finding(findings, "link.mlx5_1-1.speed", CheckVerdict::kPass);
  expect_finding(findings, "link.mlx5_2-1.speed", CheckVerdict::kFail, "100 Gb/s instead of 200 Gb/s");
}

// A port without a cable since boot may be meant; one that lost its link may not. A profile that has it fails it.
TEST(LinkCheck, WarnsOfAPortThatNeverHadALink) {
  NodeTree tree;
  tree.add_nic("ens1", "down", 0);
  tree.write("sys/class/net/ens1/carrier_up_count", "0");
  tree.add_nic("ens2", "down", 0);
  tree.write("sys/class/net/ens2/carrier_up_count", "1");
  const auto port = [&](const std::string& name, const std::string& downed) {
    const std::string folder = "sys/class/infiniband/" + name + "/ports/1/";
    tree.write(folder + "state", "1: DOWN");
    tree.write(folder + "phys_state", "2: Polling");
    tree.write(folder + "counters/link_downed", downed);
  };
  port("mlx5_0", "0");
  port("mlx5_1", "1");
  const auto findings = check_link(tree.context());
  expect_finding(findings, "link.ens1.state", CheckVerdict::kWarn, "ens1 is down and never was up");
  expect_finding(findings, "link.ens2.state", CheckVerdict::kFail, "ens2 is down");
  expect_finding(findings, "link.mlx5_0-1.state", CheckVerdict::kWarn, "never was up");
  expect_finding(findings, "link.mlx5_1-1.state", CheckVerdict::kFail, "DOWN");
  auto expecting = tree.context();
  expecting.link_bits_per_second = 200e9;
  expect_finding(check_link(expecting), "link.ens1.state", CheckVerdict::kFail);
  expect_finding(check_link(expecting), "link.mlx5_0-1.state", CheckVerdict::kFail);
}

TEST(LinkCheck, SkipsWhereThereIsNoDevice) {
  expect_finding(check_link(NodeTree().context()), "link", CheckVerdict::kSkip);
}

TEST(PcieCheck, NamesALinkThatIsTooNarrow) {
  NodeTree tree;
  const std::string nic = "sys/bus/pci/devices/0000:3b:00.0/";
  tree.write(nic + "class", "0x020000");
  tree.write(nic + "current_link_width", "8");
  tree.write(nic + "max_link_width", "16");
  tree.write(nic + "current_link_speed", "16.0 GT/s PCIe");
  tree.write(nic + "max_link_speed", "16.0 GT/s PCIe");
  const auto findings = check_pcie(tree.context());
  expect_finding(findings, "pcie.0000:3b:00.0.width", CheckVerdict::kFail,
                 "network device 0000:3b:00.0 runs at x8 of x16");
  expect_finding(findings, "pcie.0000:3b:00.0.speed", CheckVerdict::kPass);
}

TEST(PcieCheck, AsksNoMoreThanTheSlotCanDo) {
  NodeTree tree;
  // A device of generation 5 below a port of generation 4, as sysfs shows it: the device's folder within the port's.
  const std::string disk = "sys/devices/pci0000:00/0000:00:01.0/0000:3c:00.0/";
  tree.write(disk + "class", "0x010802");
  tree.write(disk + "current_link_speed", "16.0 GT/s PCIe");
  tree.write(disk + "max_link_speed", "32.0 GT/s PCIe");
  tree.write(disk + "../max_link_speed", "16.0 GT/s PCIe");
  std::filesystem::create_directories(tree.path() + "/sys/bus/pci/devices");
  std::filesystem::create_symlink("../../../devices/pci0000:00/0000:00:01.0/0000:3c:00.0",
                                  tree.path() + "/sys/bus/pci/devices/0000:3c:00.0");
  expect_finding(check_pcie(tree.context()), "pcie.0000:3c:00.0.speed", CheckVerdict::kPass);
  tree.write(disk + "current_link_speed", "8.0 GT/s PCIe");
  expect_finding(check_pcie(tree.context()), "pcie.0000:3c:00.0.speed", CheckVerdict::kWarn, "8 GT/s of 16 GT/s");
}

TEST(FrequencyCheck, NamesGovernorCapHeatAndClock) {
  NodeTree tree;
  const std::string cpu = "sys/devices/system/cpu/cpu0/";
  tree.write(cpu + "cpufreq/scaling_governor", "powersave");
  tree.write(cpu + "cpufreq/cpuinfo_max_freq", "3500000");
  tree.write(cpu + "cpufreq/scaling_max_freq", "2000000");
  tree.write(cpu + "cpufreq/base_frequency", "2500000");
  tree.write(cpu + "cpufreq/scaling_cur_freq", "1200000");
  tree.write(cpu + "thermal_throttle/core_throttle_count", "5");
  const auto findings = check_frequency(tree.context());
  expect_finding(findings, "frequency.governor", CheckVerdict::kWarn, "powersave");
  expect_finding(findings, "frequency.cap", CheckVerdict::kWarn, "57%");
  expect_finding(findings, "frequency.load", CheckVerdict::kFail, "1.20 GHz, below 2.25 GHz");
  expect_finding(findings, "frequency.throttle", CheckVerdict::kWarn, "5 events");
}

TEST(FrequencyCheck, PassesAGoodProcessor) {
  NodeTree tree;
  const std::string cpu = "sys/devices/system/cpu/cpu0/";
  tree.write(cpu + "cpufreq/scaling_governor", "performance");
  tree.write(cpu + "cpufreq/base_frequency", "2500000");
  tree.write(cpu + "cpufreq/scaling_cur_freq", "3300000");
  for (const Finding& finding : check_frequency(tree.context()))
    EXPECT_EQ(finding.verdict, CheckVerdict::kPass) << finding.id;
}

TEST(MemoryEccCheck, NamesTheModule) {
  NodeTree tree;
  const std::string mc = "sys/devices/system/edac/mc/";
  tree.write(mc + "mc0/ce_count", "12");
  tree.write(mc + "mc0/ue_count", "0");
  tree.write(mc + "mc0/dimm3/dimm_ce_count", "12");
  tree.write(mc + "mc0/dimm3/dimm_label", "DIMM_A1");
  tree.write(mc + "mc1/ce_count", "0");
  tree.write(mc + "mc1/ue_count", "1");
  tree.write(mc + "mc2/ce_count", "0");
  const auto findings = check_memory_ecc(tree.context());
  expect_finding(findings, "memory_ecc.mc0", CheckVerdict::kWarn, "12 corrected, 0 uncorrected on DIMM_A1 (12)");
  expect_finding(findings, "memory_ecc.mc1", CheckVerdict::kFail, "1 uncorrected");
  expect_finding(findings, "memory_ecc.mc2", CheckVerdict::kPass);
  expect_finding(check_memory_ecc(NodeTree().context()), "memory_ecc", CheckVerdict::kSkip, "EDAC");
}

TEST(DiskCheck, NamesDisksThatAreOfflineFailingOrMissing) {
  NodeTree tree;
  tree.write("sys/block/sda/device/state", "offline");
  tree.write("sys/block/sdb/device/state", "running");
  tree.write("sys/block/sdb/device/ioerr_cnt", "0x1f");
  tree.write("sys/block/md0/md/degraded", "1");
  tree.write("sys/block/nvme0n1/device/state", "live");
  tree.write("sys/block/loop0/size", "0");
  const auto findings = check_disk(tree.context());
  expect_finding(findings, "disk.sda", CheckVerdict::kFail, "sda is offline");
  expect_finding(findings, "disk.sdb", CheckVerdict::kWarn, "31 requests");
  expect_finding(findings, "disk.md0", CheckVerdict::kFail, "lacks 1");
  expect_finding(findings, "disk.nvme0n1", CheckVerdict::kPass);
  EXPECT_EQ(find(findings, "disk.loop0"), nullptr);
}

TEST(ClockCheck, NamesASlowTimeSource) {
  NodeTree tree;
  const std::string folder = "sys/devices/system/clocksource/clocksource0/";
  tree.write(folder + "current_clocksource", "hpet");
  tree.write(folder + "available_clocksource", "tsc hpet");
  expect_finding(check_clock(tree.context()), "clock.source", CheckVerdict::kWarn, "hpet");
  tree.write(folder + "current_clocksource", "tsc");
  expect_finding(check_clock(tree.context()), "clock.source", CheckVerdict::kPass, "tsc");
}

TEST(KernelLogCheck, WeighsFaultsByClassAndAge) {
  NodeTree tree;
  tree.write("proc/uptime", "200000.00 1.0");  // two days and a half
  // 1,000 s after the boot is too long ago; 190,000 s is not.
  tree.write("dev/kmsg",
             "3,1,1000000000,-;NVRM: Xid (PCI:0000:3b:00): 119, old\n"
             "3,2,190000000000,-;NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus\n"
             "3,3,190000000001,-;NVRM: Xid (PCI:0000:5e:00): 31, user code\n"
             "3,4,190000000002,-;mlx5_core 0000:3b:00.0 ens1: Link down");
  const auto findings = check_kernel_log(tree.context());
  expect_finding(findings, "kernel_log.uncorrectable", CheckVerdict::kFail, "1 x 79 of 0000:3b:00");
  expect_finding(findings, "kernel_log.software", CheckVerdict::kPass, "31");
  expect_finding(findings, "kernel_log.network", CheckVerdict::kWarn, "ens1");
  EXPECT_EQ(find(findings, "kernel_log.gsp"), nullptr);
  tree.write("dev/kmsg", "6,1,1000000000,-;all is well");
  expect_finding(check_kernel_log(tree.context()), "kernel_log", CheckVerdict::kPass, "no faults");
  expect_finding(check_kernel_log(NodeTree().context()), "kernel_log", CheckVerdict::kSkip, "dev/kmsg");
}

TEST(SpaceCheck, NamesAFolderThatIsNotThere) {
  auto context = NodeTree().context();
  context.folder += "/nowhere";
  expect_finding(check_space(context), "space.folder", CheckVerdict::kFail, "No such file");
}

}  // namespace
}  // namespace ff::bench
