#include "objectives/hypervolume.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "core/error.hpp"
#include "core/rng.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

using Values = std::vector<double>;

// Points on a grid dominate whole cells, so counting the cells is exact.
double volume_by_cells(const PointsView& points, std::size_t levels) {
  std::size_t cells = 1;
  for (std::size_t axis = 0; axis < points.dimension; ++axis) cells *= levels;
  double volume = 0;
  for (std::size_t cell = 0; cell < cells; ++cell) {
    bool dominated = false;
    for (std::size_t i = 0; i < points.size() && !dominated; ++i) {
      bool below = true;
      std::size_t rest = cell;
      for (std::size_t axis = 0; axis < points.dimension; ++axis, rest /= levels) {
        below &= points[i][axis] <= static_cast<double>(rest % levels);
      }
      dominated = below;
    }
    volume += dominated ? 1 : 0;
  }
  return volume;
}

TEST(HypervolumeTest, Examples) {
  EXPECT_EQ(hypervolume({Values{3, 5, 4}, 1}, Values{10}), 7);
  EXPECT_EQ(hypervolume({Values{1, 3, 2, 2, 3, 1}, 2}, Values{4, 4}), 6);
  EXPECT_EQ(hypervolume({Values{0, 0, 0}, 3}, Values{2, 3, 4}), 24);
  EXPECT_EQ(hypervolume({Values{1, 1, 1, 1}, 4}, Values{3, 3, 3, 3}), 16);
}

TEST(HypervolumeTest, PointsBeyondTheReferenceAddNothing) {
  EXPECT_EQ(hypervolume({Values{}, 2}, Values{4, 4}), 0);
  EXPECT_EQ(hypervolume({Values{5, 0, 4, 0, 0, 4}, 2}, Values{4, 4}), 0);
  EXPECT_EQ(hypervolume({Values{5, 0, 3, 3}, 2}, Values{4, 4}), 1);
}

TEST(HypervolumeTest, AgreesWithCountingCellsForOneToFiveCosts) {
  Rng rng(1);
  for (int round = 0; round < 400; ++round) {
    const std::size_t dimension = 1 + rng.below(5);
    const std::size_t levels = dimension == 5 ? 4 : 6;
    Values values((1 + rng.below(20)) * dimension);
    for (double& value : values) value = static_cast<double>(rng.below(levels + 1));
    const PointsView points{values, dimension};
    const Values reference(dimension, static_cast<double>(levels));
    EXPECT_DOUBLE_EQ(hypervolume(points, reference), volume_by_cells(points, levels));
  }
}

TEST(HypervolumeTest, AgreesWithRandomPointsInFourAndFiveDimensions) {
  Rng rng(2);
  for (const std::size_t dimension : {4u, 5u}) {
    Values values(15 * dimension);
    for (double& value : values) value = rng.uniform();
    const PointsView points{values, dimension};
    constexpr int draws = 200000;
    int dominated = 0;
    Values point(dimension);
    for (int i = 0; i < draws; ++i) {
      for (double& value : point) value = rng.uniform();
      bool any = false;
      for (std::size_t j = 0; j < points.size() && !any; ++j) any = dominates(points[j], point);
      dominated += any ? 1 : 0;
    }
    const double volume = hypervolume(points, Values(dimension, 1.0));
    EXPECT_NEAR(volume, static_cast<double>(dominated) / draws, 0.006);  // 5 standard errors
  }
}

TEST(HypervolumeTest, ADominatedPointChangesNothingAndABetterOneAdds) {
  const Values reference = {1, 1, 1, 1};
  Values values = {0.2, 0.5, 0.3, 0.4, 0.6, 0.1, 0.2, 0.7};
  const double before = hypervolume({values, 4}, reference);
  values.insert(values.end(), {0.6, 0.5, 0.3, 0.7});
  EXPECT_DOUBLE_EQ(hypervolume({values, 4}, reference), before);
  values.insert(values.end(), {0.1, 0.9, 0.9, 0.9});
  EXPECT_GT(hypervolume({values, 4}, reference), before);
}

TEST(HypervolumeTest, CostsMustBeFinite) {
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_THAT(throws<NumericalError>([&] {
                hypervolume({Values{0, -infinity}, 2}, Values{1, 1});
              }),
              testing::HasSubstr("a hypervolume of cost -inf"));
  throws<NumericalError>([&] { hypervolume({Values{0, 0}, 2}, Values{1, infinity}); });
  throws<NumericalError>([&] { hypervolume({Values{std::nan("")}, 1}, Values{1}); });
}

}  // namespace
}  // namespace espalier
