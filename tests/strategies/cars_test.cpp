#include "strategies/cars.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <set>

#include "core/error.hpp"
#include "strategies/catalogue.hpp"
#include "tests/core/throws.hpp"
#include "tests/strategies/fake_training.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

Individual individual(std::vector<double> costs, double violation = 0) {
  return {.violation = violation, .cost = costs[0], .costs = std::move(costs)};
}

using Growths = std::vector<std::optional<double>>;

TEST(ProtectedSurvivors, GrowthKeepsWhatAllCostsWouldLose) {
  // {size, error}: the third is large and still bad, but grows fastest.
  const std::vector<Individual> pool{individual({1, 0.2}), individual({2, 0.1}),
                                     individual({9, 0.5}), individual({8, 0.4})};
  Rng rng(1);
  EXPECT_THAT(protected_survivors(pool, Growths{0.05, 0.01, 0.3, 0.0}, 1, 3, rng),
              UnorderedElementsAre(0, 1, 2));
  EXPECT_THAT(protected_survivors(pool, Growths{0.05, 0.01, 0.0, 0.3}, 1, 3, rng),
              UnorderedElementsAre(0, 1, 3));
}

TEST(ProtectedSurvivors, FrontsOfBothSortingsComeInTurn) {
  // By costs: {0}, {1}, {2}, {3}; by growth: {3}, {2}, {1}, {0}.
  std::vector<Individual> pool;
  for (const double value : {1.0, 2.0, 3.0, 4.0}) pool.push_back(individual({5, value}));
  const Growths growth{1, 2, 3, 4};
  Rng rng(1);
  EXPECT_THAT(protected_survivors(pool, growth, 1, 2, rng), UnorderedElementsAre(0, 3));
  // Of the second fronts, one at random.
  std::set<std::size_t> thirds;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Rng other(seed);
    const auto chosen = protected_survivors(pool, growth, 1, 3, other);
    ASSERT_EQ(chosen.size(), 3u);
    thirds.insert(chosen[2]);
  }
  EXPECT_THAT(thirds, ElementsAre(1, 2));
  EXPECT_TRUE(protected_survivors(pool, growth, 1, 0, rng).empty());
}

TEST(ProtectedSurvivors, OnlyKnownGrowthCounts) {
  // The second one is dominated; what is not known to grow does not stand in its way.
  const std::vector<Individual> pool{individual({1, 0.2}), individual({9, 0.5}),
                                     individual({8, 0.4})};
  Rng rng(1);
  EXPECT_THAT(protected_survivors(pool, Growths{-0.3, -0.1, std::nullopt}, 1, 2, rng),
              UnorderedElementsAre(0, 1));
}

TEST(ProtectedSurvivors, OneObjectiveIsSortedOnceAndConstraintsComeFirst) {
  std::vector<Individual> pool;
  for (const double value : {1.0, 2.0, 3.0, 4.0}) pool.push_back({.cost = value});
  Rng rng(1);
  EXPECT_THAT(protected_survivors(pool, Growths{1.0, 2.0, 3.0, 4.0}, 0, 2, rng), ElementsAre(0, 1));
  pool = {individual({1, 1}, 2), individual({2, 2}, 1), individual({3, 3})};
  EXPECT_THAT(protected_survivors(pool, Growths{9.0, 1.0, 0.0}, 1, 2, rng), ElementsAre(2, 1));
}

CarsOptions small() {
  CarsOptions options;
  options.population = 6;
  options.warmup = 2;
  options.epochs = 3;
  options.architectures = 2;
  return options;
}

std::set<std::vector<std::uint32_t>> choices_of(const std::vector<Individual>& individuals) {
  std::set<std::vector<std::uint32_t>> result;
  for (const Individual& one : individuals) result.insert(one.architecture.choices);
  return result;
}

