#include "strategies/policy_gradient.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/json.hpp"
#include "tests/strategies/toy_search.hpp"

namespace espalier {
namespace {

std::unique_ptr<Policy> policy() {
  return make_policy(PolicyKind::lstm, *test_space({3, 4, 2}), 4, Rng(5));
}

std::vector<PolicyExperience> batch() {
  const auto drawn_from = policy();
  std::vector<PolicyExperience> batch;
  for (const auto& [choices, reward] : std::vector<std::pair<std::vector<std::uint32_t>, double>>{
           {{0, 3, 1}, 1.0}, {{2, 1, 0}, 0.1}, {{1, 1, 1}, 0.7}}) {
    batch.push_back({.draw = drawn_from->recall(Architecture{choices}),
                     .active = {true, true, reward > 0.5},
                     .reward = reward});
  }
  return batch;
}

// Steps of Adam up the numeric gradient of the objective as the paper has it.
std::vector<double> reference(double rate, double entropy, std::optional<Clipping> clipping,
                              double baseline) {
  const auto reference = policy();
  const auto experience = batch();
  const auto objective = [&] {
    double value = 0;
    for (const PolicyExperience& one : experience) {
      const PolicyDraw now = reference->recall(one.draw.architecture);
      const double advantage = one.reward - baseline;
      for (std::size_t d = 0; d < 3; ++d) {
        if (!one.active[d]) continue;
        value += entropy * now.entropies[d];
        const double ratio = std::exp(now.log_probs[d] - one.draw.log_probs[d]);
        value +=
            !clipping
                ? advantage * now.log_probs[d]
                : std::min(ratio * advantage,
                           std::clamp(ratio, 1 - clipping->range, 1 + clipping->range) * advantage);
      }
    }
    return value / static_cast<double>(experience.size());
  };
  const std::span parameters = reference->parameters();
  Adam adam(parameters.size());
  for (int epoch = 0; epoch < (clipping ? clipping->epochs : 1); ++epoch) {
    std::vector<double> down;
    for (double& parameter : parameters) {
      const double kept = parameter, step = 1e-5;
      parameter = kept + step;
      const double above = objective();
      parameter = kept - step;
      down.push_back((objective() - above) / (2 * step));
      parameter = kept;
    }
    adam.descend(parameters, down, rate);
  }
  return {parameters.begin(), parameters.end()};
}

void expect_near(std::span<const double> a, std::span<const double> b, double tolerance) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], tolerance) << i;
}

double distance(std::span<const double> a, std::span<const double> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += std::abs(a[i] - b[i]);
  return sum;
}

constexpr double mean_reward = (1.0 + 0.1 + 0.7) / 3;

TEST(PolicyGradient, AStepIsUpTheObjectiveOfReinforce) {
  PolicyGradient learner(policy(), {.learning_rate = 0.02, .entropy = 0.05});
  learner.update(batch());
  expect_near(learner.policy().parameters(), reference(0.02, 0.05, std::nullopt, mean_reward),
              2e-5);
}

TEST(PolicyGradient, AStepIsUpTheClippedObjective) {
  // Steps so large that ratios leave the range.
  const Clipping clipping{.range = 0.1, .epochs = 6};
  PolicyGradient learner(policy(), {.learning_rate = 0.05, .entropy = 0.01, .clipping = clipping});
  learner.update(batch());
  const auto expected = reference(0.05, 0.01, clipping, mean_reward);
  expect_near(learner.policy().parameters(), expected, 1e-4);
  const auto unclipped = reference(0.05, 0.01, Clipping{.range = 1e9, .epochs = 6}, mean_reward);
  EXPECT_GT(distance(expected, unclipped), 1);
}

TEST(PolicyGradient, TheBaselineIsThatOfEarlierRewards) {
  RewardBaseline baseline(0.9);
  EXPECT_TRUE(baseline.empty());
  baseline.add(3);
  EXPECT_NEAR(baseline.value(), 3, 1e-12);
  baseline.add(1);
  EXPECT_NEAR(baseline.value(), (0.9 * 3 + 1) / 1.9, 1e-12);

  // A second batch whose rewards are all the mean of the first moves nothing but by momentum.
  PolicyGradient learner(make_policy(PolicyKind::independent, *test_space({2}), 1, Rng(1)),
                         {.learning_rate = 0.1, .momentum = 0});
  const std::vector<PolicyExperience> first{
      {.draw = {.architecture = {{1}}, .log_probs = {0}, .entropies = {0}},
       .active = {true},
       .reward = 5}};
  learner.update(first);  // a single one has its own mean
  EXPECT_EQ(learner.policy().parameters()[1], 0);
  learner.update(first);
  EXPECT_EQ(learner.policy().parameters()[1], 0);
  std::vector<PolicyExperience> better = first;
  better[0].reward = 6;
  learner.update(better);
  EXPECT_GT(learner.policy().parameters()[1], 0);
}

TEST(PolicyGradient, ASnapshotGoesOnAlike) {
  const PolicyGradientOptions options{.learning_rate = 0.1, .momentum = 0.5};
  PolicyGradient first(policy(), options), second(policy(), options);
  first.update(batch());
  second.load(Json::parse(first.save().dump()));
  EXPECT_EQ(first.baseline().value(), second.baseline().value());
  first.update(batch());
  second.update(batch());
  const Architecture a{{0, 3, 1}};
  EXPECT_EQ(first.policy().recall(a).log_probs, second.policy().recall(a).log_probs);
}

}  // namespace
}  // namespace espalier
