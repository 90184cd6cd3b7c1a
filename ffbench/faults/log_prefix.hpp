// What stands before the message in a line of a kernel log, in the many forms that such logs have:
//
//   [22934.862938] MSG                        dmesg                    <6>[22934.862938] MSG   raw
//   6,1234,22934862938,-;MSG                  /dev/kmsg                kern  :err : [..] MSG   dmesg -x
//   [Mon Nov 23 00:17:32 2026] MSG            dmesg -T
//   2026-11-23T00:17:32,123456+00:00 MSG      dmesg --time-format iso
//   Nov 23 00:17:32 host kernel: [..] MSG     syslog, journalctl -o short
//   2026-11-23T00:17:32+0100 host kernel: MSG journalctl -o short-iso, rsyslog
//   1795392000.123456 host kernel: MSG        journalctl -o short-unix
//   [22934.862938] host kernel: MSG           journalctl -o short-monotonic
//   host: any of these                        several hosts' logs, as pdsh and clush print them
//
// Threads  Pure functions. Any bytes are taken; what fits no form is all message.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace ff::bench {

struct LogPrefix {
  std::optional<std::int64_t> time_ns;    // since 1970; times without a zone are taken as UTC
  std::optional<std::int64_t> uptime_ns;  // since the boot
  std::string_view host;                  // empty: the line names none
  bool foreign = false;                   // a program other than the kernel wrote it
  std::string_view message;
};

// Syslog's times have no year: the line gets the last one that does not place it more than a day after `reference_ns`.
// Views point into `line`.
LogPrefix split_log_line(std::string_view line, std::int64_t reference_ns);

}  // namespace ff::bench
