#include "ffbench/faults/log_prefix.hpp"

#include <gtest/gtest.h>

#include "ffbench/faults/civil_time.hpp"

namespace ff::bench {
namespace {

const std::int64_t kReference = parse_time("2026-11-23T12:00:00Z")->ns;

std::string time_of(std::string_view line) {
  const auto prefix = split_log_line(line, kReference);
  return prefix.time_ns ? instant_text(*prefix.time_ns) : "none";
}

struct Form {
  const char* name;
  const char* line;
  const char* time;
  std::int64_t uptime_ns;  // -1: none
  const char* host;
};

class LogForms : public testing::TestWithParam<Form> {};

TEST_P(LogForms, AreSplitIntoTimeHostAndMessage) {
  const Form& form = GetParam();
  const auto prefix = split_log_line(form.line, kReference);
  EXPECT_EQ(time_of(form.line), form.time);
  EXPECT_EQ(prefix.uptime_ns.value_or(-1), form.uptime_ns);
  EXPECT_EQ(prefix.host, form.host);
  EXPECT_EQ(prefix.message, "NVRM: Xid (PCI:0000:3b:00): 79");
  EXPECT_FALSE(prefix.foreign);
}

constexpr const char* kIso = "2026-11-20T10:11:12Z";
INSTANTIATE_TEST_SUITE_P(
    All, LogForms,
    testing::Values(
        Form{"bare", "NVRM: Xid (PCI:0000:3b:00): 79", "none", -1, ""},
        Form{"dmesg", "[   12.500000] NVRM: Xid (PCI:0000:3b:00): 79", "none", 12'500'000'000, ""},
        Form{"raw", "<3>[   12.500000] NVRM: Xid (PCI:0000:3b:00): 79", "none", 12'500'000'000, ""},
        Form{"levels", "kern  :err   : [   12.500000] NVRM: Xid (PCI:0000:3b:00): 79", "none", 12'500'000'000, ""},
        Form{"kmsg", "3,1234,12500000,-;NVRM: Xid (PCI:0000:3b:00): 79", "none", 12'500'000'000, ""},
        Form{"dmesg_T", "[Fri Nov 20 10:11:12 2026] NVRM: Xid (PCI:0000:3b:00): 79", kIso, -1, ""},
        Form{"dmesg_iso", "2026-11-20T10:11:12,000000+00:00 NVRM: Xid (PCI:0000:3b:00): 79", kIso, -1, ""},
        Form{"syslog", "Nov 20 10:11:12 gpu-7 kernel: [   12.500000] NVRM: Xid (PCI:0000:3b:00): 79", kIso,
             12'500'000'000, "gpu-7"},
        Form{"short", "Nov 20 10:11:12 gpu-7 kernel: NVRM: Xid (PCI:0000:3b:00): 79", kIso, -1, "gpu-7"},
        Form{"short_iso", "2026-11-20T11:11:12+0100 gpu-7 kernel: NVRM: Xid (PCI:0000:3b:00): 79", kIso, -1, "gpu-7"},
        Form{"short_unix", "1795169472.000000 gpu-7 kernel: NVRM: Xid (PCI:0000:3b:00): 79", kIso, -1, "gpu-7"},
        Form{"monotonic", "[   12.500000] gpu-7 kernel: NVRM: Xid (PCI:0000:3b:00): 79", "none", 12'500'000'000,
             "gpu-7"},
        Form{"pdsh", "gpu-7: [   12.500000] NVRM: Xid (PCI:0000:3b:00): 79", "none", 12'500'000'000, "gpu-7"},
        Form{"pdsh_syslog", "gpu-7: Nov 20 10:11:12 inner kernel: NVRM: Xid (PCI:0000:3b:00): 79", kIso, -1, "inner"}),
    [](const auto& instance) { return std::string(instance.param.name); });

TEST(LogPrefix, GivesSyslogTimesTheYearThatIsNotInTheFuture) {
  EXPECT_EQ(time_of("Nov 23 13:00:00 h kernel: x"), "2026-11-23T13:00:00Z");  // an hour ahead: clocks differ
  EXPECT_EQ(time_of("Dec 31 13:00:00 h kernel: x"), "2025-12-31T13:00:00Z");
  EXPECT_EQ(time_of("Feb 29 13:00:00 h kernel: x"), "2024-02-29T13:00:00Z");
}

TEST(LogPrefix, KnowsLinesOfOtherPrograms) {
  EXPECT_TRUE(split_log_line("Nov 20 10:11:12 gpu-7 watcher[81]: NVRM: Xid (PCI:0000:3b:00): 79", kReference).foreign);
  EXPECT_TRUE(split_log_line("2026-11-20T11:11:12Z gpu-7 watcher[81]: NVRM: Xid", kReference).foreign);
}

TEST(LogPrefix, TakesDriversForMessagesAndNotForHosts) {
  const auto prefix = split_log_line("[ 1.5] mlx5_core 0000:3b:00.0 ens1f0: Link down", kReference);
  EXPECT_EQ(prefix.host, "");
  EXPECT_EQ(prefix.message, "mlx5_core 0000:3b:00.0 ens1f0: Link down");
}

}  // namespace
}  // namespace ff::bench
