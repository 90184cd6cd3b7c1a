#include "ffbench/faults/fault_event.hpp"

#include <gtest/gtest.h>

#include <map>

#include "ffbench/faults/civil_time.hpp"

namespace ff::bench {
namespace {

const LogContext kContext{.reference_ns = parse_time("2026-11-23T12:00:00Z")->ns, .host = "here"};

TEST(FaultEvent, ReadsXids) {
  const auto event =
      parse_fault("[12.5] NVRM: Xid (PCI:0000:3b:00): 79, pid=1234, GPU has fallen off the bus.", kContext);
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->fault, FaultClass::kUncorrectable);
  EXPECT_EQ(event->code, "79");
  EXPECT_EQ(event->device, "0000:3b:00");
  EXPECT_EQ(event->host, "here");
  EXPECT_EQ(event->uptime_ns, 12'500'000'000);
  EXPECT_FALSE(event->time_ns.has_value());
  EXPECT_EQ(parse_fault("NVRM: Xid (0000:3b:00): 13, Graphics", kContext)->device, "0000:3b:00");
  EXPECT_EQ(parse_fault("NVRM: Xid (PCI:0000:3b:00 GPU-I:05): 94, Contained", kContext)->device, "0000:3b:00");
}

// Table V of the paper, by hand.
TEST(FaultEvent, PutsXidsIntoTheClassesOfThePaper) {
  const std::map<unsigned, FaultClass> expected{
      {13, FaultClass::kSoftware},      {31, FaultClass::kSoftware},      {43, FaultClass::kSoftware},
      {45, FaultClass::kSoftware},      {74, FaultClass::kNvlink},        {63, FaultClass::kEcc},
      {64, FaultClass::kEcc},           {94, FaultClass::kEcc},           {95, FaultClass::kEcc},
      {44, FaultClass::kUncorrectable}, {48, FaultClass::kUncorrectable}, {61, FaultClass::kUncorrectable},
      {62, FaultClass::kUncorrectable}, {69, FaultClass::kUncorrectable}, {79, FaultClass::kUncorrectable},
      {119, FaultClass::kGsp},          {32, FaultClass::kOther},         {999, FaultClass::kOther}};
  for (const auto& [xid, fault] : expected)
    EXPECT_EQ(parse_fault("NVRM: Xid (PCI:0000:3b:00): " + std::to_string(xid) + ", x", kContext)->fault, fault) << xid;
}

TEST(FaultEvent, ReadsSwitchesMemoryAndMachineChecks) {
  const auto sxid =
      parse_fault("nvidia-nvswitch0: SXid (PCI:0000:c1:00.0): 20034, Fatal, Link 30 LTSSM Fault", kContext);
  ASSERT_TRUE(sxid.has_value());
  EXPECT_EQ(sxid->fault, FaultClass::kNvswitch);
  EXPECT_EQ(sxid->code, "20034");
  const auto edac = parse_fault("EDAC MC1: 3 CE memory read error on CPU_SrcID#0_Chan#1_DIMM#0 (channel:1)", kContext);
  ASSERT_TRUE(edac.has_value());
  EXPECT_EQ(edac->fault, FaultClass::kMainMemory);
  EXPECT_EQ(edac->device, "MC1");
  EXPECT_EQ(edac->code, "CE");
  EXPECT_EQ(edac->repeats, 3u);
  EXPECT_EQ(parse_fault("EDAC MC0: 1 UE on DIMM", kContext)->code, "UE");
  EXPECT_FALSE(parse_fault("EDAC MC0: Giving out device to module skx_edac", kContext).has_value());
  // Error code 0x0090: a memory controller's read error; corrected (bit 61 clear).
  const auto memory = parse_fault("mce: [Hardware Error]: CPU 1: Machine Check: 0 Bank 8: 8c00004000010090", kContext);
  ASSERT_TRUE(memory.has_value());
  EXPECT_EQ(memory->fault, FaultClass::kMainMemory);
  EXPECT_EQ(memory->code, "CE");
  EXPECT_EQ(memory->device, "Bank 8");
  // Error code 0x0135: a cache's; uncorrected (bit 61 set).
  const auto cache = parse_fault("mce: [Hardware Error]: CPU 1: Machine Check: 5 Bank 1: be00000000000135", kContext);
  ASSERT_TRUE(cache.has_value());
  EXPECT_EQ(cache->fault, FaultClass::kMachineCheck);
  EXPECT_EQ(cache->code, "UE");
  EXPECT_EQ(parse_fault("{1}[Hardware Error]:   section_type: memory error", kContext)->fault, FaultClass::kMainMemory);
}

TEST(FaultEvent, ReadsLinksOfManyDrivers) {
  const std::map<std::string, std::string> lines{{"mlx5_core 0000:3b:00.0 ens1f0: Link down", "ens1f0"},
                                                 {"mlx5_core 0000:3b:00.0: mlx5_0: Port 1 Link DOWN", "mlx5_0"},
                                                 {"igb 0000:01:00.0 eth0: igb: eth0 NIC Link is Down", "eth0"},
                                                 {"e1000e: eth3 NIC Link is Down", "eth3"},
                                                 {"r8169 0000:02:00.0 enp2s0: Link is Down", "enp2s0"},
                                                 {"virtio_net virtio0 eth1: Link is down", "eth1"}};
  for (const auto& [line, device] : lines) {
    const auto event = parse_fault(line, kContext);
    ASSERT_TRUE(event.has_value()) << line;
    EXPECT_EQ(event->fault, FaultClass::kNetwork) << line;
    EXPECT_EQ(event->device, device) << line;
    EXPECT_FALSE(event->link_up) << line;
  }
  EXPECT_TRUE(parse_fault("mlx5_core 0000:3b:00.0 ens1f0: Link up", kContext)->link_up);
  EXPECT_FALSE(parse_fault("ata1: SATA Link down (SStatus 0 SControl 300)", kContext).has_value());
  EXPECT_FALSE(parse_fault("pcieport 0000:00:1c.0: pciehp: Slot(0): Link Down", kContext).has_value());
}

TEST(FaultEvent, ReadsTheJournalsJson) {
  const auto event =
      parse_fault(R"({"__REALTIME_TIMESTAMP":"1795169472000000","_HOSTNAME":"gpu-7","_TRANSPORT":"kernel",)"
                  R"("MESSAGE":"NVRM: Xid (PCI:0000:3b:00): 31, pid='\"x\"'"})",
                  kContext);
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->host, "gpu-7");
  EXPECT_EQ(instant_text(*event->time_ns), "2026-11-20T10:11:12Z");
  EXPECT_EQ(event->message, R"(NVRM: Xid (PCI:0000:3b:00): 31, pid='"x"')");
  EXPECT_FALSE(
      parse_fault(R"({"_TRANSPORT":"syslog","MESSAGE":"NVRM: Xid (PCI:0000:3b:00): 31"})", kContext).has_value());
}

TEST(FaultEvent, CountsRepeatsThatTheLogTells) {
  const auto event =
      parse_fault("Nov 20 10:11:12 h kernel: message repeated 4 times: [ NVRM: Xid (PCI:0000:3b:00): 31, x]", kContext);
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->repeats, 4u);
}

TEST(FaultEvent, DatesTimesSinceTheBootWhereItIsKnown) {
  LogContext context = kContext;
  context.boot_ns = parse_time("2026-11-20T10:00:00Z")->ns;
  EXPECT_EQ(instant_text(*parse_fault("[60.0] NVRM: Xid (PCI:0000:3b:00): 31", context)->time_ns),
            "2026-11-20T10:01:00Z");
}

TEST(FaultEvent, SurvivesGarbage) {
  for (const char* line :
       {"", "NVRM: Xid (", "NVRM: Xid (PCI", "NVRM: Xid (x):", "NVRM: Xid (x): many", "EDAC MC: 1 CE ",
        "EDAC MC0: 99999999999999999999 CE x", "{\"MESSAGE\":\"NVRM: Xid (", ": Link down", "Link is Down",
        "NIC Link is Down", "Machine Check: 0 Bank 8: zz", "NVRM: Xid (PCI:0000:3b:00): 99999999999"})
    EXPECT_FALSE(parse_fault(line, kContext).has_value()) << line;
  const auto event = parse_fault("NVRM: Xid (PCI:\x1b[31m): 13, \x01\xff", kContext);
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->device, ".[31m");
  EXPECT_EQ(event->message.find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace ff::bench
