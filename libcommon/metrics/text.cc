#include "libcommon/metrics/text.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <iterator>
#include <limits>
#include <span>

namespace ff::metrics {
namespace {

// 1-2-5 from 1 us to 100 s, in ns.
constexpr auto kSecondsBounds = [] {
  std::array<std::int64_t, 25> bounds{};
  std::size_t i = 0;
  for (std::int64_t decade = 1'000; i < bounds.size(); decade *= 10)
    for (const std::int64_t step : {1, 2, 5})
      if (i < bounds.size()) bounds[i++] = decade * step;
  return bounds;
}();
static_assert(kSecondsBounds.back() == 100'000'000'000);

template <std::size_t N>
constexpr std::array<std::int64_t, N> powers_of_four(std::int64_t first) {
  std::array<std::int64_t, N> bounds{};
  for (auto& bound : bounds) {
    bound = first;
    first *= 4;
  }
  return bounds;
}
constexpr auto kBytesBounds = powers_of_four<13>(64);
constexpr auto kCountBounds = powers_of_four<16>(1);
static_assert(kBytesBounds.back() == std::int64_t{1} << 30 && kCountBounds.back() == std::int64_t{1} << 30);

constexpr std::array kQuantiles{0.5, 0.9, 0.99, 0.999};
constexpr double kNsPerSecond = 1e9;

std::span<const std::int64_t> bounds_of(Unit unit) {
  switch (unit) {
    case Unit::kSeconds: return kSecondsBounds;
    case Unit::kBytes: return kBytesBounds;
    case Unit::kNone:
    case Unit::kRatio: break;
  }
  return kCountBounds;
}

// A recorded value as it is served. Division is exact to the last bit, multiplication by 1e-9 is not.
std::string scaled_text(Unit unit, double value) {
  return number_text(unit == Unit::kSeconds ? value / kNsPerSecond : value);
}

std::string escape(std::string_view text, bool quotes) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (c == '\\')
      out += "\\\\";
    else if (c == '\n')
      out += "\\n";
    else if (c == '"' && quotes)
      out += "\\\"";
    else
      out += c;
  }
  return out;
}

// One line: name{labels,extra="value"} number
void sample(std::string& out, std::string_view name, const Labels& labels, std::string_view number,
            std::string_view extra_name = {}, std::string_view extra_value = {}) {
  out += name;
  char separator = '{';
  const auto label = [&](std::string_view label_name, std::string_view value) {
    fmt::format_to(std::back_inserter(out), "{}{}=\"{}\"", separator, label_name, escape(value, true));
    separator = ',';
  };
  for (const auto& [label_name, value] : labels) label(label_name, value);
  if (!extra_name.empty()) label(extra_name, extra_value);
  if (separator == ',') out += '}';
  fmt::format_to(std::back_inserter(out), " {}\n", number);
}

void heading(std::string& out, std::string_view name, std::string_view type, Unit unit, std::string_view help) {
  fmt::format_to(std::back_inserter(out), "# HELP {} {}\n# TYPE {} {}\n", name, escape(help, false), name, type);
  if (unit != Unit::kNone) fmt::format_to(std::back_inserter(out), "# UNIT {} {}\n", name, unit_name(unit));
}

void buckets(std::string& out, const Family& family, const Labels& labels, const Histogram& histogram) {
  const std::string name = family.name + "_bucket";
  for (const std::int64_t bound : bounds_of(family.unit))
    sample(out, name, labels, fmt::to_string(histogram.count_at_most(bound)), "le",
           scaled_text(family.unit, static_cast<double>(bound)));
  sample(out, name, labels, fmt::to_string(histogram.count()), "le", "+Inf");
}

void sum_and_count(std::string& out, std::string_view name, Unit unit, const Labels& labels,
                   const Histogram& histogram) {
  const std::string sum = unit == Unit::kSeconds ? scaled_text(unit, static_cast<double>(histogram.sum()))
                                                 : fmt::to_string(histogram.sum());
  sample(out, fmt::format("{}_sum", name), labels, sum);
  sample(out, fmt::format("{}_count", name), labels, fmt::to_string(histogram.count()));
}

void quantiles(std::string& out, const Family& family) {
  const std::string name = quantiles_name(family.name, family.unit);
  heading(out, name, "summary", family.unit, family.help + " Quantiles since the start.");
  for (const Series& series : family.series) {
    const auto* histogram = std::get_if<Histogram>(&series.value);
    if (histogram == nullptr) continue;
    for (const double q : kQuantiles) {
      const double value = histogram->count() == 0 ? std::numeric_limits<double>::quiet_NaN()
                                                   : static_cast<double>(histogram->percentile(q));
      sample(out, name, series.labels, scaled_text(family.unit, value), "quantile", number_text(q));
    }
    sum_and_count(out, name, family.unit, series.labels, *histogram);
  }
}

struct SampleText {
  std::string& out;
  const Family& family;
  const Labels& labels;

  void operator()(std::uint64_t value) const { sample(out, family.name, labels, fmt::to_string(value)); }
  void operator()(std::int64_t value) const { sample(out, family.name, labels, fmt::to_string(value)); }
  void operator()(double value) const { sample(out, family.name, labels, number_text(value)); }
  void operator()(const Histogram& histogram) const {
    buckets(out, family, labels, histogram);
    sum_and_count(out, family.name, family.unit, labels, histogram);
  }
};

}  // namespace

std::string number_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

std::string to_text(const std::vector<Family>& families) {
  std::string out;
  for (const Family& family : families) {
    heading(out, family.name, metric_type_name(family.type), family.unit, family.help);
    for (const Series& series : family.series) std::visit(SampleText{out, family, series.labels}, series.value);
    if (family.type == MetricType::kHistogram && family.quantiles) quantiles(out, family);
  }
  return out;
}

}  // namespace ff::metrics
