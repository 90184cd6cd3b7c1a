#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "ffbench/view/gnuplot.hpp"
#include "libcommon/base/assert.hpp"
#include "libcommon/report/utf8.hpp"

namespace ff::bench {
namespace {

constexpr int kWidth = 900, kFigureHeight = 420;
// Beyond these gnuplot finds no room for the plot itself, and fails.
constexpr std::size_t kNameColumns = 24, kTitleColumns = 48;

class Script {
 public:
  template <class... Args>
  void put(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(text_), format, std::forward<Args>(args)...);
  }
  std::string take() && { return std::move(text_); }

 private:
  std::string text_;
};

// A label of an axis, which gnuplot takes for a printf format.
std::string quote_label(const std::string& text) {
  std::string doubled;
  for (const char c : shortened(text, kNameColumns)) doubled.append(c == '%' ? 2 : 1, c);
  return quote_gnuplot(doubled);
}

// A number, or what gnuplot takes for a missing one.
std::string number(double value) { return std::isfinite(value) ? fmt::format("{}", value) : "NaN"; }

void put_ticks(Script& script, const char* which, const Axis& axis, Range range) {
  script.put("set {}tics (", which);
  const char* separator = "";
  for (const double tick : ticks_of(axis.scale, range.low, range.high, axis.unit == "B")) {
    script.put("{}{} {}", separator, quote_label(tick_text(axis, tick)), number(tick));
    separator = ", ";
  }
  script.put(")\nset {}range [{}:{}]\n", which, number(range.low), number(range.high));
  if (axis.scale == Scale::kLinear)
    script.put("unset logscale {}\n", which);
  else
    script.put("set logscale {} {}\n", which, axis.scale == Scale::kLog2 ? 2 : 10);
}

void put_lines(Script& script, const Figure& figure, std::size_t index) {
  for (std::size_t i = 0; i < figure.series.size(); ++i) {
    script.put("$figure{}_{} << EOD\n", index, i);
    for (const Point& p : figure.series[i].points)
      script.put("{} {} {} {}\n", number(p.x), number(p.y), number(p.low), number(p.high));
    script.put("EOD\n");
  }
  script.put("set xlabel {}\nset ylabel {}\n", quote_gnuplot(shortened(figure.x.title, kTitleColumns)),
             quote_gnuplot(shortened(figure.y.title, kTitleColumns)));
  put_ticks(script, "x", figure.x, x_range(figure));
  put_ticks(script, "y", figure.y, y_range(figure));
  script.put("set key outside bottom center vertical maxcols 2 noenhanced\nplot ");
  for (std::size_t i = 0; i < figure.series.size(); ++i) {
    script.put(
        "{}$figure{}_{} using 1:2 with linespoints pointtype 7 pointsize 0.5 linecolor {} title {}, "
        "$figure{}_{} using 1:2:3:4 with yerrorbars pointtype 0 linecolor {} notitle",
        i == 0 ? "" : ", ", index, i, i + 1, quote_gnuplot(shortened(figure.series[i].name, kTitleColumns)), index, i,
        i + 1);
  }
  script.put("\n");
}

void put_bars(Script& script, const Figure& figure, std::size_t index) {
  script.put("$figure{} << EOD\n", index);
  for (const Point& p : figure.series[0].points)
    script.put("{} {} {} {}\n", number(p.x), number(p.y), number(p.low), number(p.high));
  script.put("EOD\nset xlabel ''\nset ylabel {}\n", quote_gnuplot(shortened(figure.y.title, kTitleColumns)));
  put_ticks(script, "y", figure.y, y_range(figure));
  script.put("unset logscale x\nset xrange [-0.6:{}]\nset xtics rotate by -30 (",
             static_cast<double>(figure.names.size()) - 0.4);
  for (std::size_t i = 0; i < figure.names.size(); ++i)
    script.put("{}{} {}", i == 0 ? "" : ", ", quote_label(figure.names[i]), i);
  script.put(
      ")\nset style fill solid 0.8\nset boxwidth 0.7\nunset key\n"
      "plot $figure{} using 1:2 with boxes linecolor 1, $figure{} using 1:2:3:4 with yerrorbars pointtype 0 "
      "linecolor black\n",
      index, index);
}

void put_names(Script& script, const char* which, const std::vector<std::string>& names) {
  script.put("set {}tics (", which);
  for (std::size_t i = 0; i < names.size(); ++i) script.put("{}{} {}", i == 0 ? "" : ", ", quote_label(names[i]), i);
  script.put(")\n");
}

void put_heat_map(Script& script, const Figure& figure, std::size_t index) {
  script.put("$figure{} << EOD\n", index);
  for (std::size_t r = 0; r < figure.row_names.size(); ++r)
    for (std::size_t c = 0; c < figure.names.size(); ++c)
      if (const double value = figure.values[r * figure.names.size() + c]; std::isfinite(value))
        script.put("{} {} {}\n", c, r, value);
  script.put("EOD\nset xlabel {}\nset ylabel {}\nunset logscale x\nunset logscale y\n",
             quote_gnuplot(shortened(figure.x.title, kTitleColumns)),
             quote_gnuplot(shortened(figure.y.title, kTitleColumns)));
  put_names(script, "x", figure.names);
  put_names(script, "y", figure.row_names);
  script.put("set xrange [-0.5:{}]\nset yrange [{}:-0.5]\n", static_cast<double>(figure.names.size()) - 0.5,
             static_cast<double>(figure.row_names.size()) - 0.5);
  const Range range = y_range(figure);
  script.put("set cbrange [{}:{}]\nset cbtics (", number(range.low), number(range.high));
  const char* separator = "";
  for (const double tick : ticks_of(Scale::kLinear, range.low, range.high)) {
    script.put("{}{} {}", separator, quote_label(tick_text(figure.y, tick)), number(tick));
    separator = ", ";
  }
  script.put(
      ")\nset palette defined (0 '#f7f4d0', 1 '#084081')\nunset key\nplot $figure{} using 1:2:(0.5):(0.5):3 with "
      "boxxyerror fillstyle solid noborder linecolor palette\n",
      index);
}

}  // namespace

std::string quote_gnuplot(std::string_view text) {
  std::string quoted = "'";
  for (const char c : report::printable(text)) quoted += c == '\'' || c == '`' ? '"' : c;
  return quoted + '\'';
}

std::string gnuplot_script(std::span<const Figure> figures, PictureFormat format) {
  FF_ASSERT(!figures.empty(), figures.size());
  const int height = kFigureHeight * static_cast<int>(figures.size());
  Script script;
  script.put("set encoding utf8\nset terminal {} size {},{} noenhanced\nset grid\nset multiplot layout {},1\n",
             format == PictureFormat::kSvg ? "svg" : "pngcairo", kWidth, height, figures.size());
  for (std::size_t i = 0; i < figures.size(); ++i) {
    const Figure& figure = figures[i];
    script.put("set title {} noenhanced\n", quote_gnuplot(shortened(figure.title, 2 * kTitleColumns)));
    switch (figure.kind) {
      case Figure::Kind::kLines: put_lines(script, figure, i); break;
      case Figure::Kind::kBars: put_bars(script, figure, i); break;
      case Figure::Kind::kHeatMap: put_heat_map(script, figure, i); break;
    }
    // What one figure set must not reach the next.
    script.put("set xtics norotate\nunset cbrange\nset key default\n");
  }
  script.put("unset multiplot\n");
  return std::move(script).take();
}

}  // namespace ff::bench
