#include "objectives/crowding.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace espalier {
namespace {

using testing::DoubleEq;
using testing::ElementsAre;

constexpr double infinite = std::numeric_limits<double>::infinity();

TEST(CrowdingDistances, AddsTheGapsOfNeighboursRelativeToTheSpread) {
  // Costs span 0 to 4 and 0 to 10. Second point: (3 - 0) / 4 + (10 - 2) / 10.
  const std::vector<double> costs{0, 10, 1, 5, 3, 2, 4, 0};
  const std::vector<std::uint32_t> ranks(4, 0);
  EXPECT_THAT(crowding_distances({costs, 2}, ranks),
              ElementsAre(infinite, DoubleEq(0.75 + 0.8), DoubleEq(0.75 + 0.5), infinite));
}

TEST(CrowdingDistances, CountsEachRankAlone) {
  const std::vector<double> costs{0, 2, 5, 7, 1, 1, 6, 6, 2, 0, 7, 5};
  const std::vector<std::uint32_t> ranks{0, 1, 0, 1, 0, 1};
  EXPECT_THAT(crowding_distances({costs, 2}, ranks),
              ElementsAre(infinite, infinite, DoubleEq(2), DoubleEq(2), infinite, infinite));
}

TEST(CrowdingDistances, ACostThatAllShareAddsNothing) {
  const std::vector<double> costs{3, 0, 3, 1, 3, 4};
  EXPECT_THAT(crowding_distances({costs, 2}, std::vector<std::uint32_t>(3, 0)),
              ElementsAre(infinite, DoubleEq(1), infinite));
  const std::vector<double> equal{1, 1, 1, 1};
  EXPECT_THAT(crowding_distances({equal, 2}, std::vector<std::uint32_t>(2, 0)), ElementsAre(0, 0));
}

TEST(CrowdingDistances, EqualCostsAreInTheOrderOfThePoints) {
  const std::vector<double> costs{0, 1, 1, 1, 2};
  EXPECT_THAT(crowding_distances({costs, 1}, std::vector<std::uint32_t>(5, 0)),
              ElementsAre(infinite, DoubleEq(0.5), DoubleEq(0), DoubleEq(0.5), infinite));
}

TEST(CrowdingDistances, OfNothingIsNothing) {
  EXPECT_TRUE(crowding_distances({{}, 2}, {}).empty());
}

}  // namespace
}  // namespace espalier
