#include "study/chart.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/rng.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

TEST(Chart, TicksAreRoundAndSpanTheValues) {
  EXPECT_THAT(axis_ticks(0, 1), ElementsAre(0, 0.2, 0.4, testing::DoubleEq(0.6), 0.8, 1));
  EXPECT_THAT(axis_ticks(91.2, 94.1), ElementsAre(91, 92, 93, 94, 95));
  EXPECT_THAT(axis_ticks(-3, 17), ElementsAre(-5, 0, 5, 10, 15, 20));
  Rng rng(1);
  for (int i = 0; i < 1000; ++i) {
    const double low = rng.normal() * std::pow(10, rng.uniform_int(-6, 6));
    const double high = low + std::abs(rng.normal()) * std::pow(10, rng.uniform_int(-6, 6));
    const std::vector<double> ticks = axis_ticks(low, high);
    EXPECT_GE(ticks.size(), 3u) << low << " " << high;
    EXPECT_LE(ticks.size(), 9u) << low << " " << high;
    const double step = ticks[1] - ticks[0];
    EXPECT_LE(ticks.front(), low + 1e-9 * step);
    EXPECT_GE(ticks.back(), high - 1e-9 * step);
  }
}

TEST(Chart, LogarithmicTicksAreEvenAndSpanTheValues) {
  EXPECT_THAT(log_ticks(1, 500), ElementsAre(1, 2, 5, 10, 20, 50, 100, 200, 500));
  EXPECT_THAT(log_ticks(3, 30), ElementsAre(2, 5, 10, 20, 50));
  EXPECT_THAT(log_ticks(0.001, 900), ElementsAre(0.001, 0.01, 0.1, 1, 10, 100, 1000));
  EXPECT_THAT(log_ticks(7, 7), ElementsAre(5, 10));
  EXPECT_THAT(log_ticks(10, 10), ElementsAre(10, 100));
}

TEST(Chart, ValuesThatDifferInTheirLastBitsHaveTicksToo) {
  const std::vector<double> ticks = axis_ticks(0.3, std::nextafter(0.3, 1));
  EXPECT_GE(ticks.size(), 3u);
  EXPECT_LE(ticks.size(), 20u);
}

TEST(Chart, EqualValuesHaveTicksToo) {
  EXPECT_THAT(axis_ticks(0, 0), ElementsAre(-1, -0.5, 0, 0.5, 1));
  for (const double value : {5.0, -3.0, 1e-9, 1e12}) {
    const std::vector<double> ticks = axis_ticks(value, value);
    EXPECT_GE(ticks.size(), 3u);
    EXPECT_LT(ticks.front(), value);
    EXPECT_GT(ticks.back(), value);
  }
}

TEST(Chart, NumbersAreShort) {
  EXPECT_EQ(short_number(0), "0");
  EXPECT_EQ(short_number(93.456), "93.46");
  EXPECT_EQ(short_number(0.000123456), "0.0001235");
  EXPECT_EQ(short_number(1234567.8), "1234568");
  EXPECT_EQ(short_number(-2500.2), "-2500");
}

TEST(Chart, TextIsEscaped) {
  EXPECT_EQ(escape_html("<a href=\"x\">&"), "&lt;a href=&quot;x&quot;&gt;&amp;");
  const std::string svg = to_svg(
      {.x_label = "a<b", .y_label = "c&d", .series = {{.name = "<s>", .points = {{1, 2, "<t>"}}}}});
  EXPECT_THAT(svg, HasSubstr("a&lt;b"));
  EXPECT_THAT(svg, HasSubstr("c&amp;d"));
  EXPECT_THAT(svg, HasSubstr("&lt;s&gt;"));
  EXPECT_THAT(svg, HasSubstr("<title>&lt;t&gt;</title>"));
  EXPECT_THAT(svg, Not(HasSubstr("<t>")));
}

TEST(Chart, PointsLieWhereTheirValuesSay) {
  // The axes are 70 to 620 and 330 to 20 pixels for 0 to 10.
  const std::string svg = to_svg({.series = {{.mark = ChartMark::dot, .points = {{0, 10}, {5, 5}}},
                                             {.mark = ChartMark::ring, .points = {{10, 0}}},
                                             {.mark = ChartMark::star, .points = {{5, 0}}}}});
  EXPECT_THAT(svg, HasSubstr("cx=\"70.0\" cy=\"20.0\" r=\"3.5\""));
  EXPECT_THAT(svg, HasSubstr("cx=\"345.0\" cy=\"175.0\" r=\"3.5\""));
  EXPECT_THAT(svg, HasSubstr("cx=\"620.0\" cy=\"330.0\" r=\"6\""));
  EXPECT_THAT(svg, HasSubstr("points=\"345.0,320.0 "));
}

TEST(Chart, StepsGoAcrossAndThenUp) {
  const std::string svg =
      to_svg({.series = {{.mark = ChartMark::steps, .points = {{0, 0}, {5, 10}, {10, 10}}}}});
  EXPECT_THAT(svg, HasSubstr("d=\"M70.0 330.0H345.0V20.0H620.0V20.0\""));
}

TEST(Chart, LinesAndBandsJoinTheirPointsOnALogarithmicAxis) {
  // 70 to 620 pixels for 1 to 100: 10 is in the middle.
  const std::string svg = to_svg(
      {.x_scale = AxisScale::log,
       .series = {{.mark = ChartMark::band, .color = 9, .points = {{1, 0}, {10, 5}, {1, 10}}},
                  {.mark = ChartMark::line, .points = {{1, 0}, {10, 5}, {100, 10}}}}});
  EXPECT_THAT(svg, HasSubstr("class=\"band c9\" d=\"M70.0 330.0L345.0 175.0L70.0 20.0Z\""));
  EXPECT_THAT(svg, HasSubstr("class=\"line c0\" d=\"M70.0 330.0L345.0 175.0L620.0 20.0\""));
}

TEST(Chart, AnAxisWithValuesOfZeroIsLinear) {
  const std::string svg =
      to_svg({.y_scale = AxisScale::log,
              .series = {{.mark = ChartMark::line, .points = {{0, 0}, {10, 10}}}}});
  EXPECT_THAT(svg, HasSubstr("d=\"M70.0 330.0L620.0 20.0\""));
}

TEST(Chart, ALongLegendHasSeveralLines) {
  Chart chart;
  for (int i = 0; i < 12; ++i) {
    chart.series.push_back({.name = "a strategy of some name", .points = {{1, 1}}});
  }
  const std::string svg = to_svg(chart);
  EXPECT_THAT(svg, HasSubstr("y=\"388\">a strategy"));
  EXPECT_THAT(svg, HasSubstr("y=\"406\">a strategy"));
  chart.series.resize(1);
  EXPECT_THAT(to_svg(chart), Not(HasSubstr("y=\"406\"")));
}

TEST(Chart, AChartWithoutPointsHasAxes) {
  const std::string svg = to_svg({.x_label = "x", .y_label = "y", .series = {}});
  EXPECT_THAT(svg, HasSubstr(">0.2</text>"));
  EXPECT_THAT(svg, Not(HasSubstr("circle")));
}

}  // namespace
}  // namespace espalier
