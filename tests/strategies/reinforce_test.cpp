#include "strategies/reinforce.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "tests/core/throws.hpp"
#include "tests/strategies/toy_search.hpp"

namespace espalier {
namespace {

ReinforceOptions independent(int batch = 1) {
  ReinforceOptions options;
  options.policy = PolicyKind::independent;
  options.batch = batch;
  options.entropy = 0;
  return options;
}

Policy& policy_of(Strategy& strategy) { return dynamic_cast<PolicySearch&>(strategy).policy(); }

TEST(Reinforce, LearnsWhatRewardsSay) {
  // The last option of the first decision is the best; the second does not matter.
  const auto strategy = reinforce(test_context(test_space({4, 1000})), independent());
  drive(*strategy, 150, 1, [](const Candidate& c) {
    Trial trial = complete_trial(c);
    trial.metrics[0] = c.architecture.choices[0];
    return trial;
  });
  const PolicyDraw best = policy_of(*strategy).recall(Architecture{{3, 0}});
  EXPECT_GT(std::exp(best.log_probs[0]), 0.9);
  EXPECT_LT(std::exp(best.log_probs[1]), 0.1);
}

TEST(Reinforce, ABatchIsOneUpdateWithTheRewardsOfItsTrials) {
  const auto space = test_space({4, 50});
  const auto strategy = reinforce(test_context(space), independent(4));
  PolicyGradient expected(std::make_unique<IndependentPolicy>(*space),
                          {.learning_rate = 0.1, .entropy = 0, .momentum = 0.9});
  std::vector<PolicyExperience> batch;
  for (const Candidate& candidate : strategy->ask(4)) {
    Trial trial = complete_trial(candidate);
    trial.metrics[0] = static_cast<double>(candidate.trial_id);
    strategy->tell(trial);
    batch.push_back({.draw = expected.policy().recall(candidate.architecture),
                     .active = {true, true},
                     .reward = static_cast<double>(candidate.trial_id) / 3});
    if (candidate.trial_id < 3) {
      EXPECT_EQ(policy_of(*strategy).parameters()[0], 0);
    }
  }
  expected.update(batch);
  const auto& parameters = policy_of(*strategy).parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    EXPECT_NEAR(parameters[i], expected.policy().parameters()[i], 1e-9) << i;
  }
}

TEST(Reinforce, InactiveDecisionsLearnNothing) {
  // The last decision is active only while the first is not 0: it is known to be.
  ReinforceOptions options = independent(2);
  options.initial = {"d1=0,d2=1,d3=0", "d1=0,d2=0,d3=0"};
  const auto strategy = reinforce(test_context(test_space({2, 2, 3}, true)), options);
  drive(*strategy, 2);
  const auto& parameters = policy_of(*strategy).parameters();
  EXPECT_NE(parameters[2], 0);
  for (std::size_t i = 4; i < 7; ++i) EXPECT_EQ(parameters[i], 0);
}

TEST(Reinforce, RefusesTheValueOfSeveralObjectives) {
  ReinforceOptions options;
  options.reward = RewardKind::value;
  EXPECT_THAT(throws<ConfigError>(
                  [&] { reinforce(test_context(test_space({2}), 1, two_goals()), options); }),
              testing::StartsWith("/reward: "));
}

TEST(ReinforceOptionTable, ReadsAndChecks) {
  const auto table = reinforce_option_table();
  EXPECT_EQ(table.read({{"policy", "independent"}}, "").policy, PolicyKind::independent);
  EXPECT_EQ(table.read({{"reward", "value"}}, "").reward, RewardKind::value);
  for (const Json& wrong : {Json{{"hidden", 0}}, Json{{"batch", 0}}, Json{{"learning_rate", 0}},
                            Json{{"entropy", -1}}, Json{{"baseline", 1}}}) {
    EXPECT_THROW(table.read(wrong, ""), ConfigError) << wrong;
  }
}

TEST(Ppo, UsesEachBatchSeveralTimesAndClips) {
  const auto space = test_space({4, 50});
  PpoOptions options;
  options.policy = PolicyKind::independent;
  options.batch = 5;
  options.learning_rate = 0.3;
  options.entropy = 0;
  options.epochs = 8;
  const auto after = [&](double clip) {
    PpoOptions clipped = options;
    clipped.clip = clip;
    const auto strategy = ppo(test_context(space), clipped);
    PolicyGradient expected(
        std::make_unique<IndependentPolicy>(*space),
        {.learning_rate = 0.3, .momentum = 0.9, .clipping = Clipping{.range = clip, .epochs = 8}});
    std::vector<PolicyExperience> batch;
    for (const Candidate& candidate : strategy->ask(5)) {
      Trial trial = complete_trial(candidate);
      trial.metrics[0] = static_cast<double>(candidate.trial_id);
      strategy->tell(trial);
      batch.push_back({.draw = expected.policy().recall(candidate.architecture),
                       .active = {true, true},
                       .reward = static_cast<double>(candidate.trial_id) / 4});
    }
    expected.update(batch);
    const std::span parameters = policy_of(*strategy).parameters();
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      EXPECT_NEAR(parameters[i], expected.policy().parameters()[i], 1e-9) << i;
    }
    return std::vector<double>(parameters.begin(), parameters.end());
  };
  // With the range, probabilities move less.
  const auto clipped = after(0.2), free = after(1e9);
  double moved_clipped = 0, moved_free = 0;
  for (std::size_t i = 0; i < clipped.size(); ++i) {
    moved_clipped += std::abs(clipped[i]);
    moved_free += std::abs(free[i]);
  }
  EXPECT_LT(moved_clipped, 0.8 * moved_free);
}

TEST(PpoOptionTable, ReadsAndChecks) {
  const auto table = ppo_option_table();
  EXPECT_EQ(table.read({{"epochs", 2}}, "").epochs, 2);
  for (const Json& wrong : {Json{{"clip", 0}}, Json{{"epochs", 0}}}) {
    EXPECT_THROW(table.read(wrong, ""), ConfigError) << wrong;
  }
}

}  // namespace
}  // namespace espalier
