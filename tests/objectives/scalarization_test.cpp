#include "objectives/scalarization.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

using Values = std::vector<double>;

TEST(ScalarizationTest, WeightedSumAndTchebycheff) {
  EXPECT_DOUBLE_EQ(weighted_sum(Values{2, 3}, Values{0.5, 2}), 7);
  EXPECT_DOUBLE_EQ(tchebycheff(Values{2, 3}, Values{0.5, 2}, Values{0, 2}), 2);
  EXPECT_DOUBLE_EQ(tchebycheff(Values{2, 3}, Values{0.5, 0.1}, Values{0, 2}), 1);
}

// On a front that bends inwards the middle point minimizes no weighted sum, but a Tchebycheff norm.
TEST(ScalarizationTest, TchebycheffReachesAFrontThatIsNotConvex) {
  const Values a = {0, 1}, b = {0.7, 0.7}, c = {1, 0}, ideal = {0, 0}, equal = {1, 1};
  EXPECT_LT(tchebycheff(b, equal, ideal), tchebycheff(a, equal, ideal));
  EXPECT_LT(tchebycheff(b, equal, ideal), tchebycheff(c, equal, ideal));
  for (int i = 0; i <= 10; ++i) {
    const Values weights = {i / 10.0, 1 - i / 10.0};
    EXPECT_LT(std::min(weighted_sum(a, weights), weighted_sum(c, weights)),
              weighted_sum(b, weights));
  }
}

// Section 3 of the paper: doubling the latency at 5% more accuracy leaves the reward equal, which
// is how -0.07 was chosen.
TEST(ScalarizationTest, MnasnetRewardTradesAsThePaperSays) {
  EXPECT_DOUBLE_EQ(mnasnet_reward(70, 80, 80), 70);
  EXPECT_NEAR(mnasnet_reward(0.50, 50, 100) / mnasnet_reward(0.50 * 1.05, 100, 100), 1, 1e-3);
  EXPECT_DOUBLE_EQ(mnasnet_reward(70, 20, 80, {.below = 0, .above = -1}), 70);
  EXPECT_DOUBLE_EQ(mnasnet_reward(70, 160, 80, {.below = 0, .above = -1}), 35);
}

TEST(ScalarizationTest, LatencyAndTargetMustBePositive) {
  EXPECT_THAT(throws<NumericalError>([] { mnasnet_reward(70, 0, 80); }),
              testing::HasSubstr("a reward at latency 0 with target 80"));
  throws<NumericalError>([] { mnasnet_reward(70, 1, -80); });
  throws<NumericalError>([] { mnasnet_reward(70, std::nan(""), 80); });
}

}  // namespace
}  // namespace espalier
