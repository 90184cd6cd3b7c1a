// Finding: what one check of the node validator says about one thing: value, threshold, verdict, and what to do.
//
// Names    `id` begins with the check's name: "link.eth0.speed", "memory_bandwidth". Ids are equal between nodes that
//          are alike, so that profiles and fleets can compare them.
// Units    Base units, as in result/document.hpp.
// Threads  Plain data.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ffbench/stats/better.hpp"
#include "libcommon/base/result.hpp"
#include "libcommon/report/json.hpp"
#include "libcommon/report/json_value.hpp"

namespace ff::bench {

// In order of weight. kSkip: the check cannot run here, and `reason` says why.
enum class CheckVerdict : std::uint8_t { kPass, kSkip, kWarn, kFail };
std::string_view verdict_name(CheckVerdict verdict) noexcept;  // "pass", "skip", "warn", "fail"

struct Finding {
  std::string id;
  std::string measures;  // in words: "copy bandwidth of all processors"
  CheckVerdict verdict = CheckVerdict::kPass;
  std::optional<double> value = {};
  std::string unit = {};
  std::optional<double> threshold = {};  // the value that would still have passed
  Better better = Better::kNeither;      // other than kNeither: profiles and fleets compare the value
  std::string reason = {};               // what was found, one line
  std::string fix = {};                  // what to do; empty when it passed
  std::int64_t elapsed_ns = 0;           // of the whole check, on each of its findings
};

using Findings = std::vector<Finding>;

// One that has no value: a plain statement.
Finding statement(std::string id, std::string measures, CheckVerdict verdict, std::string reason, std::string fix = {});
// "link.eth0.speed" -> "link"
std::string_view check_of(std::string_view finding_id) noexcept;
// Whether `ids` has this one or a whole that it is part of: "gpu" or "gpu.7" for "gpu.7.ecc".
bool names_part_of(const std::set<std::string, std::less<>>& ids, std::string_view finding_id);

void write_finding(report::JsonWriter& writer, const Finding& finding);
// kCorrupt: an object of another form.
Result<Finding> parse_finding(const report::JsonValue& object);

}  // namespace ff::bench
