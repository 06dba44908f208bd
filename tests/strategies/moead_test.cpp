#include "strategies/moead.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "objectives/scalarization.hpp"
#include "tests/strategies/toy_search.hpp"

namespace espalier {
namespace {

Goals free_goals() {
  return Goals(*test_metrics(), {{"score", Direction::maximize}, {"size", Direction::minimize}});
}

TEST(Moead, AChildReplacesOnlyNeighboursThatItIsBetterFor) {
  MoeadOptions options;
  options.population = 21;
  options.neighbourhood = 5;
  options.locality = 1;
  options.replaced = 2;
  const Goals goals = free_goals();
  Moead strategy(test_context(test_space({9, 9, 9, 9, 9, 9}), 4, goals), options);
  std::vector<double> ideal(2, 1e9);
  const auto note = [&](const std::vector<double>& costs) {
    for (std::size_t d = 0; d < 2; ++d) ideal[d] = std::min(ideal[d], costs[d]);
  };
  for (const Trial& trial : drive(strategy, 21)) note(goals.costs(trial.metrics));
  ASSERT_EQ(strategy.individuals().size(), 21u);
  int replaced_in_all = 0;
  for (std::size_t turn = 0; turn < 500; ++turn) {
    const auto before = strategy.individuals();
    const Trial trial = complete_trial(strategy.ask(1).at(0));
    const std::vector<double> costs = goals.costs(trial.metrics);
    note(costs);
    strategy.tell(trial);
    std::vector<double> high = ideal;
    for (const Individual& individual : before) {
      for (std::size_t d = 0; d < 2; ++d) high[d] = std::max(high[d], individual.costs[d]);
    }
    const auto distance = [&](std::size_t i, const std::vector<double>& of) {
      std::vector<double> weights = strategy.weights()[i];
      for (std::size_t d = 0; d < 2; ++d) weights[d] /= high[d] - ideal[d];
      return tchebycheff(of, weights, ideal);
    };
    // The weights are in a row: neighbours are the nearest places.
    const auto subproblem = static_cast<std::ptrdiff_t>(turn % 21);
    const std::ptrdiff_t first = std::clamp<std::ptrdiff_t>(subproblem - 2, 0, 16);
    int replaced = 0, could = 0;
    for (std::size_t i = 0; i < 21; ++i) {
      const std::ptrdiff_t place = static_cast<std::ptrdiff_t>(i) - first;
      const bool neighbour = place >= 0 && place < 5;
      const bool better = distance(i, costs) < distance(i, before[i].costs);
      could += neighbour && better;
      if (strategy.individuals()[i].trial_id == before[i].trial_id) continue;
      EXPECT_TRUE(neighbour && better) << turn << " " << i;
      EXPECT_EQ(strategy.individuals()[i].trial_id, trial.candidate.trial_id);
      ++replaced;
    }
    EXPECT_EQ(replaced, std::min(2, could));
    replaced_in_all += replaced;
  }
  EXPECT_GT(replaced_in_all, 50);
}

TEST(Moead, ParentsAreOfTheNeighbourhood) {
  MoeadOptions options;
  options.population = 21;
  options.neighbourhood = 3;
  options.locality = 1;
  Moead strategy(test_context(test_space({9, 9, 9, 9, 9, 9}), 4, free_goals()), options);
  drive(strategy, 21);
  for (std::size_t turn = 0; turn < 100; ++turn) {
    const auto candidate = strategy.ask(1).at(0);
    const std::size_t subproblem = turn % 21,
                      first = std::clamp<std::size_t>(subproblem, 1, 19) - 1;
    bool found = false;
    for (std::size_t i = first; i < first + 3; ++i) {
      found = found || strategy.individuals()[i].trial_id == candidate.parent;
    }
    EXPECT_TRUE(found) << turn;
    strategy.tell(complete_trial(candidate));
  }
}

TEST(Moead, ConstraintsComeFirst) {
  MoeadOptions options;
  options.population = 10;
  const Goals goals = two_goals();  // size at most 8
  Moead strategy(test_context(test_space({9, 9, 9, 9}), 1, goals), options);
  drive(strategy, 300);
  for (const Individual& individual : strategy.individuals()) EXPECT_EQ(individual.violation, 0);
}

TEST(Moead, WhatBreaksTheConstraintsIsNoIdeal) {
  const auto metrics = std::make_shared<const MetricTable>(
      std::vector<MetricInfo>{{"score", "", Direction::maximize}, {"size"}, {"weight"}});
  MoeadOptions options;
  options.population = 5;
  options.locality = 0;
  options.replaced = 5;
  const Goals goals(*metrics, {{"score", Direction::maximize}, {"size"}},
                    {{.metric = "weight", .upper = 0}});
  Moead strategy(test_context(test_space({9, 2}), 1, goals), options);
  drive(strategy, 300, 1, [&](const Candidate& c) {
    const double size = c.architecture.choices[0], weight = c.architecture.choices[1];
    return Trial{.candidate = c, .metrics = Metrics(metrics, {size + 1000 * weight, size, weight})};
  });
  // A straight front: each direction has a place of its own on it, not the best score for most.
  std::set<double> sizes;
  for (const Individual& individual : strategy.individuals()) sizes.insert(individual.costs[1]);
  EXPECT_EQ(sizes.size(), 5u);
}

TEST(Moead, BeyondTheIdealNothingIsBetter) {
  MoeadOptions options;
  options.population = 5;
  options.locality = 0;
  options.replaced = 1;
  const auto metrics = std::make_shared<const MetricTable>(
      std::vector<MetricInfo>{{"score", "", Direction::maximize}, {"size"}, {"weight"}});
  const Goals goals(*metrics, {{"score", Direction::maximize}, {"size"}},
                    {{.metric = "weight", .upper = 0}});
  Moead strategy(test_context(test_space({100, 100}), 1, goals), options);
  // One alone keeps the constraints and is the ideal. All others break them as much, and have
  // better costs, those behind it less so: none of them is better than those before it.
  drive(strategy, 60, 1, [&](const Candidate& c) {
    const std::uint64_t id = c.trial_id;
    const std::vector<double> values = id < 5    ? std::vector<double>{10, 10, 1}
                                       : id == 5 ? std::vector<double>{0, 100, 0}
                                                 : std::vector<double>{5, 50, 1};
    return Trial{.candidate = c, .metrics = Metrics(metrics, values)};
  });
  std::size_t first = 0, kept = 0;
  for (const Individual& individual : strategy.individuals()) {
    first += individual.trial_id < 5;
    kept += individual.trial_id == 5;
  }
  EXPECT_EQ(first, 4u);
  EXPECT_EQ(kept, 1u);
}

TEST(Moead, FindsTheFrontOfAPlantedProblem) {
  MoeadOptions options;
  options.population = 30;
  Moead strategy(test_context(test_space({5, 5, 5, 5, 5}), 2, free_goals()), options);
  std::vector<double> best(21, 0), truth(21, 0);
  for (const Trial& trial : drive(strategy, 1200)) {
    double& its = best[static_cast<std::size_t>(trial.metrics[1])];
    its = std::max(its, trial.metrics[0]);
  }
  for (std::size_t size = 1; size < truth.size(); ++size) {
    truth[size] = truth[size - 1] + 5.0 - static_cast<double>((size - 1) / 4);
  }
  EXPECT_EQ(best, truth);
}

TEST(Moead, MoreKnownArchitecturesThanSubproblemsCompete) {
  MoeadOptions options;
  options.population = 2;
  options.initial = {"d1=0,d2=1", "d1=1,d2=0", "d1=2,d2=2", "d1=4,d2=4"};
  Moead strategy(test_context(test_space({5, 5})), options);
  drive(strategy, 4);
  EXPECT_EQ(strategy.individuals()[0].trial_id, 3u);
  EXPECT_EQ(strategy.individuals()[1].trial_id, 3u);
}

TEST(MoeadOptionTable, ReadsAndChecks) {
  const auto table = moead_option_table();
  const auto options = table.read({{"neighbourhood", 4}, {"locality", 0.5}, {"replaced", 1}}, "");
  EXPECT_EQ(options.neighbourhood, 4);
  EXPECT_EQ(options.locality, 0.5);
  EXPECT_EQ(options.replaced, 1);
  for (const char* key : {"population", "neighbourhood", "replaced"}) {
    EXPECT_THROW(table.read({{key, 0}}, ""), ConfigError);
  }
}

}  // namespace
}  // namespace espalier
