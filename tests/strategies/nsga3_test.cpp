#include "strategies/nsga3.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "objectives/reference_directions.hpp"
#include "tests/strategies/toy_search.hpp"

namespace espalier {
namespace {

using testing::UnorderedElementsAre;

Individual with_costs(std::vector<double> costs, double violation = 0) {
  return {.violation = violation, .cost = costs[0], .costs = std::move(costs)};
}

// A front of a plane: six points on the six directions of two divisions, and many others.
std::vector<Individual> plane(const std::vector<double>& scale, const std::vector<double>& offset) {
  std::vector<Individual> pool;
  Rng rng(5);
  const auto add = [&](double x, double y) {
    const std::vector<double> point{x, y, 1 - x - y};
    std::vector<double> costs;
    for (std::size_t i = 0; i < 3; ++i) costs.push_back(offset[i] + scale[i] * point[i]);
    pool.push_back(with_costs(costs));
  };
  for (const auto& direction : simplex_lattice(3, 2)) add(direction[0], direction[1]);
  while (pool.size() < 40) {
    const double x = rng.uniform(), y = rng.uniform();
    if (x + y < 1) add(x, y);
  }
  return pool;
}

std::vector<std::size_t> survivors(Survival&& survival, const std::vector<Individual>& pool,
                                   std::size_t count) {
  Rng rng(1);
  return survival.choose(pool, count, rng).places;
}

TEST(NichesOfDirections, IsNotCrowding) {
  const auto directions = simplex_lattice(3, 2);
  const auto pool = plane({1, 1, 1}, {0, 0, 0});
  EXPECT_THAT(survivors(NichesOfDirections(directions), pool, 6),
              UnorderedElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(survivors(RankAndCrowding(), pool, 6),
              testing::Not(UnorderedElementsAre(0, 1, 2, 3, 4, 5)));
}

TEST(NichesOfDirections, ScalesCostsByThePlaneThroughTheExtremes) {
  const auto pool = plane({1000, 0.001, 5}, {-3, 7, 100});
  EXPECT_THAT(survivors(NichesOfDirections(simplex_lattice(3, 2)), pool, 6),
              UnorderedElementsAre(0, 1, 2, 3, 4, 5));
}

TEST(NichesOfDirections, TheScaleIsThePlanesInterceptsNotTheRange) {
  // A part of a plane, without its corners: all intercepts are alike, the ranges are not.
  std::vector<Individual> pool;
  std::vector<std::vector<double>> costs;
  Rng rng(2);
  std::vector<double> ideal(3, 1e9);
  while (pool.size() < 60) {
    const double x = 0.6 * rng.uniform(), y = 0.3 * rng.uniform();
    costs.push_back({x, y, 1 - x - y});
    pool.push_back(with_costs(costs.back()));
    for (std::size_t i = 0; i < 3; ++i) ideal[i] = std::min(ideal[i], costs.back()[i]);
  }
  const auto directions = simplex_lattice(3, 4);
  // Each niche keeps its nearest.
  std::vector<double> least(directions.size(), 1e9);
  std::vector<std::size_t> nearest(directions.size());
  for (std::size_t p = 0; p < pool.size(); ++p) {
    double best = 1e9;
    std::size_t its = 0;
    for (std::size_t d = 0; d < directions.size(); ++d) {
      double along = 0, length = 0, square = 0;
      for (std::size_t i = 0; i < 3; ++i) {
        along += directions[d][i] * (costs[p][i] - ideal[i]);
        length += directions[d][i] * directions[d][i];
        square += std::pow(costs[p][i] - ideal[i], 2);
      }
      const double distance = square - along * along / length;
      if (distance < best) best = distance, its = d;
    }
    if (best < least[its]) least[its] = best, nearest[its] = p;
  }
  std::vector<std::size_t> wanted;
  for (std::size_t d = 0; d < directions.size(); ++d) {
    if (least[d] < 1e9) wanted.push_back(nearest[d]);
  }
  ASSERT_GE(wanted.size(), 6u);
  EXPECT_THAT(survivors(NichesOfDirections(directions), pool, wanted.size()),
              testing::UnorderedElementsAreArray(wanted));
}

TEST(NichesOfDirections, WholeFrontsComeFirstAndFillNiches) {
  // The first front holds both ends, so that of the second one the middle is taken.
  const std::vector<Individual> pool{with_costs({0, 4}), with_costs({4, 0}), with_costs({1, 5}),
                                     with_costs({5, 1}), with_costs({3, 3})};
  EXPECT_THAT(survivors(NichesOfDirections(simplex_lattice(2, 2)), pool, 3),
              UnorderedElementsAre(0, 1, 4));
}

TEST(NichesOfDirections, WithoutAPlaneTheRangeOfTheFrontIsTheScale) {
  // One point is the best in both: there is no plane, and no range.
  const std::vector<Individual> pool{with_costs({1, 1}), with_costs({2, 2}), with_costs({3, 2.5})};
  EXPECT_THAT(survivors(NichesOfDirections(simplex_lattice(2, 1)), pool, 2),
              UnorderedElementsAre(0, 1));
}

TEST(NichesOfDirections, WhatBreaksTheConstraintsLeastLivesOn) {
  const std::vector<Individual> pool{with_costs({0, 0}, 3), with_costs({5, 5}, 1),
                                     with_costs({9, 9}), with_costs({7, 7}, 1)};
  NichesOfDirections survival(simplex_lattice(2, 1));
  Rng rng(1);
  const Survivors result = survival.choose(pool, 3, rng);
  EXPECT_THAT(result.places, UnorderedElementsAre(2, 1, 3));
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(result.keys[i][0], pool[result.places[i]].violation);
  }
}

TEST(Nsga3, KeepsAFrontSpread) {
  // Three objectives by a table of its own: choices of three decisions, each a cost.
  const auto metrics =
      std::make_shared<const MetricTable>(std::vector<MetricInfo>{{"a"}, {"b"}, {"c"}});
  const Goals goals(*metrics, {{"a"}, {"b"}, {"c"}});
  const auto space = test_space({60, 60, 10});
  Nsga3Options options;
  options.population = 28;
  const auto strategy = nsga3(test_context(space, 1, goals), options);
  // A plane of costs; the third decision moves away from it.
  const auto trials = drive(*strategy, 1500, 1, [&](const Candidate& c) {
    Trial trial{.candidate = c, .metrics = Metrics(metrics)};
    const double x = c.architecture.choices[0] / 59.0, y = c.architecture.choices[1] / 59.0,
                 away = c.architecture.choices[2];
    trial.metrics[0] = x * y + away;
    trial.metrics[1] = x * (1 - y) + away;
    trial.metrics[2] = 1 - x + away;
    return trial;
  });
  const auto& population = dynamic_cast<const Evolution&>(*strategy).population();
  ASSERT_EQ(population.size(), 28u);
  // Every direction has an individual near its line.
  for (const auto& direction : reference_directions(3, 28)) {
    double nearest = 10;
    for (const Individual& individual : population) {
      double distance = 0;
      for (std::size_t i = 0; i < 3; ++i) {
        distance += std::pow(individual.costs[i] - direction[i], 2);
      }
      nearest = std::min(nearest, distance);
    }
    EXPECT_LT(std::sqrt(nearest), 0.1);
  }
}

TEST(Nsga3OptionTable, ReadsAndChecks) {
  EXPECT_EQ(nsga3_option_table().read({{"population", 12}}, "").population, 12);
  EXPECT_THROW(nsga3_option_table().read({{"population", 1}}, ""), ConfigError);
}

}  // namespace
}  // namespace espalier
