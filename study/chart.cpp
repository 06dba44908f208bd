#include "study/chart.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace espalier {
namespace {

constexpr double width = 640, height = 400;
constexpr double left = 70, right = 20, top = 20, bottom = 70;

// A linear map from values to pixels.
struct Axis {
  std::vector<double> ticks;
  double from, to;  // pixels of the first and the last tick

  double at(double value) const {
    const double share = (value - ticks.front()) / (ticks.back() - ticks.front());
    return from + share * (to - from);
  }
};

Axis make_axis(const Chart& chart, double ChartPoint::*member, double from, double to) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const ChartSeries& series : chart.series) {
    for (const ChartPoint& point : series.points) {
      low = std::min(low, point.*member);
      high = std::max(high, point.*member);
    }
  }
  if (low > high) low = 0, high = 1;
  return {.ticks = axis_ticks(low, high), .from = from, .to = to};
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
      return "";
  }
  return "";
}

}  // namespace

std::vector<double> axis_ticks(double low, double high) {
  if (low == high) {
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
  const Axis x_axis = make_axis(chart, &ChartPoint::x, left, width - right);
  const Axis y_axis = make_axis(chart, &ChartPoint::y, height - bottom, top);
  std::string svg = fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\">\n", width, height);
  for (const double tick : x_axis.ticks) {
    svg += fmt::format(
        "<line class=\"grid\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2}\"/>"
        "<text x=\"{0:.1f}\" y=\"{3}\" text-anchor=\"middle\">{4}</text>\n",
        x_axis.at(tick), top, height - bottom, height - bottom + 18, short_number(tick));
  }
  for (const double tick : y_axis.ticks) {
    svg += fmt::format(
        "<line class=\"grid\" x1=\"{1}\" x2=\"{2}\" y1=\"{0:.1f}\" y2=\"{0:.1f}\"/>"
        "<text x=\"{3}\" y=\"{4:.1f}\" text-anchor=\"end\">{5}</text>\n",
        y_axis.at(tick), left, width - right, left - 8, y_axis.at(tick) + 4, short_number(tick));
  }
  svg += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
                     (left + width - right) / 2, height - bottom + 38, escape_html(chart.x_label));
  svg += fmt::format(
      "<text transform=\"translate(14 {}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n",
      (top + height - bottom) / 2, escape_html(chart.y_label));
  double legend = left;
  for (const ChartSeries& series : chart.series) {
    if (series.points.empty()) continue;
    if (series.mark == ChartMark::steps) {
      std::string path;
      for (std::size_t i = 0; i < series.points.size(); ++i) {
        const double x = x_axis.at(series.points[i].x), y = y_axis.at(series.points[i].y);
        path += i == 0 ? fmt::format("M{:.1f} {:.1f}", x, y) : fmt::format("H{:.1f}V{:.1f}", x, y);
      }
      svg += fmt::format("<path class=\"line c{}\" d=\"{}\"/>\n", series.color, path);
    }
    for (const ChartPoint& point : series.points) {
      svg += mark(series, point, x_axis.at(point.x), y_axis.at(point.y));
    }
    // The legend is one line below the axis.
    const double y = height - 12;
    ChartSeries sample = series;
    if (sample.mark == ChartMark::steps) sample.mark = ChartMark::dot;
    svg += mark(sample, ChartPoint{}, legend + 6, y - 4);
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{}\">{}</text>\n", legend + 20, y,
                       escape_html(series.name));
    legend += 40 + 7 * static_cast<double>(series.name.size());
  }
  return svg + "</svg>\n";
}

}  // namespace espalier
