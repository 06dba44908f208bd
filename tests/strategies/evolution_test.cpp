#include "strategies/evolution.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "objectives/dominance.hpp"
#include "tests/strategies/toy_search.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

Individual with_costs(std::vector<double> costs, double violation = 0) {
  return {.violation = violation, .cost = costs[0], .costs = std::move(costs)};
}

TEST(RankAndCrowding, IsTheSelectionOfNsga2) {
  // One front of five and one of three. Of the first, the two ends have an infinite distance; of
  // the others the one in the gap has the largest.
  const std::vector<Individual> pool{
      with_costs({9, 9}),        // 2nd front
      with_costs({0, 10}),       // an end
      with_costs({1, 4}),        // (2 - 0) / 10 + (10 - 3) / 10
      with_costs({2, 3}),        // (3 - 1) / 10 + (4 - 2) / 10
      with_costs({3, 2}),        // (10 - 2) / 10 + (3 - 0) / 10
      with_costs({10, 0}),       // an end
      with_costs({8, 10}),       // 2nd front
      with_costs({1, 1}, 0.25),  // breaks a constraint
  };
  RankAndCrowding survival;
  Rng rng(1);
  EXPECT_THAT(survival.choose(pool, 3, rng).places, ElementsAre(1, 5, 4));
  const Survivors most = survival.choose(pool, 7, rng);
  EXPECT_THAT(most.places, ElementsAre(1, 5, 4, 2, 3, 0, 6));
  EXPECT_DOUBLE_EQ(most.keys[3][1], -0.9);
  EXPECT_TRUE(std::ranges::is_sorted(most.keys));
}

TEST(RankAndCrowding, OneObjectiveIsAnOrder) {
  const std::vector<Individual> pool{{.cost = 3},
                                     {.violation = 1, .cost = 0},
                                     {.cost = 1},
                                     {.cost = 2},
                                     {.violation = 2, .cost = 0}};
  RankAndCrowding survival;
  Rng rng(1);
  EXPECT_THAT(survival.choose(pool, 4, rng).places, ElementsAre(2, 3, 0, 1));
}

TEST(MuPlusLambda, TheBestOfParentsAndChildrenLiveOn) {
  const auto space = test_space({6, 6, 6, 6});
  Evolution strategy(test_context(space), {}, {.population = 5, .children = 8},
                     std::make_unique<RankAndCrowding>());
  std::vector<double> scores;
  const auto told = drive(strategy, 5);
  for (const Trial& trial : told) scores.push_back(trial.metrics[0]);
  for (int generation = 0; generation < 10; ++generation) {
    std::set<std::uint64_t> parents;
    for (const Individual& individual : strategy.population()) parents.insert(individual.trial_id);
    const auto candidates = strategy.ask(100);
    ASSERT_EQ(candidates.size(), 8u);
    EXPECT_TRUE(strategy.ask(1).empty());
    for (const Candidate& candidate : candidates) {
      EXPECT_TRUE(!candidate.parent || parents.contains(*candidate.parent));
      const Trial trial = complete_trial(candidate);
      scores.push_back(trial.metrics[0]);
      strategy.tell(trial);
    }
    std::ranges::sort(scores, std::greater());
    scores.resize(5);
    ASSERT_EQ(strategy.population().size(), 5u);
    for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(-strategy.population()[i].cost, scores[i]);
  }
}

TEST(MuPlusLambda, ParentsWinTournaments) {
  const auto space = test_space({6, 6, 6, 6, 6, 6});
  // In a tournament of very many the best wins nearly surely.
  Evolution strategy(test_context(space), {},
                     {.population = 10,
                      .children = 20,
                      .tournament = 200,
                      .variation = {.crossover = 0.5, .mutations = 3}},
                     std::make_unique<RankAndCrowding>());
  drive(strategy, 10);
  const std::uint64_t best = strategy.population()[0].trial_id;
  for (const Candidate& candidate : strategy.ask(20)) EXPECT_EQ(candidate.parent, best);
}

TEST(MuPlusLambda, NothingIsAskedForTwiceAndTheSpaceEnds) {
  const auto strategy = mu_plus_lambda(test_context(test_space({4, 5, 6}, true)), {});
  std::set<Architecture> asked;
  for (const Trial& trial : drive(*strategy, 1000)) {
    EXPECT_TRUE(asked.insert(trial.candidate.architecture).second);
  }
  EXPECT_EQ(asked.size(), 95u);
  EXPECT_TRUE(strategy->finished());
}

TEST(MuPlusLambda, StartsAnewWhenAllFailed) {
  MuPlusLambdaOptions options;
  options.population = 4;
  options.children = 3;
  const auto strategy = mu_plus_lambda(test_context(test_space({5, 5, 5, 5})), options);
  const auto trials = drive(*strategy, 30, 1, [](const Candidate& c) {
    return c.trial_id < 10 ? failed_trial(c) : complete_trial(c);
  });
  for (const Trial& trial : trials) {
    EXPECT_EQ(trial.candidate.parent.has_value(), trial.candidate.trial_id >= 12);
  }
}

TEST(Nsga2, FindsTheFrontOfAPlantedProblem) {
  // Score and size agree in all decisions: every architecture whose choices are in the order of
  // their weights is on the front.
  const auto space = test_space({5, 5, 5, 5, 5});
  const Goals goals(*test_metrics(),
                    {{"score", Direction::maximize}, {"size", Direction::minimize}});
  Nsga2Options options;
  options.population = 30;
  const auto strategy = nsga2(test_context(space, 2, goals), options);
  std::vector<double> best(21, 0), truth(21, 0);
  for (const Trial& trial : drive(*strategy, 900)) {
    double& its = best[static_cast<std::size_t>(trial.metrics[1])];
    its = std::max(its, trial.metrics[0]);
  }
  for (std::size_t size = 1; size < truth.size(); ++size) {  // weights 5, 4, 3, 2, 1
    truth[size] = truth[size - 1] + 5.0 - static_cast<double>((size - 1) / 4);
  }
  EXPECT_EQ(best, truth);
}

TEST(EvolutionOptionTables, ReadAndCheck) {
  const auto one = mu_plus_lambda_option_table().read(
      {{"population", 20}, {"children", 1}, {"tournament", 5}, {"crossover", 0}}, "");
  EXPECT_EQ(one.population, 20);
  EXPECT_EQ(one.children, 1);
  EXPECT_EQ(one.tournament, 5);
  EXPECT_EQ(one.crossover, 0);
  EXPECT_EQ(nsga2_option_table().read({{"mutations", 0.5}}, "").mutations, 0.5);
  EXPECT_THROW(nsga2_option_table().read({{"population", 1}}, ""), ConfigError);
  EXPECT_THROW(nsga2_option_table().read({{"crossover", 1.5}}, ""), ConfigError);
}

}  // namespace
}  // namespace espalier
