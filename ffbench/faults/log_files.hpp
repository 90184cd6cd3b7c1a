// The kernel logs that a command was given, or the running kernel's own.
//
// Threads  One at a time; blocks while an input such as a pipe has nothing to read.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "ffbench/faults/fault_event.hpp"
#include "ffbench/faults/line_reader.hpp"

namespace ff::bench {

struct LogReading {
  std::optional<std::int64_t> boot_ns = {};  // since 1970, of the machine that wrote the files
  std::function<bool()> stopped = {};        // see read_lines()
};

using FaultSink = std::function<Result<>(const FaultEvent&)>;

// `path` "-" is standard input. Lines that name no host get the file's name up to its first dot ("node7.dmesg": node7;
// standard input: none).
Result<LinesRead> read_log_file(const std::string& path, const LogReading& reading, const FaultSink& sink);

// What the kernel below `root` ("": this machine) still holds: /dev/kmsg, without waiting for more, or the output of
// `dmesg` where /dev/kmsg cannot be read. Dates come from the time of boot in /proc/stat. kPermission: neither is
// allowed (kernel.dmesg_restrict, a container); says what to give instead.
Result<LinesRead> read_kernel_log(const std::string& root, const FaultSink& sink);

// "/var/log/node7.dmesg.1" -> "node7".
std::string host_of_file(const std::string& path);
// Of /proc/stat's btime line; nothing where it is missing.
std::optional<std::int64_t> boot_time_ns(const std::string& root);

}  // namespace ff::bench
