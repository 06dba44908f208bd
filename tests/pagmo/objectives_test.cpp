#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <pagmo/utils/hypervolume.hpp>
#include <pagmo/utils/multi_objective.hpp>
#include <random>
#include <vector>

#include "core/rng.hpp"
#include "objectives/crowding.hpp"
#include "objectives/dominance.hpp"
#include "objectives/hypervolume.hpp"
#include "objectives/reference_directions.hpp"

namespace espalier {
namespace {

// Random costs in [0, 1), of `levels` values each where levels > 0, so that there are ties.
std::vector<double> random_costs(Rng& rng, std::size_t count, std::size_t dimension, int levels) {
  std::vector<double> values(count * dimension);
  for (double& value : values) {
    value = levels > 0 ? static_cast<double>(rng.below(levels)) / levels : rng.uniform();
  }
  return values;
}

std::vector<pagmo::vector_double> points_of(PointsView costs) {
  std::vector<pagmo::vector_double> points;
  for (std::size_t i = 0; i < costs.size(); ++i)
    points.emplace_back(costs[i].begin(), costs[i].end());
  return points;
}

class Pagmo : public testing::TestWithParam<std::size_t> {};

TEST_P(Pagmo, NonDominatedRanks) {
  const std::size_t dimension = GetParam();
  Rng rng(1);
  for (int round = 0; round < 100; ++round) {
    const auto values = random_costs(rng, 2 + rng.below(200), dimension, round % 2 == 0 ? 0 : 8);
    const PointsView costs{values, dimension};
    const auto theirs = std::get<3>(pagmo::fast_non_dominated_sorting(points_of(costs)));
    EXPECT_EQ(non_dominated_ranks(costs), std::vector<std::uint32_t>(theirs.begin(), theirs.end()));
  }
}

TEST_P(Pagmo, Hypervolume) {
  const std::size_t dimension = GetParam();
  Rng rng(2);
  for (int round = 0; round < 50; ++round) {
    const auto values = random_costs(rng, 1 + rng.below(40), dimension, round % 2 == 0 ? 0 : 8);
    const PointsView costs{values, dimension};
    const std::vector<double> reference(dimension, 1);
    const double theirs = pagmo::hypervolume(points_of(costs), true).compute(reference);
    EXPECT_NEAR(hypervolume(costs, reference), theirs, 1e-12);
  }
}

TEST_P(Pagmo, CrowdingDistances) {
  const std::size_t dimension = GetParam();
  Rng rng(3);
  for (int round = 0; round < 100; ++round) {
    // Without ties, whose order is not defined.
    const auto values = random_costs(rng, 2 + rng.below(50), dimension, 0);
    const PointsView costs{values, dimension};
    const std::vector<std::uint32_t> one_rank(costs.size(), 0);
    const auto theirs = pagmo::crowding_distance(points_of(costs));
    const auto ours = crowding_distances(costs, one_rank);
    ASSERT_EQ(ours.size(), theirs.size());
    for (std::size_t i = 0; i < ours.size(); ++i) EXPECT_DOUBLE_EQ(ours[i], theirs[i]);
  }
}

TEST_P(Pagmo, SimplexLattice) {
  const std::size_t dimension = GetParam();
  std::mt19937 unused(0);  // a grid has no random points
  for (std::size_t divisions : {1, 3, 6}) {
    auto ours = simplex_lattice(dimension, divisions);
    auto theirs = pagmo::decomposition_weights(dimension, ours.size(), "grid", unused);
    ASSERT_EQ(ours.size(), theirs.size());
    std::ranges::sort(theirs);
    for (std::size_t i = 0; i < ours.size(); ++i) {
      EXPECT_THAT(ours[i], testing::Pointwise(testing::DoubleNear(1e-12), theirs[i]));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Costs, Pagmo, testing::Values(2, 3, 4, 5));

}  // namespace
}  // namespace espalier
