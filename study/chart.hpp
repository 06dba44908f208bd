// Charts as SVG, for the report.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace espalier {

/// A finite point and the text that is shown when the pointer rests on it.
struct ChartPoint {
  double x = 0;
  double y = 0;
  std::string title = {};
};

enum class ChartMark { dot, ring, star, steps, line, band };

/// Points that are drawn alike. `steps` joins them, in their order, horizontally then vertically;
/// `line` joins them directly; `band` fills what they surround.
struct ChartSeries {
  std::string name = {};  ///< in the legend; "": it is not there
  ChartMark mark = ChartMark::dot;
  int color = 0;  ///< 0 to 9: which of the page's colours
  std::vector<ChartPoint> points = {};
};

enum class AxisScale { linear, log };

/// A chart. Later series lie above earlier ones. An axis with values that are not above 0 is
/// linear.
struct Chart {
  std::string x_label = {};
  std::string y_label = {};
  AxisScale x_scale = AxisScale::linear;
  AxisScale y_scale = AxisScale::linear;
  std::vector<ChartSeries> series = {};
};

/// An <svg> element; colours come from the classes c0 to c9 of html_page(). Text is escaped. A
/// chart without points has axes from 0 to 1.
std::string to_svg(const Chart& chart);

/// 3 to 9 round numbers that span [low, high], low <= high: the ticks of an axis.
std::vector<double> axis_ticks(double low, double high);

/// Round numbers that span [low, high], 0 < low <= high, at even steps of a logarithmic axis: 1, 2
/// and 5 times powers of ten, or these alone where there would be more than 10.
std::vector<double> log_ticks(double low, double high);

/// A number as a reader wants it: at most 4 significant digits below 1000, else all before the
/// point.
std::string short_number(double value);

/// A self-contained page around the body, with the style of charts and tables.
std::string html_page(std::string_view title, std::string_view body);

/// Text for HTML: &, <, > and quotes replaced.
std::string escape_html(std::string_view text);

}  // namespace espalier
