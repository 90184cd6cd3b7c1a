#include "ffbench/node/profile.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "ffbench/stats/summary.hpp"
#include "libcommon/base/file.hpp"

namespace ff::bench {
namespace {

constexpr std::string_view kSchema = "ff.node_profile/1";
constexpr std::size_t kProfileBytesMax = 4u << 20;
constexpr double kMadToSigma = 1.4826;  // of normal noise

std::string_view better_name(Better better) { return better == Better::kHigher ? "higher" : "lower"; }

// How much worse than the median, as a share of it; at most 0 when it is no worse.
double deficit(double value, const ProfileMetric& metric) {
  const double worse = metric.better == Better::kHigher ? metric.median - value : value - metric.median;
  return metric.median == 0 ? (worse > 0 ? 1.0 : 0.0) : worse / std::abs(metric.median);
}

// The value that would still pass without a warning.
double limit_of(const Profile& profile, const ProfileMetric& metric) {
  const double allowed = std::max(profile.sigmas * metric.sigma, profile.warn_percent / 100 * std::abs(metric.median));
  return metric.better == Better::kHigher ? metric.median - allowed : metric.median + allowed;
}

void judge(Finding& finding, const Profile& profile, const ProfileMetric& metric) {
  const double limit = limit_of(profile, metric);
  const double share = deficit(*finding.value, metric);
  // A threshold of the check's own that is stricter stays.
  const bool own_is_stricter =
      finding.threshold && (metric.better == Better::kHigher ? *finding.threshold > limit : *finding.threshold < limit);
  if (!own_is_stricter) finding.threshold = limit;
  const double worse = share * std::abs(metric.median);
  if (worse <= profile.sigmas * metric.sigma || 100 * share < profile.warn_percent) return;
  const CheckVerdict verdict = 100 * share >= profile.fail_percent ? CheckVerdict::kFail : CheckVerdict::kWarn;
  if (verdict <= finding.verdict) return;
  finding.verdict = verdict;
  finding.reason += fmt::format(", {:.1f}% worse than the median of good nodes", 100 * share);
  if (finding.fix.empty()) finding.fix = "compare with a good node: settings, foreign load, then hardware";
}

Result<double> number_member(const report::JsonValue& object, const std::string& name, double low, double high) {
  const report::JsonValue* member = object.find(name);
  const auto number = member == nullptr ? std::nullopt : member->number();
  if (!number || !(*number >= low && *number <= high))
    return fail(Errc::kInvalidArgument, fmt::format("{}: is no number from {} to {}", name, low, high));
  return *number;
}

std::string text_member(const report::JsonValue& object, std::string_view name) {
  const report::JsonValue* member = object.find(name);
  return member == nullptr || member->text() == nullptr ? std::string() : *member->text();
}

Result<ProfileMetric> parse_metric(const std::string& id, const report::JsonValue& object) {
  constexpr double kAny = 1e300;
  ProfileMetric metric;
  FF_TRY_CTX(number_member(object, "median", -kAny, kAny), id);
  FF_TRY_ASSIGN(metric.median, number_member(object, "median", -kAny, kAny));
  FF_TRY_CTX(number_member(object, "sigma", 0, kAny), id);
  FF_TRY_ASSIGN(metric.sigma, number_member(object, "sigma", 0, kAny));
  metric.unit = text_member(object, "unit");
  const std::string better = text_member(object, "better");
  if (better != "higher" && better != "lower")
    return fail(Errc::kInvalidArgument, id + ": better: is neither 'higher' nor 'lower'");
  metric.better = better == "higher" ? Better::kHigher : Better::kLower;
  const report::JsonValue* nodes = object.find("nodes");
  if (nodes != nullptr) metric.nodes = nodes->integer().value_or(0);
  return metric;
}

Result<Profile> parse_profile(const std::string& text) {
  const auto tree = report::JsonValue::parse(text);
  if (!tree) return fail(Errc::kInvalidArgument, tree.error().message());
  if (text_member(*tree, "schema") != kSchema)
    return fail(Errc::kInvalidArgument, "is no profile (make one: ffbench node --learn PROFILE RESULT...)");
  Profile profile;
  FF_TRY_ASSIGN(profile.sigmas, number_member(*tree, "sigmas", 0, 100));
  FF_TRY_ASSIGN(profile.warn_percent, number_member(*tree, "warn_percent", 0, 100));
  FF_TRY_ASSIGN(profile.fail_percent, number_member(*tree, "fail_percent", profile.warn_percent, 100));
  profile.level = text_member(*tree, "level");
  if (const report::JsonValue* nodes = tree->find("nodes")) profile.nodes = nodes->integer().value_or(0);
  const report::JsonValue* metrics = tree->find("metrics");
  if (metrics == nullptr || metrics->object() == nullptr)
    return fail(Errc::kInvalidArgument, "metrics: is no object of values");
  for (const auto& [id, value] : *metrics->object()) {
    FF_TRY_ASSIGN(profile.metrics[id], parse_metric(id, value));
  }
  return profile;
}

}  // namespace

Result<Profile> learn_profile(std::span<const NodeReport> good) {
  if (good.size() < kProfileNodesMin)
    return fail(Errc::kInvalidArgument,
                fmt::format("learn: {} results say nothing of the spread between nodes (give at least {})", good.size(),
                            kProfileNodesMin));
  Profile profile;
  profile.level = good.front().level;
  profile.nodes = static_cast<std::int64_t>(good.size());
  struct Values {
    std::vector<double> values;
    std::string unit;
    Better better;
  };
  std::map<std::string, Values> all;
  for (const NodeReport& node : good) {
    if (node.level != profile.level)
      return fail(Errc::kInvalidArgument,
                  fmt::format("learn: {} was checked at level {}, {} at level {} (use results of one level)",
                              good.front().host, profile.level, node.host, node.level));
    for (const Finding& f : node.checks) {
      if (!f.value || f.better == Better::kNeither || f.verdict != CheckVerdict::kPass) continue;
      Values& values = all[f.id];
      values.values.push_back(*f.value);
      values.unit = f.unit;
      values.better = f.better;
    }
  }
  for (const auto& [id, values] : all) {
    if (2 * values.values.size() < good.size()) continue;
    profile.metrics[id] = {.median = median(values.values),
                           .sigma = kMadToSigma * median_absolute_deviation(values.values),
                           .nodes = static_cast<std::int64_t>(values.values.size()),
                           .unit = values.unit,
                           .better = values.better};
  }
  return profile;
}

std::string profile_text(const Profile& profile) {
  report::JsonWriter writer(2);
  writer.begin_object();
  writer.field("schema", kSchema);
  writer.field("level", std::string_view(profile.level));
  writer.field("nodes", profile.nodes);
  writer.field("sigmas", profile.sigmas);
  writer.field("warn_percent", profile.warn_percent);
  writer.field("fail_percent", profile.fail_percent);
  writer.key("metrics").begin_object();
  for (const auto& [id, metric] : profile.metrics) {
    writer.key(id).begin_object();
    writer.field("median", metric.median);
    writer.field("sigma", metric.sigma);
    writer.field("unit", std::string_view(metric.unit));
    writer.field("better", better_name(metric.better));
    writer.field("nodes", metric.nodes);
    writer.end_object();
  }
  writer.end_object();
  writer.end_object();
  return writer.take() + "\n";
}

Result<Profile> read_profile(const std::string& path) {
  FF_TRY_ASSIGN(const std::string text, read_file(path, kProfileBytesMax));
  auto profile = parse_profile(text);
  if (!profile) return fail(std::move(profile).error().context(path));
  return profile;
}

void judge_by_profile(Findings& checks, const Profile& profile, const std::set<std::string>& ran) {
  std::set<std::string, std::less<>> seen, skipped, failed;  // ids with a value; without one, by verdict
  for (Finding& finding : checks) {
    const auto metric = profile.metrics.find(finding.id);
    if (finding.verdict == CheckVerdict::kSkip) skipped.insert(finding.id);
    if (finding.verdict >= CheckVerdict::kWarn && !finding.value) failed.insert(finding.id);
    if (!finding.value || metric == profile.metrics.end()) continue;
    seen.insert(finding.id);
    judge(finding, profile, metric->second);
  }
  for (const auto& [id, metric] : profile.metrics) {
    if (seen.contains(id) || !ran.contains(std::string(check_of(id)))) continue;
    const bool could_not = names_part_of(skipped, id);
    // A check, or a part of it, that failed as a whole (it hung) has said what there is to say of what is below it.
    // What failed beside it has not: a link that counts errors says nothing of one that is gone.
    if (!could_not && names_part_of(failed, id)) continue;
    checks.push_back(
        statement(id, "a value that good nodes have", could_not ? CheckVerdict::kWarn : CheckVerdict::kFail,
                  could_not ? "was not measured here, but on good nodes" : "is missing: good nodes have it",
                  "look for the device: is it seated, powered, and its driver loaded?"));
  }
}

}  // namespace ff::bench
