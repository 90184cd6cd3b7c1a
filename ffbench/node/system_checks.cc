// Clock, disks, free space and limits: what the kernel knows without any load.
#include <fmt/core.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/timex.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "ffbench/node/checks.hpp"
#include "libcommon/base/byte_size.hpp"
#include "libcommon/machine/facts.hpp"

namespace ff::bench {
namespace {

using machine::number_of;
using machine::text_of;

constexpr double kClockErrorMaxNs = 1e9;  // leases and logs of a cluster want a second at most
constexpr double kFreeWarn = 0.10, kFreeFail = 0.02;
constexpr rlim_t kOpenFilesMin = 4096;

Finding source_finding(const std::string& root) {
  const std::string folder = root + "/sys/devices/system/clocksource/clocksource0";
  const std::string current = text_of(folder + "/current_clocksource");
  const std::string available = text_of(folder + "/available_clocksource");
  const std::string measures = "time source of the kernel";
  if (current.empty())
    return statement("clock.source", measures, CheckVerdict::kSkip, "the kernel names no time source");
  const bool slow = current == "hpet" || current == "acpi_pm" || current == "jiffies";
  return statement("clock.source", measures, slow ? CheckVerdict::kWarn : CheckVerdict::kPass,
                   slow ? current + " is slow to read (the kernel has: " + available + ")" : current,
                   slow ? "look in dmesg for why the kernel gave up tsc; update the firmware" : "");
}

Finding synchronisation_finding() {
  const std::string measures = "largest error of the clock, as the kernel estimates it";
  timex state{};
  const int kind = ::adjtimex(&state);
  if (kind < 0)
    return statement("clock.synchronised", measures, CheckVerdict::kSkip, errno_error("adjtimex").message());
  Finding f = statement("clock.synchronised", measures, CheckVerdict::kPass, "synchronised");
  f.value = static_cast<double>(state.maxerror) * 1000;
  f.unit = "ns";
  f.threshold = kClockErrorMaxNs;
  const bool lost = kind == TIME_ERROR || (state.status & STA_UNSYNC) != 0;
  if (lost || *f.value > kClockErrorMaxNs) {
    f.verdict = CheckVerdict::kWarn;
    f.reason = lost ? "nobody keeps the clock synchronised" : fmt::format("off by up to {:.1f} s", *f.value / 1e9);
    f.fix = "start chronyd or another NTP client";
  }
  return f;
}

// "0x3" in hexadecimal, as SCSI drivers write their counts.
std::uint64_t hex_count(const std::string& path) { return std::strtoull(text_of(path).c_str(), nullptr, 16); }

std::vector<Finding> disk_findings(const std::string& root, const std::string& name) {
  const std::string folder = root + "/sys/block/" + name;
  std::vector<Finding> findings;
  const std::string id = "disk." + name;
  const std::string state = text_of(folder + "/device/state");  // SCSI "running", NVMe "live"
  if (!state.empty() && state != "running" && state != "live")
    findings.push_back(statement(id, "state of disk " + name, CheckVerdict::kFail, name + " is " + state,
                                 "replace the disk or its cable"));
  if (const std::uint64_t errors = hex_count(folder + "/device/ioerr_cnt"); errors > 0) {
    Finding f = statement(id, "errors of disk " + name, CheckVerdict::kWarn,
                          fmt::format("{} failed {} requests since the boot", name, errors),
                          "read its SMART data (smartctl -a); replace it when the count grows");
    f.value = static_cast<double>(errors);
    f.threshold = 0;
    findings.push_back(std::move(f));
  }
  if (const auto missing = number_of<int>(text_of(folder + "/md/degraded")); missing && *missing > 0)
    findings.push_back(statement(id, "state of array " + name, CheckVerdict::kFail,
                                 fmt::format("{} lacks {} of its disks", name, *missing),
                                 "replace the disk and let the array rebuild (cat /proc/mdstat)"));
  if (findings.empty())
    findings.push_back(
        statement(id, "state of disk " + name, CheckVerdict::kPass, state.empty() ? "no fault stated" : state));
  return findings;
}

Finding space_finding(const std::string& id, const std::string& path) {
  struct statvfs info{};
  const std::string measures = "free share of the file system of " + path;
  if (::statvfs(path.c_str(), &info) != 0)
    return statement(id, measures, CheckVerdict::kFail, errno_error(path).message(),
                     "mount it, or name another --folder");
  const double total = static_cast<double>(info.f_blocks);
  const double bytes = total > 0 ? static_cast<double>(info.f_bavail) / total : 1;
  const double inodes = info.f_files > 0 ? static_cast<double>(info.f_favail) / static_cast<double>(info.f_files) : 1;
  Finding f = statement(id, measures, CheckVerdict::kPass,
                        fmt::format("{} free", format_byte_size(info.f_bavail * info.f_frsize)));
  f.value = std::min(bytes, inodes);
  f.unit = "ratio";
  f.threshold = kFreeWarn;
  if ((info.f_flag & ST_RDONLY) != 0) {
    f.verdict = CheckVerdict::kFail;
    f.reason = path + " is mounted read-only";
    f.fix = "look in dmesg for the error that made it so; mount it again";
  } else if (*f.value < kFreeWarn) {
    f.verdict = *f.value < kFreeFail ? CheckVerdict::kFail : CheckVerdict::kWarn;
    f.reason =
        fmt::format("{:.1f}% of the {} of {} are free", 100 * *f.value, bytes < inodes ? "bytes" : "inodes", path);
    f.fix = "remove what is not needed";
  }
  return f;
}

Finding limit_finding(const std::string& name, const std::string& measures, __rlimit_resource resource, rlim_t least,
                      const std::string& fix) {
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0)
    return statement("limits." + name, measures, CheckVerdict::kSkip, errno_error("getrlimit").message());
  Finding f = statement("limits." + name, measures, CheckVerdict::kPass, "");
  if (limit.rlim_cur != RLIM_INFINITY) f.value = static_cast<double>(limit.rlim_cur);
  f.reason = limit.rlim_cur == RLIM_INFINITY ? "unlimited" : std::to_string(limit.rlim_cur);
  f.threshold = static_cast<double>(least);
  if (limit.rlim_cur < least) {
    f.verdict = CheckVerdict::kWarn;
    f.reason += fmt::format(" is less than {}", least);
    f.fix = fix;
  }
  return f;
}

Finding huge_pages_finding(const std::string& root) {
  const std::string meminfo = text_of(root + "/proc/meminfo");
  const auto total = number_of<std::uint64_t>(machine::field_of(meminfo, "HugePages_Total")).value_or(0);
  const std::string thp = machine::chosen_of(text_of(root + "/sys/kernel/mm/transparent_hugepage/enabled"));
  const bool none = total == 0 && (thp.empty() || thp == "never");
  return statement("limits.huge_pages", "huge pages", none ? CheckVerdict::kWarn : CheckVerdict::kPass,
                   fmt::format("{} reserved, transparent: {}", total, thp.empty() ? "not in this kernel" : thp),
                   none ? "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled" : "");
}

}  // namespace

