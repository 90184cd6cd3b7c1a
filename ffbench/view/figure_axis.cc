// Ranges and ticks of the axes of figures.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "ffbench/result/quantity.hpp"
#include "ffbench/view/figure.hpp"
#include "libcommon/report/utf8.hpp"

namespace ff::bench {
namespace {

constexpr double kLargest = 1e300;  // differences of what is drawn stay finite

// 1, 2 or 5 times a power of ten (of two for bytes), so that about six steps fill the span.
double step_of(double span, bool bytes) {
  const double raw = span / 6;
  if (bytes && raw > 1) return std::exp2(std::ceil(std::log2(raw)));
  const double decade = std::pow(10, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (decade * factor >= raw) return decade * factor;
  return decade * 10;
}

// Powers of `base` within the range, thinned out to 8.
std::vector<double> powers(double base, double low, double high) {
  const double first = std::ceil(std::log(low) / std::log(base) - 1e-9);
  const double last = std::floor(std::log(high) / std::log(base) + 1e-9);
  const double step = std::max(1.0, std::ceil((last - first + 1) / 8));
  std::vector<double> ticks;
  for (double exponent = first; exponent <= last; exponent += step) ticks.push_back(std::pow(base, exponent));
  return ticks;
}

void widen(Range& range, double value) {
  if (!std::isfinite(value)) return;
  value = std::clamp(value, -kLargest, kLargest);
  range.low = std::min(range.low, value);
  range.high = std::max(range.high, value);
}

Range settled(Range range, Scale scale) {
  if (range.low > range.high) return {scale == Scale::kLinear ? 0.0 : 1.0, scale == Scale::kLinear ? 1.0 : 10.0};
  if (scale != Scale::kLinear) {
    if (range.low == range.high) return {range.low / 2, range.high * 2};
    return range;
  }
  if (range.low == range.high) {
    const double reach = range.low == 0 ? 1 : std::fabs(range.low) / 2;
    return {range.low - reach, range.high + reach};
  }
  return range;
}

}  // namespace

Range x_range(const Figure& figure) {
  Range range;
  for (const Series& one : figure.series)
    for (const Point& point : one.points) widen(range, point.x);
  return settled(range, figure.x.scale);
}

Range y_range(const Figure& figure) {
  Range range;
  for (const Series& one : figure.series)
    for (const Point& point : one.points)
      for (const double y : {point.y, point.low, point.high}) widen(range, y);
  for (const double value : figure.values) widen(range, value);
  if (figure.kind == Figure::Kind::kHeatMap) return settled(range, Scale::kLinear);
  // A rate is judged from zero: a cut axis makes a percent look like a half.
  if (figure.y.scale == Scale::kLinear) {
    widen(range, 0);
    range = settled(range, Scale::kLinear);
    const double room = (range.high - range.low) * 0.05;
    return {range.low < 0 ? range.low - room : range.low, range.high > 0 ? range.high + room : range.high};
  }
  return settled(range, figure.y.scale);
}

std::vector<double> ticks_of(Scale scale, double low, double high, bool bytes) {
  std::vector<double> ticks;
  if (scale == Scale::kLinear) {
    const double step = step_of(high - low, bytes);
    // By multiplication, so that errors do not add up.
    for (double i = std::ceil(low / step - 1e-9); i * step <= high + step * 1e-9 && ticks.size() < 20; ++i)
      ticks.push_back(i * step + 0.0);  // no -0
    return ticks;
  }
  if (scale == Scale::kPercentile) {
    for (const double x : {1.0, 2.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9})
      if (x >= low && x <= high) ticks.push_back(x);
    return ticks;
  }
  ticks = powers(scale == Scale::kLog2 ? 2 : 10, low, high);
  if (scale == Scale::kLog10 && ticks.size() < 3) {
    ticks.clear();
    for (double decade = std::pow(10, std::floor(std::log10(low))); decade <= high; decade *= 10)
      for (const double factor : {1.0, 2.0, 5.0})
        if (decade * factor >= low && decade * factor <= high) ticks.push_back(decade * factor);
  }
  return ticks;
}

std::string shortened(const std::string& text, std::size_t columns) {
  if (report::display_width(text) <= columns) return text;
  std::string kept;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t bytes = report::decode_utf8(text, i).bytes;
    std::string longer = kept + text.substr(i, bytes);
    if (report::display_width(longer) + 1 > columns) break;
    kept = std::move(longer);
    i += bytes;
  }
  return kept + "…";
}

std::string tick_text(const Axis& axis, double value) {
  if (axis.scale == Scale::kPercentile) return fmt::format("{:.10g}%", 100 - 100 / value);
  return format_quantity(value, axis.unit);
}

}  // namespace ff::bench
