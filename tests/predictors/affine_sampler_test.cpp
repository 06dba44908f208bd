#include "predictors/affine_sampler.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/stats.hpp"

namespace espalier {
namespace {

TEST(AffineSampler, DrawsFromACorrelatedNormalDistribution) {
  // Means 1 and -2, deviations 1 and 10, correlation 0.8.
  const auto density = [](std::span<const double> x) {
    const double u = x[0] - 1, v = (x[1] + 2) / 10;
    return -(u * u - 1.6 * u * v + v * v) / (2 * (1 - 0.64));
  };
  Rng rng(4);
  std::vector<std::vector<double>> walkers;
  std::vector<double> logs;
  for (int k = 0; k < 20; ++k) {
    walkers.push_back({rng.normal(), rng.normal()});
    logs.push_back(density(walkers.back()));
  }
  std::vector<double> first, second;
  for (int move = 0; move < 5200; ++move) {
    stretch_walkers(walkers, logs, density, rng);
    if (move < 200) continue;
    for (const auto& walker : walkers) {
      first.push_back(walker[0]);
      second.push_back(walker[1]);
    }
  }
  EXPECT_NEAR(mean(first), 1, 0.05);
  EXPECT_NEAR(mean(second), -2, 0.5);
  EXPECT_NEAR(standard_deviation(first), 1, 0.05);
  EXPECT_NEAR(standard_deviation(second), 10, 0.5);
  EXPECT_NEAR(pearson(first, second), 0.8, 0.02);
}

TEST(AffineSampler, StaysWhereTheDensityIsPositive) {
  const auto density = [](std::span<const double> x) {
    if (x[0] < 0) return std::nan("");
    return x[0] > 1 ? -std::numeric_limits<double>::infinity() : 0.0;
  };
  Rng rng(1);
  std::vector<std::vector<double>> walkers;
  for (int k = 0; k < 10; ++k) walkers.push_back({rng.uniform()});
  std::vector<double> logs(10, 0.0), all;
  for (int move = 0; move < 2000; ++move) {
    stretch_walkers(walkers, logs, density, rng);
    for (const auto& walker : walkers) all.push_back(walker[0]);
  }
  EXPECT_GE(quantile(all, 0), 0);
  EXPECT_LE(quantile(all, 1), 1);
  EXPECT_NEAR(quantile(all, 0.25), 0.25, 0.03);
  EXPECT_NEAR(quantile(all, 0.75), 0.75, 0.03);
}

}  // namespace
}  // namespace espalier
