// Profile: what good nodes of one kind measure, and how far a node may fall behind before it is not one of them.
//
// Learning  Median and 1.4826 x MAD of each value over results of `ffbench node --json`, from findings that passed. At
//           least three results, or nothing is known of the spread.
// Judging   A value counts as worse when it is worse than the median by more than `sigmas` robust deviations AND by at
//           least `warn_percent` (warn) or `fail_percent` (fail) of the median. What good nodes measured and this one
//           did not is a warning when the check was skipped, and a failure when the check ran (a link or GPU is gone),
//           unless the check or that part of it failed as a whole: it has been named then.
// File      JSON (so YAML too), schema ff.node_profile/1; people may edit limits and values.
// Threads   Pure functions but for the file.
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>

#include "ffbench/node/node_report.hpp"

namespace ff::bench {

struct ProfileMetric {
  double median = 0;
  double sigma = 0;
  std::int64_t nodes = 0;  // that had the value
  std::string unit;
  Better better = Better::kHigher;
};

struct Profile {
  double sigmas = 4;
  double warn_percent = 5;
  double fail_percent = 15;
  std::string level;  // of the results it was learned from
  std::int64_t nodes = 0;
  std::map<std::string, ProfileMetric> metrics;
};

inline constexpr std::size_t kProfileNodesMin = 3;

// kInvalidArgument: fewer than three results, or results of different levels. Values that fewer than half of the
// results have are left out.
Result<Profile> learn_profile(std::span<const NodeReport> good);
std::string profile_text(const Profile& profile);
// kInvalidArgument: the file is no profile; names what is wrong.
Result<Profile> read_profile(const std::string& path);

// Sets thresholds and verdicts of `checks` and appends findings for what is missing. Verdicts only get worse.
// `ran`: names of the checks that were asked for; others are not missed.
void judge_by_profile(Findings& checks, const Profile& profile, const std::set<std::string>& ran);

}  // namespace ff::bench
