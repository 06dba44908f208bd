#include "strategies/individual.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/strategies/toy_search.hpp"

namespace espalier {
namespace {

TEST(Individual, HasTheCostsOfItsTrial) {
  const Candidate candidate{.trial_id = 7, .architecture = {{3, 2, 4}}};
  const Individual one = Individual::of(complete_trial(candidate), one_goal());
  EXPECT_EQ(one.trial_id, 7u);
  EXPECT_EQ(one.architecture, candidate.architecture);
  EXPECT_EQ(one.cost, -(3 + 2 * 3 + 4 * 5));
  EXPECT_TRUE(one.costs.empty());
  const Individual two = Individual::of(complete_trial(candidate), two_goals());
  EXPECT_THAT(two.costs, testing::ElementsAre(one.cost, 9));
  EXPECT_DOUBLE_EQ(two.violation, 1.0 / 8);
  EXPECT_TRUE(Individual::of(failed_trial(candidate), one_goal()).failed);
}

TEST(Individual, FailuresThenConstraintsThenCosts) {
  const Individual failed{.failed = true};
  const Individual breaks{.violation = 1, .cost = 1};
  const Individual good{.cost = 3}, best{.cost = 2};
  EXPECT_TRUE(better(breaks, failed));
  EXPECT_TRUE(better(good, breaks));
  EXPECT_TRUE(better(best, good));
  EXPECT_FALSE(better(good, best));
  EXPECT_FALSE(better(good, good));
  EXPECT_FALSE(better(failed, failed));
  const Individual left{.cost = 1, .costs = {1, 4}}, right{.cost = 2, .costs = {2, 3}},
      behind{.cost = 2, .costs = {2, 5}};
  EXPECT_FALSE(better(left, right) || better(right, left));
  EXPECT_TRUE(better(left, behind));
}

TEST(BestFirst, PutsFeasibleOnesFirstAndLeavesFailedOnesOut) {
  const auto of = [](double violation, double cost) {
    return Individual{.violation = violation, .cost = cost};
  };
  const std::vector<Individual> individuals{of(0, 3), of(1, 0), {.failed = true},
                                            of(0, 2), of(0, 3), of(0.5, 9)};
  EXPECT_THAT(best_first(individuals), testing::ElementsAre(3u, 0u, 4u, 5u, 1u));
  EXPECT_TRUE(best_first({}).empty());
}

TEST(BestFirst, GoesByRankAndCrowdingWithSeveralObjectives) {
  const auto of = [](double first, double second) {
    return Individual{.cost = first, .costs = {first, second}};
  };
  // The second is dominated; of the front, the one in the middle comes last.
  const std::vector<Individual> individuals{of(2, 2.5), of(3, 3), of(0, 4), of(4, 0)};
  EXPECT_THAT(best_first(individuals), testing::ElementsAre(2u, 3u, 0u, 1u));
}

}  // namespace
}  // namespace espalier
