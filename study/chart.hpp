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

enum class ChartMark { dot, ring, star, steps };

/// Points that are drawn alike; `steps` joins them, in their order, horizontally then vertically.
struct ChartSeries {
  std::string name = {};
  ChartMark mark = ChartMark::dot;
  int color = 0;  ///< 0 to 3: which of the page's colours
  std::vector<ChartPoint> points = {};
};

/// A chart with two linear axes. Later series lie above earlier ones.
struct Chart {
  std::string x_label = {};
  std::string y_label = {};
  std::vector<ChartSeries> series = {};
};

/// An <svg> element; colours come from the page's classes c0 to c3. Text is escaped. A chart
/// without points has axes from 0 to 1.
std::string to_svg(const Chart& chart);

/// 3 to 9 round numbers that span [low, high], low <= high: the ticks of an axis.
std::vector<double> axis_ticks(double low, double high);

/// A number as a reader wants it: at most 4 significant digits below 1000, else all before the
/// point.
std::string short_number(double value);

/// Text for HTML: &, <, > and quotes replaced.
std::string escape_html(std::string_view text);

}  // namespace espalier
