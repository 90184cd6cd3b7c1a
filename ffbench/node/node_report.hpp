// NodeReport: all findings about one node and what follows from them (schema ff.node/1, node.schema.json).
//
// CheckVerdict  "drain" when a check failed, "warn" when one warned, else "fit". Skipped checks do not weigh.
// Threads  Plain data and pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ffbench/node/finding.hpp"
#include "libcommon/report/table.hpp"

namespace ff::bench {

enum class Fitness : std::uint8_t { kFit, kWarn, kDrain };
std::string_view fitness_name(Fitness fitness) noexcept;  // "fit", "warn", "drain"
// Of the process: 0, 10, 20.
int fitness_exit_code(Fitness fitness) noexcept;
inline constexpr int kExitWarn = 10;
inline constexpr int kExitDrain = 20;

struct NodeReport {
  std::string host;
  std::string level;    // "quick", "full"
  std::string version;  // of ffbench
  std::string started;  // ISO 8601, UTC
  std::int64_t elapsed_ns = 0;
  Findings checks;

  Fitness fitness() const noexcept;
  // One line for each failed, then each warned check: "link.eth0.speed: ...".
  std::vector<std::string> reasons() const;
};

// `format` kJson: the whole object. Others: one row a finding; kName: the ids that failed.
std::string render_node_report(const NodeReport& report, report::Format format);

// kCorrupt: no ff.node/1. Other members are ignored.
Result<NodeReport> parse_node_report(const report::JsonValue& object);
// All reports in a file: one object, a list of them, or one a line. "-" is standard input. Errors name the file.
Result<std::vector<NodeReport>> read_node_reports(const std::string& path);

}  // namespace ff::bench
