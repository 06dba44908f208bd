#include "study/chart.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace espalier {
namespace {

constexpr const char* style = R"css(
:root { --ink: #1c1e21; --paper: #ffffff; --faint: #d5d8dd; --c0: #9aa4b1; --c1: #1f6feb;
  --c2: #d1495b; --c3: #2a9d8f; --c4: #b8860b; --c5: #7b4fc9; --c6: #3d8b37; --c7: #c2569f;
  --c8: #0f7c9c; --c9: #8a5a3c; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8eb; --paper: #16181c; --faint: #3a3f46; --c0: #6b7685; --c1: #58a6ff;
    --c2: #ff7b8a; --c3: #4fd1c1; --c4: #e3b341; --c5: #b392f0; --c6: #7ed37a; --c7: #f092cf;
    --c8: #5cc8e8; --c9: #d0a080; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.5rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.15rem 0.8rem 0.15rem 0; text-align: right; border-bottom: 1px solid var(--faint); }
th:first-child, td:first-child, .text td { text-align: left; }
.text td { overflow-wrap: anywhere; }
.text td:first-child { white-space: nowrap; }
.wide { overflow-x: auto; }
.chosen { font-weight: bold; }
svg text { font: 12px system-ui, sans-serif; fill: var(--ink); }
.grid { stroke: var(--faint); }
.line, .ring { fill: none; stroke-width: 2; stroke: var(--c); }
.dot { fill: var(--c); }
.band { fill: var(--c); fill-opacity: 0.12; }
.c0 { --c: var(--c0); } .c1 { --c: var(--c1); } .c2 { --c: var(--c2); } .c3 { --c: var(--c3); }
.c4 { --c: var(--c4); } .c5 { --c: var(--c5); } .c6 { --c: var(--c6); } .c7 { --c: var(--c7); }
.c8 { --c: var(--c8); } .c9 { --c: var(--c9); }
.drawing { background: #ffffff; padding: 1rem; overflow: auto; max-height: 40rem; }
.drawing svg text { fill: #000000; }
)css";

constexpr double width = 640, plot_height = 310;
constexpr double left = 70, right = 20, top = 20, legend_line = 18;

// A map from values to pixels.
struct Axis {
  std::vector<double> ticks;
  double from, to;  // pixels of the first and the last tick
  AxisScale scale;

  double at(double value) const {
    const auto place = [this](double v) { return scale == AxisScale::log ? std::log(v) : v; };
    const double first = place(ticks.front()), last = place(ticks.back());
    return from + (place(value) - first) / (last - first) * (to - from);
  }
};

Axis make_axis(const Chart& chart, double ChartPoint::*member, AxisScale scale, double from,
               double to) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const ChartSeries& series : chart.series) {
    for (const ChartPoint& point : series.points) {
      low = std::min(low, point.*member);
      high = std::max(high, point.*member);
    }
  }
  if (low > high) low = 0, high = 1;
  if (low <= 0) scale = AxisScale::linear;
  return {.ticks = scale == AxisScale::log ? log_ticks(low, high) : axis_ticks(low, high),
          .from = from,
          .to = to,
          .scale = scale};
}

std::string place(const Axis& x, const Axis& y, const ChartPoint& point) {
  return fmt::format("{:.1f} {:.1f}", x.at(point.x), y.at(point.y));
}

std::string mark(const ChartSeries& series, const ChartPoint& point, double x, double y) {
  const std::string title =
      point.title.empty() ? "" : "<title>" + escape_html(point.title) + "</title>";
  const auto circle = [&](double radius, std::string_view kind) {
    return fmt::format(
        "<circle class=\"{} c{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\">{}</circle>\n", kind,
        series.color, x, y, radius, title);
  };
  switch (series.mark) {
    case ChartMark::dot:
      return circle(3.5, "dot");
    case ChartMark::ring:
      return circle(6, "ring");
    case ChartMark::star: {
      std::string corners;
      for (int i = 0; i < 10; ++i) {
        const double angle = (i * 36 - 90) * std::acos(-1.0) / 180, radius = i % 2 == 0 ? 10 : 4;
        corners += fmt::format("{:.1f},{:.1f} ", x + radius * std::cos(angle),
                               y + radius * std::sin(angle));
      }
      return fmt::format("<polygon class=\"dot c{}\" points=\"{}\">{}</polygon>\n", series.color,
                         corners, title);
    }
    case ChartMark::steps:
    case ChartMark::line:
    case ChartMark::band:
      return "";
  }
  return "";
}

// What joins the points of a series.
std::string path(const ChartSeries& series, const Axis& x, const Axis& y) {
  const char* kind = series.mark == ChartMark::band ? "band" : "line";
  std::string d;
  for (const ChartPoint& point : series.points) {
    if (series.mark == ChartMark::steps && !d.empty()) {
      d += fmt::format("H{:.1f}V{:.1f}", x.at(point.x), y.at(point.y));
    } else {
      d += (d.empty() ? "M" : "L") + place(x, y, point);
    }
  }
  return fmt::format("<path class=\"{} c{}\" d=\"{}{}\"/>\n", kind, series.color, d,
                     series.mark == ChartMark::band ? "Z" : "");
}

bool joins(ChartMark mark) {
  return mark == ChartMark::steps || mark == ChartMark::line || mark == ChartMark::band;
}

}  // namespace

