// Figures: which picture suits which data. The same figures are drawn by gnuplot (`ffbench plot`) and as SVG
// (`ffbench report`).
//
// Chosen   from the rows of each command:
//            heat map  rows whose parameters name a pair of hosts (from and to, source and destination, client and
//                      server)
//            lines     a metric over the numeric parameter that takes most values; the other parameters that differ
//                      make the series; the vertical bars are confidence intervals
//            bars      a metric of rows without such a parameter
//            lines     latency over percentiles, for rows with histograms
// Bounds   12 series a figure and 64 bars, and the title says what is left out; 256 hosts a heat map; 64 metrics a
//          command.
// Threads  Pure functions.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "ffbench/result/document.hpp"

namespace ff::bench {

enum class Scale : std::uint8_t {
  kLinear,
  kLog2,
  kLog10,
  kPercentile,  // values are 1 / (1 - q): every decade is one more nine
};

struct Axis {
  std::string title = {};
  std::string unit = {};  // of a Metric
  Scale scale = Scale::kLinear;
};

struct Point {
  double x = 0, y = 0;
  double low = 0, high = 0;  // of y; both are y where there is no interval
};

struct Series {
  std::string name;
  std::vector<Point> points;  // in the order of x
};

struct Figure {
  enum class Kind : std::uint8_t { kLines, kBars, kHeatMap };

  Kind kind = Kind::kLines;
  std::string title = {};
  Axis x = {}, y = {};
  std::vector<Series> series = {};  // of lines; bars are one series, point i being names[i]
  // Bars: their names. Heat map: columns and rows, and rows x columns values (NaN where there is none).
  std::vector<std::string> names = {}, row_names = {};
  std::vector<double> values = {};
};

// `labels` tells the documents apart in the series, one each; ignored for a single document.
std::vector<Figure> figures_of(std::span<const Document> documents, std::span<const std::string> labels);

// The axis' ticks between `low` and `high`, at most about 8. REQUIRES: low < high, both above 0 unless linear.
std::vector<double> ticks_of(Scale scale, double low, double high, bool bytes = false);
// "99.9%" on a percentile axis, else as tables show the unit.
std::string tick_text(const Axis& axis, double value);
// The text, or as much of its beginning as fits into `columns` with an ellipsis.
std::string shortened(const std::string& text, std::size_t columns);

// The least and greatest value of the axis, widened a little; from 0 where the scale is linear and that is near.
struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
};
Range x_range(const Figure& figure);
Range y_range(const Figure& figure);

}  // namespace ff::bench