TEST(Cars, WeightsLearnWithThePopulation) {
  const auto training = std::make_shared<FakeTraining>(20);
  Cars cars(sharing_context(test_space({5, 5, 5, 5, 5}), training, accuracy_and_size()), small());
  std::vector<Candidate> round = cars.ask(1000);
  EXPECT_EQ(training->trained_epochs(), 2);
  EXPECT_EQ(round.size(), 12u);  // a random population and its children
  std::set<std::vector<std::uint32_t>> random;
  for (const auto& step : training->learned) {
    ASSERT_EQ(step.size(), 2u);
    for (const Architecture& a : step) random.insert(a.choices);
  }
  EXPECT_GT(random.size(), 8u);
  for (int generation = 1; generation < 5; ++generation) {
    for (const Candidate& c : round) {
      cars.tell(accuracy_trial(c, 10 * generation + static_cast<double>(c.trial_id % 7)));
    }
    const auto population = choices_of(cars.population());
    EXPECT_EQ(population.size(), 6u);
    training->learned.clear();
    round = cars.ask(1000);
    EXPECT_EQ(training->trained_epochs(), 2 + 3 * generation);
    EXPECT_EQ(training->learned.size(), 9u);
    for (const auto& step : training->learned) {
      for (const Architecture& a : step) EXPECT_TRUE(population.contains(a.choices));
    }
    // All of the population is evaluated anew, by the weights of now, and then its children.
    ASSERT_EQ(round.size(), 12u);
    for (std::size_t i = 0; i < 12; ++i) {
      EXPECT_EQ(population.contains(round[i].architecture.choices), i < 6);
      EXPECT_EQ(round[i].parent.has_value(), i < 6);
    }
  }
}

TEST(Cars, GrowthIsSinceTheLastEvaluation) {
  CarsOptions options = small();
  options.population = 2;
  options.children = 0.5;
  Cars cars(sharing_context(test_space({5, 5, 5}), std::make_shared<FakeTraining>(40),
                            accuracy_and_size()),
            options);
  const auto tell = [&](const Candidate& c, double accuracy, double size) {
    Trial trial = accuracy_trial(c, accuracy);
    trial.metrics.set("size", size);
    cars.tell(trial);
  };
  const auto sizes = [&] {
    std::set<double> result;
    for (const Individual& one : cars.population()) result.insert(one.all_costs()[0]);
    return result;
  };
  std::vector<Candidate> round = cars.ask(100);
  ASSERT_EQ(round.size(), 3u);
  tell(round[0], 97, 1);
  tell(round[1], 40, 0.5);
  tell(round[2], 30, 9);  // dominated
  EXPECT_THAT(sizes(), ElementsAre(0.5, 1));
  round = cars.ask(100);
  ASSERT_EQ(round.size(), 3u);
  for (const Candidate& c : round) {
    if (!c.parent) {
      tell(c, 98, 4);  // the child: second by all costs
    } else if (*c.parent == 0) {
      tell(c, 99, 3);  // dominates the others, grew by 2
    } else {
      tell(c, 60, 5);  // the worst and the largest, but grew by 20
    }
  }
  EXPECT_THAT(sizes(), ElementsAre(3, 5));
}

TEST(Cars, EpochsAreSharesOfAllByDefault) {
  CarsOptions options;
  options.population = 4;
  const auto training = std::make_shared<FakeTraining>(200);
  Cars cars(sharing_context(test_space({5, 5, 5}), training), options);
  for (const int trained : {20, 24, 28}) {
    for (const Candidate& c : cars.ask(100)) cars.tell(accuracy_trial(c, 1));
    EXPECT_EQ(training->trained_epochs(), trained);
  }
}

TEST(Cars, WhatFailsDoesNotLiveOn) {
  const auto training = std::make_shared<FakeTraining>(30);
  Cars cars(sharing_context(test_space({5, 5, 5}), training), small());
  for (const Candidate& c : cars.ask(100)) {
    Trial trial = accuracy_trial(c, 1);
    trial.state = TrialState::failed;
    cars.tell(trial);
  }
  EXPECT_TRUE(cars.population().empty());
  EXPECT_EQ(cars.ask(100).size(), 12u);  // begins again
}

TEST(Cars, RefusesMoreChildrenThanAll) {
  const auto training = std::make_shared<FakeTraining>(30);
  EXPECT_THAT(throws<ConfigError>([&] {
                strategy_registry().create(
                    {{"type", "cars"}, {"crossover", 0.7}, {"mutation", 0.4}}, "/strategy",
                    sharing_context(test_space({5}), training));
              }),
              HasSubstr("/strategy/mutation: and \"crossover\" are shares"));
}

}  // namespace
}  // namespace espalier
