#include "predictors/learning_curve.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>

#include "core/error.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

const CurveModelOptions quick{.walkers = 100, .burn_in = 200, .samples = 100};

// The first `seen` of `epochs` points of a curve over epochs, with noise.
template <class Curve>
std::vector<CurvePoint> part_of(Curve curve, int seen, int epochs, double noise,
                                std::uint64_t seed) {
  Rng rng(seed);
  std::vector<CurvePoint> points;
  for (int t = 1; t <= seen; ++t) {
    points.push_back({.fidelity = double(t) / epochs, .value = curve(t) + noise * rng.normal()});
  }
  return points;
}

TEST(CurveFamilies, AreTheElevenOfTheSource) {
  const double p[4] = {0.9, 0.4, 0.3, 0.7}, x = 5;
  const std::map<std::string, double> expected{
      {"vapor_pressure", std::exp(0.9 + 0.4 / 5 + 0.3 * std::log(5.0))},
      {"pow3", 0.9 - 0.4 * std::pow(5, -0.3)},
      {"log_log_linear", std::log(0.9 * std::log(5.0) + 0.4)},
      {"hill3", 0.9 * std::pow(5, 0.4) / (std::pow(0.3, 0.4) + std::pow(5, 0.4))},
      {"log_power", 0.9 / (1 + std::pow(5 / std::exp(0.4), 0.3))},
      {"pow4", 0.9 - std::pow(0.4 * 5 + 0.3, -0.7)},
      {"mmf", 0.9 - 0.5 / (1 + std::pow(0.3 * 5, 0.7))},
      {"exp4", 0.9 - std::exp(-0.4 * std::pow(5, 0.7) + 0.3)},
      {"janoschek", 0.9 - 0.5 * std::exp(-0.3 * std::pow(5, 0.7))},
      {"weibull", 0.9 - 0.5 * std::exp(-std::pow(0.3 * 5, 0.7))},
      {"ilog2", 0.9 - 0.4 / std::log(6.0)}};
  ASSERT_EQ(curve_families().size(), expected.size());
  int parameters = 0;
  for (const CurveFamily& family : curve_families()) {
    EXPECT_DOUBLE_EQ(family.value(x, p), expected.at(family.name)) << family.name;
    parameters += family.parameters;
  }
  EXPECT_EQ(parameters, 36);
}

TEST(CurveModel, ExtrapolatesBeyondTheLastValue) {
  const auto slow = [](int t) { return 0.9 - 0.6 * std::pow(t, -0.4); };
  const auto fast = [](int t) { return 0.8 - 0.6 * std::exp(-0.3 * t); };
  const auto rising = part_of(slow, 15, 60, 0.003, 1);
  const CurveForecast forecast = forecast_curve(rising, quick, Rng(1));
  const double end = slow(60);
  ASSERT_GT(end, rising.back().value + 0.06);
  EXPECT_NEAR(forecast.value().mean, end, 0.03);
  EXPECT_GT(std::sqrt(forecast.value().variance), 0.002);
  EXPECT_LT(std::sqrt(forecast.value().variance), 0.06);
  EXPECT_LT(forecast.probability_above(end + 0.08), 0.1);
  EXPECT_GT(forecast.probability_above(rising.back().value), 0.9);
  const auto flat = part_of(fast, 20, 60, 0.003, 1);
  // Longer chains, since those of `quick` have not come to rest.
  const CurveModelOptions longer{.burn_in = 500, .samples = 500};
  EXPECT_NEAR(forecast_curve(flat, longer, Rng(1)).value().mean, fast(60), 0.05);
}

TEST(CurveModel, IsAFunctionOfItsArguments) {
  const auto points = part_of([](int t) { return 0.7 - 0.4 / t; }, 6, 20, 0.002, 3);
  const CurveModelOptions few{.walkers = 98, .burn_in = 5, .samples = 5};
  EXPECT_EQ(forecast_curve(points, few, Rng(1)).value().mean,
            forecast_curve(points, few, Rng(1)).value().mean);
  EXPECT_NE(forecast_curve(points, few, Rng(1)).value().mean,
            forecast_curve(points, few, Rng(2)).value().mean);
}

TEST(CurveModel, FallsBackToTheLastValueOfWhatDoesNotGrow) {
  const std::vector<CurvePoint> falling{{0.1, 0.8}, {0.2, 0.5}, {0.3, 0.2}};
  const Prediction its = forecast_curve(falling, quick, Rng(1)).value();
  EXPECT_EQ(its.mean, 0.2);
  EXPECT_NEAR(its.variance, 0.09, 1e-12);
}

TEST(CurveForecast, IsAMixture) {
  const CurveForecast forecast({0.2, 0.6}, {0.1, 0.3});
  EXPECT_DOUBLE_EQ(forecast.value().mean, 0.4);
  EXPECT_NEAR(forecast.value().variance, 0.04 + (0.01 + 0.09) / 2, 1e-12);
  EXPECT_NEAR(forecast.probability_above(0.6), (0.5 + 3.167e-5) / 2, 1e-7);
  EXPECT_EQ(CurveForecast({0.5}, {0}).probability_above(0.5), 1);
  EXPECT_EQ(CurveForecast({0.5}, {0}).probability_above(0.6), 0);
}

TEST(CurveModel, RefusesWhatIsNoCurve) {
  const auto error = [](const std::vector<CurvePoint>& points) {
    return throws<Error>([&] { forecast_curve(points, {}, Rng(1)); });
  };
  EXPECT_THAT(error({{0.5, 0.5}}), HasSubstr("1 points"));
  EXPECT_THAT(error({{0.5, 0.5}, {0.5, 0.6}}), HasSubstr("fidelity 0.5 after 0.5"));
  EXPECT_THAT(error({{0, 0.5}, {0.5, 0.6}}), HasSubstr("fidelity 0 after 0"));
  EXPECT_THAT(error({{0.5, 0.5}, {1.5, 0.6}}), HasSubstr("fidelity 1.5"));
  const std::vector<CurvePoint> undefined{{0.5, 0.5}, {0.6, std::nan("")}};
  EXPECT_THROW(forecast_curve(undefined, {}, Rng(1)), NumericalError);
  const std::vector<CurvePoint> good{{0.5, 0.5}, {0.6, 0.6}};
  EXPECT_THROW(forecast_curve(good, {.walkers = 99}, Rng(1)), ConfigError);
  EXPECT_THROW(forecast_curve(good, {.walkers = 10}, Rng(1)), ConfigError);
}

}  // namespace
}  // namespace espalier
