#include "objectives/reference_directions.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

namespace espalier {
namespace {

using testing::ElementsAre;

TEST(SimplexLattice, HasAllMultiples) {
  EXPECT_THAT(simplex_lattice(2, 2),
              ElementsAre(ElementsAre(0, 1), ElementsAre(0.5, 0.5), ElementsAre(1, 0)));
  EXPECT_THAT(simplex_lattice(1, 3), ElementsAre(ElementsAre(1)));
  const auto points = simplex_lattice(4, 5);
  EXPECT_EQ(points.size(), 56u);
  EXPECT_EQ(std::set(points.begin(), points.end()).size(), 56u);
}

// Table I of the paper: 91, 210, 156, 275 and 135 directions for 3, 5, 8, 10 and 15 objectives.
TEST(ReferenceDirections, TwoLayersWhereOneHasNoneInside) {
  for (const auto& [dimension, count] :
       {std::pair<std::size_t, std::size_t>{3, 91}, {5, 210}, {8, 156}, {10, 275}, {15, 135}}) {
    const auto directions = reference_directions(dimension, count);
    EXPECT_EQ(directions.size(), count);
    std::size_t inside = 0;
    for (const auto& direction : directions) {
      EXPECT_EQ(direction.size(), dimension);
      EXPECT_NEAR(std::accumulate(direction.begin(), direction.end(), 0.0), 1, 1e-12);
      EXPECT_GE(std::ranges::min(direction), 0);
      inside += std::ranges::min(direction) > 0;
    }
    EXPECT_GT(inside, 0u);
    EXPECT_EQ(std::set(directions.begin(), directions.end()).size(), count);
  }
}

TEST(ReferenceDirections, AreAtMostAsManyButOneForEachCost) {
  EXPECT_EQ(reference_directions(2, 50).size(), 50u);
  EXPECT_EQ(reference_directions(3, 50).size(), 45u);
  EXPECT_EQ(reference_directions(4, 50).size(), 35u);
  EXPECT_EQ(reference_directions(1, 50).size(), 1u);
  EXPECT_EQ(reference_directions(3, 1).size(), 3u);
}

}  // namespace
}  // namespace espalier
