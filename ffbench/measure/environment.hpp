// The machine as a document describes it: everything that is known to change figures, read from /proc and /sys. What
// cannot be read is left out; nothing here fails or needs root.
// Threads: pure reads; some milliseconds.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ffbench/result/document.hpp"

namespace ff::bench {

// Groups "host", "cpu", "cache L2", "numa 0", "memory", "network", "nic eth0", "disk vda", "folder" (that of the
// measurement: file system, device), in this order. `root` is "" for this machine or a folder that holds sys/, proc/
// and etc/; `folder` an absolute path, whose mount is looked up under /proc/self/mountinfo.
std::vector<FieldGroup> capture_environment(const std::string& root, const std::string& folder);

// Of the machine itself, for warnings. Empty where not known.
std::string frequency_governor(const std::string& root);
std::string clock_source(const std::string& root);
// The present clock of the fastest processor, in Hz; nothing where the kernel does not show it.
std::optional<double> frequency_hz(const std::string& root);

}  // namespace ff::bench