Findings check_clock(const NodeContext& context) {
  Findings findings{source_finding(context.root)};
  if (context.is_this_machine()) findings.push_back(synchronisation_finding());
  return findings;
}

Findings check_disk(const NodeContext& context) {
  Findings findings;
  for (const std::string& name : machine::entries_of(context.root + "/sys/block")) {
    constexpr std::array<std::string_view, 5> kNotDisks{"loop", "ram", "zram", "sr", "dm-"};
    if (std::ranges::any_of(kNotDisks, [&](std::string_view prefix) { return name.starts_with(prefix); })) continue;
    for (Finding& finding : disk_findings(context.root, name)) findings.push_back(std::move(finding));
  }
  if (findings.empty())
    findings.push_back(statement("disk", "block devices", CheckVerdict::kSkip, "there is no disk under /sys/block"));
  return findings;
}

Findings check_space(const NodeContext& context) {
  Findings findings{space_finding("space.folder", context.folder)};
  if (context.folder != "/") findings.push_back(space_finding("space.root", "/"));
  return findings;
}

Findings check_limits(const NodeContext& context) {
  return {limit_finding("locked_memory", "bytes of memory that a process may lock", RLIMIT_MEMLOCK, 64 * kMiB,
                        "raise it: LimitMEMLOCK=infinity in the unit, or memlock in /etc/security/limits.d"),
          limit_finding("open_files", "files that a process may open", RLIMIT_NOFILE, kOpenFilesMin,
                        "raise it: LimitNOFILE=65536 in the unit, or nofile in /etc/security/limits.d"),
          huge_pages_finding(context.root)};
}

}  // namespace ff::bench
