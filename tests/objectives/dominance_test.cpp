#include "objectives/dominance.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "core/rng.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;
using Values = std::vector<double>;

// Ranks by their definition: peel off the points that nothing left dominates.
template <class Dominates>
std::vector<std::uint32_t> ranks_by_peeling(std::size_t n, Dominates dominates) {
  std::vector<std::uint32_t> ranks(n, ~0u);
  std::size_t left = n;
  for (std::uint32_t rank = 0; left > 0; ++rank) {
    std::vector<std::size_t> front;
    for (std::size_t i = 0; i < n; ++i) {
      if (ranks[i] != ~0u) continue;
      bool dominated = false;
      for (std::size_t j = 0; j < n; ++j) dominated |= ranks[j] == ~0u && dominates(j, i);
      if (!dominated) front.push_back(i);
    }
    for (const std::size_t i : front) ranks[i] = rank;
    left -= front.size();
  }
  return ranks;
}

Values random_points(Rng& rng, std::size_t n, std::size_t dimension, std::uint64_t levels) {
  Values values(n * dimension);
  for (double& value : values) value = static_cast<double>(rng.below(levels));
  return values;
}

TEST(DominanceTest, NowhereWorseAndSomewhereBetter) {
  EXPECT_TRUE(dominates(Values{1, 2}, Values{1, 3}));
  EXPECT_FALSE(dominates(Values{1, 2}, Values{1, 2}));
  EXPECT_FALSE(dominates(Values{1, 3}, Values{2, 2}));
  EXPECT_FALSE(dominates(Values{2, 2}, Values{1, 3}));
}

TEST(DominanceTest, ConstraintsComeFirst) {
  const Values good = {1}, bad = {2};
  EXPECT_TRUE(constrained_dominates(good, 0, bad, 0));
  EXPECT_FALSE(constrained_dominates(good, 0.1, bad, 0));
  EXPECT_TRUE(constrained_dominates(bad, 0, good, 0.1));
  EXPECT_TRUE(constrained_dominates(bad, 0.1, good, 0.2));
  EXPECT_FALSE(constrained_dominates(good, 0.2, bad, 0.2));
}

TEST(DominanceTest, RanksOfAnExample) {
  const Values points = {1, 4, 2, 2, 4, 1, 2, 5, 3, 3, 5, 5};
  EXPECT_THAT(non_dominated_ranks({points, 2}), ElementsAre(0, 0, 0, 1, 1, 2));
  EXPECT_TRUE(non_dominated_ranks({{}, 2}).empty());
}

TEST(DominanceTest, RanksAgreeWithPeelingForOneToFiveCosts) {
  Rng rng(1);
  for (int round = 0; round < 300; ++round) {
    const std::size_t dimension = 1 + rng.below(5);
    const std::size_t n = 1 + rng.below(60);
    const Values values = random_points(rng, n, dimension, 2 + rng.below(12));
    const PointsView points{values, dimension};
    const auto expected = ranks_by_peeling(
        n, [&](std::size_t a, std::size_t b) { return dominates(points[a], points[b]); });
    EXPECT_EQ(non_dominated_ranks(points), expected);
  }
}

TEST(DominanceTest, ConstrainedRanksAgreeWithPeeling) {
  Rng rng(2);
  for (int round = 0; round < 300; ++round) {
    const std::size_t n = 1 + rng.below(40);
    const Values values = random_points(rng, n, 2, 8);
    Values violations(n);
    for (double& violation : violations) {
      violation = rng.bernoulli(0.5) ? 0 : static_cast<double>(rng.below(5));
    }
    if (rng.bernoulli(0.1)) violations[0] = std::numeric_limits<double>::infinity();
    const PointsView points{values, 2};
    const auto expected = ranks_by_peeling(n, [&](std::size_t a, std::size_t b) {
      return constrained_dominates(points[a], violations[a], points[b], violations[b]);
    });
    EXPECT_EQ(non_dominated_ranks(points, violations), expected);
  }
}

TEST(DominanceTest, OneFrontAndOneChain) {
  constexpr std::size_t n = 1000;
  Values front, chain;
  for (std::size_t i = 0; i < n; ++i) {
    const auto x = static_cast<double>(i);
    front.insert(front.end(), {x, -x, 0});
    chain.insert(chain.end(), {x, x, 0});
  }
  const auto front_ranks = non_dominated_ranks({front, 3});
  const auto chain_ranks = non_dominated_ranks({chain, 3});
  for (std::size_t i = 0; i < n; ++i) {
    EXPECT_EQ(front_ranks[i], 0u);
    EXPECT_EQ(chain_ranks[i], i);
  }
}

}  // namespace
}  // namespace espalier