std::vector<double> axis_ticks(double low, double high) {
  // What differs in its last bits only has no ticks between.
  if (high - low <= 1e-12 * std::max(std::abs(low), std::abs(high))) {
    const double margin = low == 0 ? 1 : std::abs(low) * 0.05;
    low -= margin;
    high += margin;
  }
  const double rough = (high - low) / 5;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {5.0, 2.5, 2.0, 1.0}) {
    if (factor * power >= rough) step = factor * power;
  }
  const double first = std::floor(low / step), last = std::ceil(high / step);
  std::vector<double> ticks;
  for (double i = first; i <= last; ++i) ticks.push_back(i * step);
  return ticks;
}

std::vector<double> log_ticks(double low, double high) {
  const auto decade = [](double value) { return std::floor(std::log10(value)); };
  std::vector<double> ticks;
  for (const std::vector<double>& factors : {std::vector{1.0, 2.0, 5.0}, std::vector{1.0}}) {
    ticks.clear();
    for (double power = decade(low); ticks.empty() || ticks.back() < high; ++power) {
      for (const double factor : factors) {
        const double tick = factor * std::pow(10, power);
        if (tick <= low) ticks.clear();
        if (ticks.empty() || ticks.back() < high) ticks.push_back(tick);
      }
    }
    if (ticks.size() == 1) ticks.push_back(10 * ticks.front());
    if (ticks.size() <= 10) break;
  }
  return ticks;
}

std::string short_number(double value) {
  const double size = std::abs(value);
  if (size >= 1000) return fmt::format("{:.0f}", value);
  return fmt::format("{:.4g}", value);
}

std::string escape_html(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string to_svg(const Chart& chart) {
  const double bottom = top + plot_height;
  const Axis x_axis = make_axis(chart, &ChartPoint::x, chart.x_scale, left, width - right);
  const Axis y_axis = make_axis(chart, &ChartPoint::y, chart.y_scale, bottom, top);
  std::string svg;
  for (const double tick : x_axis.ticks) {
    svg += fmt::format(
        "<line class=\"grid\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2}\"/>"
        "<text x=\"{0:.1f}\" y=\"{3}\" text-anchor=\"middle\">{4}</text>\n",
        x_axis.at(tick), top, bottom, bottom + 18, short_number(tick));
  }
  for (const double tick : y_axis.ticks) {
    svg += fmt::format(
        "<line class=\"grid\" x1=\"{1}\" x2=\"{2}\" y1=\"{0:.1f}\" y2=\"{0:.1f}\"/>"
        "<text x=\"{3}\" y=\"{4:.1f}\" text-anchor=\"end\">{5}</text>\n",
        y_axis.at(tick), left, width - right, left - 8, y_axis.at(tick) + 4, short_number(tick));
  }
  svg += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
                     (left + width - right) / 2, bottom + 38, escape_html(chart.x_label));
  svg += fmt::format(
      "<text transform=\"translate(14 {}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n",
      (top + bottom) / 2, escape_html(chart.y_label));
  // The legend is below the axis, in as many lines as it takes.
  double legend = left, line = bottom + 58;
  for (const ChartSeries& series : chart.series) {
    if (series.points.empty()) continue;
    if (joins(series.mark)) svg += path(series, x_axis, y_axis);
    for (const ChartPoint& point : series.points) {
      svg += mark(series, point, x_axis.at(point.x), y_axis.at(point.y));
    }
    if (series.name.empty()) continue;
    const double space = 40 + 7 * static_cast<double>(series.name.size());
    if (legend > left && legend + space > width) {
      legend = left;
      line += legend_line;
    }
    ChartSeries sample = series;
    if (joins(sample.mark)) sample.mark = ChartMark::dot;
    svg += mark(sample, ChartPoint{}, legend + 6, line - 4);
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{}\">{}</text>\n", legend + 20, line,
                       escape_html(series.name));
    legend += space;
  }
  return fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\">\n{}</svg>\n", width, line + 12, svg);
}

std::string html_page(std::string_view title, std::string_view body) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width\">\n<title>{}</title>\n"
      "<style>{}</style>\n</head>\n<body>\n{}</body>\n</html>\n",
      escape_html(title), style, body);
}

}  // namespace espalier
