#include "core/bootstrap.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "core/error.hpp"
#include "core/stats.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

TEST(BootstrapTest, IntervalsCoverTheTrueMeanAsOftenAsTheySay) {
  // Samples of 60 from the exponential distribution, whose mean is 1.
  for (const double confidence : {0.5, 0.8, 0.95}) {
    int covered = 0;
    constexpr int samples = 600;
    for (int s = 0; s < samples; ++s) {
      Rng rng = Rng(7).fork(static_cast<std::uint64_t>(s));
      std::vector<double> values(60);
      for (double& v : values) v = -std::log(1 - rng.uniform());
      const Estimate e = bootstrap_mean(values, {.resamples = 300, .confidence = confidence},
                                        rng.fork("bootstrap"));
      covered += e.interval.low <= 1 && 1 <= e.interval.high;
    }
    const double share = static_cast<double>(covered) / samples;
    EXPECT_GT(share, confidence - 0.05) << confidence;
    EXPECT_LT(share, confidence + 0.03) << confidence;
  }
}

TEST(BootstrapTest, AnIntervalIsAsWideAsTheNormalOneInLargeSamples) {
  Rng rng(3);
  std::vector<double> values(2000);
  for (double& v : values) v = 5 + 2 * rng.normal();
  const Estimate e = bootstrap_mean(values, {.resamples = 2000}, Rng(4));
  const double half = 1.96 * 2 / std::sqrt(2000.0);
  EXPECT_NEAR(e.value - e.interval.low, half, 0.1 * half);
  EXPECT_NEAR(e.interval.high - e.value, half, 0.1 * half);
}

TEST(BootstrapTest, PairsStayTogetherAndUndefinedResamplesAreLeftOut) {
  // y = x: any resample with two different values correlates perfectly.
  const std::vector<double> x{1, 2, 3};
  int undefined = 0;
  const auto correlation = [&](std::span<const std::size_t> drawn) {
    std::vector<double> of;
    for (const std::size_t i : drawn) of.push_back(x[i]);
    const double r = pearson(of, of);
    undefined += std::isnan(r);
    return r;
  };
  const Estimate e = bootstrap(x.size(), correlation, {}, Rng(1));
  EXPECT_DOUBLE_EQ(e.value, 1);
  EXPECT_DOUBLE_EQ(e.interval.low, 1);
  EXPECT_DOUBLE_EQ(e.interval.high, 1);
  EXPECT_GT(undefined, 50);  // a resample is one value three times with chance 1 / 9
  const Estimate never = bootstrap(
      3, [](auto) { return std::nan(""); }, {}, Rng(1));
  EXPECT_TRUE(std::isnan(never.value) && std::isnan(never.interval.low));
  throws<NumericalError>([&] { bootstrap(0, correlation, {}, Rng(1)); });
}

TEST(BootstrapTest, EqualSeedsGiveEqualIntervals) {
  const std::vector<double> values{1, 5, 2, 8};
  const Estimate a = bootstrap_mean(values, {}, Rng(1)), b = bootstrap_mean(values, {}, Rng(1));
  EXPECT_EQ(a.value, 4);
  EXPECT_EQ(a.interval.low, b.interval.low);
  EXPECT_EQ(a.interval.high, b.interval.high);
  EXPECT_LT(a.interval.low, a.value);
  const Estimate one = bootstrap_mean(std::vector<double>{3}, {}, Rng(1));
  EXPECT_EQ(one.interval.low, 3);
  EXPECT_EQ(one.interval.high, 3);
}

TEST(BootstrapTest, WhatCannotBeResampledIsRefused) {
  const std::vector<double> values{1, 2};
  const auto error = [&](const BootstrapOptions& options) {
    return throws<ConfigError>([&] { bootstrap_mean(values, options, Rng(1)); });
  };
  EXPECT_THAT(error({.resamples = 0}), HasSubstr("/resamples"));
  EXPECT_THAT(error({.confidence = 1}), HasSubstr("/confidence"));
  EXPECT_THAT(error({.confidence = 0}), HasSubstr("/confidence"));
  EXPECT_THAT(throws<NumericalError>([] { bootstrap_mean({}, {}, Rng(1)); }),
              HasSubstr("needs at least 1"));
  EXPECT_THAT(throws<NumericalError>([] {
                bootstrap_mean(std::vector<double>{std::numeric_limits<double>::infinity()}, {},
                               Rng(1));
              }),
              HasSubstr("inf"));
}

}  // namespace
}  // namespace espalier
