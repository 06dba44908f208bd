#include "strategies/q_learning.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "core/error.hpp"
#include "tests/strategies/subset_space.hpp"
#include "tests/strategies/toy_search.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;
using row = std::vector<std::uint32_t>;  // the options taken

TEST(Exploration, IsTable2OfThePaper) {
  // {models, epsilon} of the paper, one row after the other.
  const std::array<std::pair<int, double>, 10> table{{{1500, 1.0},
                                                      {100, 0.9},
                                                      {100, 0.8},
                                                      {100, 0.7},
                                                      {150, 0.6},
                                                      {150, 0.5},
                                                      {150, 0.4},
                                                      {150, 0.3},
                                                      {150, 0.2},
                                                      {150, 0.1}}};
  std::uint64_t told = 0;
  for (const auto& [models, epsilon] : table) {
    for (int i = 0; i < models; ++i) ASSERT_NEAR(exploration(told++, 2700), epsilon, 1e-12) << told;
  }
  EXPECT_NEAR(exploration(1'000'000, 2700), 0.1, 1e-12);
}

TEST(QLearning, UpdatesFromTheLastStepBack) {
  // Two known networks, told before anything else; the first is worse. Updates by hand.
  QLearningOptions options;
  options.initial = {"d1=0,d2=2,d3=1", "d1=1,d2=1,d3=0"};
  options.learning_rate = 0.5;
  options.replay = 1;
  const std::array<Architecture, 2> networks{Architecture{{0, 2, 1}}, Architecture{{1, 1, 0}}};
  std::array<int, 2> seen{};
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    QLearning strategy(test_context(test_space({2, 3, 2}), seed), options);
    drive(strategy, 2, 2, [](const Candidate& c) {
      Trial trial = complete_trial(c);
      trial.metrics[0] = static_cast<double>(c.trial_id);
      return trial;
    });
    // After the first trial all is 0.5, its reward. Then one of both, of rewards 0 and 1, was
    // replayed, from the back: 0.5 -> 0.75 -> 0.625 -> 0.5625; or 0.25, and the largest values of
    // all other states stay at 0.5.
    const double last_of_worse = strategy.values(2, networks[0].choices)[1];
    const std::size_t replayed = last_of_worse == 0.5 ? 1 : 0;
    ++seen[replayed];
    const std::vector<std::uint32_t>& o = networks[replayed].choices;
    const std::vector<double> expected =
        replayed == 1 ? std::vector{0.5625, 0.625, 0.75} : std::vector{0.5, 0.5, 0.25};
    for (std::size_t t = 0; t < 3; ++t) {
      const std::vector<double> values = strategy.values(t, o);
      for (std::uint32_t option = 0; option < values.size(); ++option) {
        EXPECT_DOUBLE_EQ(values[option], option == o[t] ? expected[t] : 0.5) << seed;
      }
    }
  }
  EXPECT_GT(seen[0], 0);
  EXPECT_GT(seen[1], 0);
}

TEST(QLearning, ConvergesToTheBestThatCanFollow) {
  // Rewards stay: two networks share the first option, with the ranks 0 and 1.
  QLearningOptions options;
  options.initial = {"d1=0,d2=0", "d1=0,d2=1"};
  options.learning_rate = 0.3;
  options.replay = 500;
  QLearning strategy(test_context(test_space({2, 2})), options);
  drive(strategy, 2, 2);
  EXPECT_THAT(strategy.values(1, row{0, 0}),
              ElementsAre(testing::DoubleNear(0, 1e-9), testing::DoubleNear(1, 1e-9)));
  EXPECT_NEAR(strategy.values(0, row{})[0], 1, 1e-9);  // not their mean
  EXPECT_EQ(strategy.values(0, row{})[1], 0.5);
}

