// A folder that stands for /sys, /proc and /dev of a node, with the faults that a test writes into it.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "ffbench/node/check.hpp"
#include "libcommon/testing/temp_folder.hpp"

namespace ff::bench {

class NodeTree {
 public:
  void write(const std::string& path, const std::string& text) const {
    const std::filesystem::path whole = folder_.path() + "/" + path;
    std::filesystem::create_directories(whole.parent_path());
    std::ofstream(whole) << text << "\n";
  }
  std::string path() const { return folder_.path(); }
  NodeContext context() const {
    NodeContext context;
    context.root = folder_.path();
    context.folder = folder_.path();
    return context;
  }

  // A NIC of one kind with the others.
  void add_nic(const std::string& name, const std::string& state, int megabits) const {
    const std::string nic = "sys/class/net/" + name + "/";
    write(nic + "operstate", state);
    write(nic + "flags", "0x1003");
    write(nic + "duplex", "full");
    write(nic + "device/vendor", "0x15b3");
    write(nic + "device/device", "0x101b");
    write(nic + "statistics/rx_errors", "0");
    write(nic + "statistics/tx_errors", "0");
    if (megabits > 0) write(nic + "speed", std::to_string(megabits));
  }

 private:
  testing::TempFolder folder_;
};

inline const Finding* find(const Findings& findings, const std::string& id) {
  for (const Finding& finding : findings)
    if (finding.id == id) return &finding;
  return nullptr;
}

// The finding `id` has this verdict and its reason has these words.
inline void expect_finding(const Findings& findings, const std::string& id, CheckVerdict verdict,
                           const std::string& words = {}) {
  const Finding* finding = find(findings, id);
  ASSERT_NE(finding, nullptr) << id;
  EXPECT_EQ(verdict_name(finding->verdict), verdict_name(verdict)) << id << ": " << finding->reason;
  EXPECT_NE(finding->reason.find(words), std::string::npos) << id << ": " << finding->reason;
  EXPECT_EQ(finding->fix.empty(), verdict == CheckVerdict::kPass || verdict == CheckVerdict::kSkip)
      << id << ": " << finding->fix;
}

}  // namespace ff::bench
