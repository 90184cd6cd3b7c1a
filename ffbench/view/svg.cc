#include "ffbench/view/svg.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "ffbench/result/quantity.hpp"
#include "libcommon/report/utf8.hpp"

namespace ff::bench {

const std::string_view kFigureStyle = R"(
svg.figure{width:100%;height:auto;display:block;font:12px system-ui,sans-serif}
.figure text{fill:var(--text)}
.figure .axis{stroke:var(--text);stroke-width:1}
.figure .grid{stroke:var(--line);stroke-width:1}
.figure .curve{fill:none;stroke-width:2}
.figure .bar-interval{stroke-width:1.5}
.figure .cell-text{font-size:10px}
)";

namespace {

constexpr double kWidth = 760, kHeight = 380, kLeft = 84, kRight = 16, kTop = 16, kBottom = 48;
constexpr double kLegendLine = 18, kBarHeight = 26;
// Told apart by people who do not see all colours, on light and on dark ground (Okabe and Ito 2008, without black).
constexpr const char* kColours[] = {"#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00",
                                    "#8c7a00", "#7f7f7f", "#4b0092", "#1a85ff", "#994f00", "#5d3a9b"};

const char* colour_of(std::size_t series) { return kColours[series % std::size(kColours)]; }

// Maps values of an axis to places in the drawing.
struct Mapping {
  Scale scale;
  Range range;
  double begin, end;

  double operator()(double value) const {
    const auto place = [&](double v) { return scale == Scale::kLinear ? v : std::log(v); };
    const double low = place(range.low), high = place(range.high);
    const double share = (place(value) - low) / (high - low);
    return begin + (end - begin) * std::clamp(share, -0.05, 1.05);
  }
};

class Drawing {
 public:
  Drawing(const Figure& figure, double height) : height_(height) {
    put("<svg class=\"figure\" viewBox=\"0 0 {:g} {:g}\" role=\"img\" aria-label=\"{}\">\n", kWidth, height,
        escape_html(figure.title));
  }