TEST(QLearning, StepsOfInactiveDecisionsAreLeftOut) {
  QLearningOptions options;
  options.initial = {"d1=0,d2=1,d3=0", "d1=0,d2=0,d3=0"};
  QLearning strategy(test_context(test_space({2, 2, 3}, true)), options);
  drive(strategy, 2, 2);
  EXPECT_THAT(strategy.values(2, row{0, 0}), ElementsAre(0.5, 0.5, 0.5));
  EXPECT_THAT(strategy.values(2, row{0, 1}), ElementsAre(0.5, 0.5, 0.5));
  EXPECT_GT(strategy.values(1, row{0, 0})[1], 0.5);
}

TEST(QLearning, ValuesOfSubsetsAreThoseOfTheBestThatBeginSo) {
  // All ten subsets are told, each better than the one of the rank before.
  const auto space = std::make_shared<const SubsetSpace>(std::vector<std::pair<int, int>>{{5, 2}});
  QLearningOptions options;
  options.learning_rate = 0.5;
  options.replay = 2000;
  QLearning strategy(test_context(space), options);
  const auto trials = drive(strategy, 11, 1, [](const Candidate& c) {
    Trial trial = complete_trial(c);
    trial.metrics[0] = c.architecture.choices[0];
    return trial;
  });
  ASSERT_EQ(trials.size(), 10u);
  const DecisionSteps steps(*space);
  std::vector<double> best(4, 0.0);
  for (std::uint32_t choice = 0; choice < 10; ++choice) {
    const row options_taken = steps.options_of(Architecture{{choice}});
    const double reward = choice / 9.0;
    EXPECT_NEAR(strategy.values(1, options_taken)[options_taken[1]], reward, 1e-9);
    best[options_taken[0]] = std::max(best[options_taken[0]], reward);
  }
  for (std::uint32_t first = 0; first < 4; ++first) {
    EXPECT_NEAR(strategy.values(0, row{})[first], best[first], 1e-9);
  }
}

TEST(QLearning, RandomSubsetsAreUniform) {
  const auto space =
      std::make_shared<const SubsetSpace>(std::vector<std::pair<int, int>>{{5, 2}, {3000, 1}});
  QLearning strategy(test_context(space), QLearningOptions());
  std::vector<double> shares(10, 0.0);
  for (const Candidate& c : strategy.ask(3000)) shares[c.architecture.choices[0]] += 1.0 / 3000;
  for (const double share : shares) EXPECT_NEAR(share, 0.1, 0.017);  // three standard errors
}

TEST(QLearning, ValuesBeginAtTheFirstRewardWhereItIsAValue) {
  QLearningOptions options;
  options.initial = {"d1=0", "d1=2"};
  options.reward = RewardKind::value;
  options.learning_rate = 1;
  QLearning strategy(test_context(test_space({4})), options);
  drive(strategy, 2, 2, [](const Candidate& c) {
    Trial trial = complete_trial(c);
    trial.metrics[0] = 90 + static_cast<double>(c.trial_id);
    return trial;
  });
  EXPECT_THAT(strategy.values(0, row{}), ElementsAre(90, 90, 91, 90));
  // One that failed has none.
  options.initial = {"d1=1", "d1=0", "d1=2"};
  QLearning unlucky(test_context(test_space({4})), options);
  drive(unlucky, 3, 3, [](const Candidate& c) {
    Trial trial = complete_trial(c);
    trial.metrics[0] = 90 + static_cast<double>(c.trial_id);
    return c.trial_id == 0 ? failed_trial(c) : trial;
  });
  EXPECT_EQ(unlucky.values(0, row{})[3], 91);
}

TEST(QLearningOptionTable, ReadsAndChecks) {
  const auto table = q_learning_option_table();
  EXPECT_EQ(table.read({{"models", 2700}}, "").models, 2700);
  for (const Json& wrong : {Json{{"models", 0}}, Json{{"learning_rate", 0}},
                            Json{{"learning_rate", 1.5}}, Json{{"replay", 0}}}) {
    EXPECT_THROW(table.read(wrong, ""), ConfigError) << wrong;
  }
}

}  // namespace
}  // namespace espalier
