#include "libcommon/metrics/family.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "libcommon/report/utf8.hpp"

namespace ff::metrics {
namespace {

constexpr std::size_t kNameBytesMax = 200;
constexpr std::size_t kHelpBytesMax = 1024;
constexpr std::size_t kLabelBytesMax = 256;
constexpr std::size_t kLabelsMax = 16;
constexpr std::array kUnits{Unit::kBytes, Unit::kSeconds, Unit::kRatio};

std::unexpected<Error> refuse(const MetricInfo& info, std::string_view reason) {
  return fail(Errc::kInvalidArgument, fmt::format("metric '{}': {}", report::printable(info.name), reason));
}

bool is_name(std::string_view text) noexcept {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  return !text.empty() && letter(text.front()) &&
         std::all_of(text.begin(), text.end(), [&](char c) { return letter(c) || digit(c); });
}

bool is_utf8(std::string_view text) noexcept {
  for (std::size_t at = 0; at < text.size();) {
    const report::CodePoint point = report::decode_utf8(text, at);
    if (!point.valid) return false;
    at += point.bytes;
  }
  return true;
}

// True for "x_seconds" but not for "_seconds" or "seconds".
bool has_suffix(std::string_view name, std::string_view suffix) noexcept {
  return name.size() > suffix.size() + 1 && name.ends_with(suffix) && name[name.size() - suffix.size() - 1] == '_';
}

Result<> check_name(const MetricInfo& info, MetricType type) {
  if (!is_name(info.name) || info.name.size() > kNameBytesMax)
    return refuse(info, "is no name (letters, digits and '_', not beginning with a digit, up to 200 bytes)");
  for (const std::string_view made : {"bucket", "count", "sum"})
    if (has_suffix(info.name, made))
      return refuse(info,
                    fmt::format("ends in '_{}', which Prometheus makes for histograms (choose another name)", made));
  std::string_view stem = info.name;
  const bool total = has_suffix(stem, "total");
  if (type == MetricType::kCounter && !total) return refuse(info, "is a counter (end its name in '_total')");
  if (type != MetricType::kCounter && total)
    return refuse(info, fmt::format("is a {} (only a counter ends in '_total')", metric_type_name(type)));
  if (total) stem.remove_suffix(std::string_view("_total").size());
  if (info.unit != Unit::kNone && !has_suffix(stem, unit_name(info.unit)))
    return refuse(info,
                  fmt::format("is in {0} (end its name in '_{0}{1}')", unit_name(info.unit), total ? "_total" : ""));
  for (const Unit unit : kUnits)
    if (info.unit == Unit::kNone && has_suffix(stem, unit_name(unit)))
      return refuse(info, fmt::format("says '{}' but has no unit (set its unit)", unit_name(unit)));
  return {};
}

Result<> check_labels(const MetricInfo& info) {
  if (info.labels.size() > kLabelsMax) return refuse(info, "has more than 16 labels (use fewer)");
  for (auto label = info.labels.begin(); label != info.labels.end(); ++label) {
    const auto& [name, value] = *label;
    const std::string shown = report::printable(name);
    if (!is_name(name) || name.starts_with("__") || name.size() > kLabelBytesMax)
      return refuse(info,
                    fmt::format("label '{}' is no label name (letters, digits and '_', not beginning with a digit "
                                "or '__')",
                                shown));
    if (name == "le" || name == "quantile")
      return refuse(info, fmt::format("label '{}' is reserved for histograms (choose another name)", shown));
    if (!is_utf8(value) || value.size() > kLabelBytesMax)
      return refuse(info, fmt::format("label '{}' has a value that is not UTF-8 or longer than 256 bytes", shown));
    if (std::any_of(info.labels.begin(), label, [&](const auto& other) { return other.first == name; }))
      return refuse(info, fmt::format("label '{}' is there twice", shown));
  }
  return {};
}

}  // namespace

std::string_view metric_type_name(MetricType type) noexcept {
  switch (type) {
    case MetricType::kCounter: return "counter";
    case MetricType::kGauge: return "gauge";
    case MetricType::kHistogram: return "histogram";
  }
  return "untyped";
}

std::string_view unit_name(Unit unit) noexcept {
  switch (unit) {
    case Unit::kNone: return "";
    case Unit::kBytes: return "bytes";
    case Unit::kSeconds: return "seconds";
    case Unit::kRatio: return "ratio";
  }
  return "";
}

Result<> check_metric(const MetricInfo& info, MetricType type) {
  FF_TRY(check_name(info, type));
  if (info.help.empty() || !is_utf8(info.help) || info.help.size() > kHelpBytesMax)
    return refuse(info,
                  "has no help, or one that is not UTF-8 or longer than 1 KiB (say in a sentence what it counts)");
  return check_labels(info);
}

std::string quantiles_name(std::string_view name, Unit unit) {
  const std::string_view suffix = unit_name(unit);
  if (suffix.empty()) return fmt::format("{}_quantiles", name);
  return fmt::format("{}_quantiles_{}", name.substr(0, name.size() - suffix.size() - 1), suffix);
}

}  // namespace ff::metrics