  template <class... Args>
  void put(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(text_), format, std::forward<Args>(args)...);
  }
  void line(const char* kind, double x1, double y1, double x2, double y2) {
    put("<line class=\"{}\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n", kind, x1, y1, x2, y2);
  }
  void label(double x, double y, const char* anchor, std::string_view text) {
    put("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor, escape_html(text));
  }
  double height() const { return height_; }
  std::string take() && { return std::move(text_) + "</svg>\n"; }

 private:
  double height_;
  std::string text_;
};

bool drawable(const Point& point) { return std::isfinite(point.x) && std::isfinite(point.y); }

// "4KiB: 12.5GB/s (12500000000)".
std::string tooltip(const std::string& where, double value, std::string_view unit) {
  return escape_html(fmt::format("{}: {} ({})", where, format_quantity(value, unit), value));
}

void draw_x_axis(Drawing& drawing, const Figure& figure, const Mapping& x, double bottom, double top) {
  double last = -1e9;
  for (const double tick : ticks_of(figure.x.scale, x.range.low, x.range.high, figure.x.unit == "B")) {
    const double at = x(tick);
    drawing.line("grid", at, top, at, bottom);
    if (at - last < 48) continue;
    drawing.label(at, bottom + 16, "middle", tick_text(figure.x, tick));
    last = at;
  }
  drawing.label((x.begin + x.end) / 2, bottom + 36, "middle", figure.x.title);
}

void draw_y_axis(Drawing& drawing, const Figure& figure, const Mapping& y, double left, double right) {
  for (const double tick : ticks_of(figure.y.scale, y.range.low, y.range.high, figure.y.unit == "B")) {
    const double at = y(tick);
    drawing.line("grid", left, at, right, at);
    drawing.label(left - 6, at + 4, "end", tick_text(figure.y, tick));
  }
}

void draw_curve(Drawing& drawing, const Figure& figure, std::size_t index, const Mapping& x, const Mapping& y) {
  const Series& series = figure.series[index];
  const char* colour = colour_of(index);
  std::string path;
  for (const Point& point : series.points)
    if (drawable(point)) path += fmt::format("{}{:.1f},{:.1f}", path.empty() ? "" : " ", x(point.x), y(point.y));
  drawing.put("<polyline class=\"curve\" stroke=\"{}\" points=\"{}\"/>\n", colour, path);
  for (const Point& point : series.points) {
    if (!drawable(point)) continue;
    const double at = x(point.x);
    if (point.high > point.low && std::isfinite(point.high))
      drawing.put(
          "<line class=\"bar-interval\" stroke=\"{}\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" "
          "y2=\"{:.1f}\"/>\n",
          colour, at, y(point.low), at, y(point.high));
    const std::string where =
        fmt::format("{}{}{}", series.name, series.name.empty() ? "" : " ", tick_text(figure.x, point.x));
    drawing.put("<circle fill=\"{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\"><title>{}</title></circle>\n", colour, at,
                y(point.y), tooltip(where, point.y, figure.y.unit));
  }
}

std::string draw_lines(const Figure& figure) {
  const bool legend = figure.series.size() > 1 || (figure.series.size() == 1 && !figure.series[0].name.empty());
  const double bottom = kHeight - kBottom;
  Drawing drawing(figure, kHeight + (legend ? kLegendLine * static_cast<double>(figure.series.size()) : 0));
  const Mapping x{figure.x.scale, x_range(figure), kLeft, kWidth - kRight};
  const Mapping y{figure.y.scale, y_range(figure), bottom, kTop};
  draw_x_axis(drawing, figure, x, bottom, kTop);
  draw_y_axis(drawing, figure, y, kLeft, kWidth - kRight);
  drawing.line("axis", kLeft, bottom, kWidth - kRight, bottom);
  drawing.line("axis", kLeft, kTop, kLeft, bottom);
  for (std::size_t i = 0; i < figure.series.size(); ++i) {
    draw_curve(drawing, figure, i, x, y);
    if (!legend) continue;
    const double at = kHeight + kLegendLine * static_cast<double>(i);
    drawing.put("<rect fill=\"{}\" x=\"{:g}\" y=\"{:.1f}\" width=\"18\" height=\"4\"/>\n", colour_of(i), kLeft, at - 6);
    drawing.label(kLeft + 26, at, "start", figure.series[i].name);
  }
  return std::move(drawing).take();
}

// Horizontal, so that names stand level.
std::string draw_bars(const Figure& figure) {
  const double left = 260, count = static_cast<double>(figure.names.size());
  Drawing drawing(figure, kTop + count * kBarHeight + kBottom);
  const double bottom = kTop + count * kBarHeight;
  const Range range = y_range(figure);
  const Mapping x{Scale::kLinear, range, left, kWidth - kRight - 60};
  for (const double tick : ticks_of(Scale::kLinear, range.low, range.high, figure.y.unit == "B")) {
    drawing.line("grid", x(tick), kTop, x(tick), bottom);
    drawing.label(x(tick), bottom + 16, "middle", tick_text(figure.y, tick));
  }
  for (std::size_t i = 0; i < figure.names.size(); ++i) {
    const Point& point = figure.series[0].points[i];
    const double top = kTop + static_cast<double>(i) * kBarHeight;
    drawing.label(left - 8, top + 17, "end", shortened(figure.names[i], 38));
    if (!drawable(point)) continue;
    const double zero = x(std::clamp(0.0, range.low, range.high)), end = x(point.y);
    drawing.put(
        "<rect fill=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:g}\"><title>{}</title></rect>\n",
        colour_of(0), std::min(zero, end), top + 4, std::max(1.0, std::fabs(end - zero)), kBarHeight - 8,
        tooltip(figure.names[i], point.y, figure.y.unit));
    if (point.high > point.low && std::isfinite(point.high))
      drawing.line("axis", x(point.low), top + kBarHeight / 2, x(point.high), top + kBarHeight / 2);
    drawing.label(x(std::max(point.y, std::isfinite(point.high) ? point.high : point.y)) + 6, top + 17, "start",
                  format_quantity(point.y, figure.y.unit));
  }
  drawing.line("axis", left, kTop, left, bottom);
  return std::move(drawing).take();
}

// From pale to strong, by lightness, so that it also reads without colours.
std::string heat_colour(double share) {
  const auto mix = [&](int from, int to) { return static_cast<int>(std::lround(from + share * (to - from))); };
  return fmt::format("#{:02x}{:02x}{:02x}", mix(0xf7, 0x08), mix(0xf4, 0x40), mix(0xd0, 0x81));
}

std::string draw_heat_map(const Figure& figure) {
  const auto columns = static_cast<double>(figure.names.size()), rows = static_cast<double>(figure.row_names.size());
  const double left = 120, top = 60, side = std::min(64.0, (kWidth - left - kRight) / std::max(1.0, columns));
  Drawing drawing(figure, top + rows * side + 24);
  const Range range = y_range(figure);
  const auto characters = static_cast<std::size_t>(std::max(2.0, side / 7));
  const auto every = static_cast<std::size_t>(std::ceil(14 / side));  // names of narrow cells would overlap
  for (std::size_t c = 0; c < figure.names.size(); c += every)
    drawing.label(left + (static_cast<double>(c) + 0.5) * side, top - 6, "middle",
                  shortened(figure.names[c], characters * every));
  drawing.label(left, 16, "start", figure.y.title + " → " + figure.x.title);
  for (std::size_t r = 0; r < figure.row_names.size(); ++r) {
    const double y = top + static_cast<double>(r) * side;
    if (r % every == 0) drawing.label(left - 6, y + side / 2 + 4, "end", shortened(figure.row_names[r], 16));
    for (std::size_t c = 0; c < figure.names.size(); ++c) {
      const double value = figure.values[r * figure.names.size() + c];
      if (!std::isfinite(value)) continue;
      const double x = left + static_cast<double>(c) * side;
      const double share = std::clamp((value - range.low) / (range.high - range.low), 0.0, 1.0);
      drawing.put(
          "<rect fill=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"><title>{}</title>"
          "</rect>\n",
          heat_colour(share), x, y, side - 1, side - 1,
          tooltip(figure.row_names[r] + " → " + figure.names[c], value, figure.y.unit));
      if (side >= 56)
        drawing.put(
            "<text class=\"cell-text\" style=\"fill:{}\" x=\"{:.1f}\" y=\"{:.1f}\" "
            "text-anchor=\"middle\">{}</text>\n",
            share > 0.5 ? "#fff" : "#000", x + side / 2, y + side / 2 + 4,
            escape_html(format_quantity(value, figure.y.unit)));
    }
  }
  return std::move(drawing).take();
}

}  // namespace

std::string svg_of(const Figure& figure) {
  switch (figure.kind) {
    case Figure::Kind::kBars: return draw_bars(figure);
    case Figure::Kind::kHeatMap: return draw_heat_map(figure);
    case Figure::Kind::kLines: break;
  }
  return draw_lines(figure);
}

std::string escape_html(std::string_view text) {
  std::string safe;
  for (const char c : report::printable(text)) {
    switch (c) {
      case '&': safe += "&amp;"; break;
      case '<': safe += "&lt;"; break;
      case '>': safe += "&gt;"; break;
      case '"': safe += "&quot;"; break;
      case '\'': safe += "&#39;"; break;
      default: safe += c;
    }
  }
  return safe;
}

}  // namespace ff::bench
