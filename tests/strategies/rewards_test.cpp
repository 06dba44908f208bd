#include "strategies/rewards.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.hpp"
#include "tests/core/throws.hpp"
#include "tests/strategies/toy_search.hpp"

namespace espalier {
namespace {

Trial told(std::uint64_t id, double score, double size = 0) {
  return {.candidate = {.trial_id = id, .architecture = {}},
          .metrics = Metrics(test_metrics(), {score, size})};
}
Trial failed(std::uint64_t id) { return failed_trial({.trial_id = id, .architecture = {}}); }

std::vector<double> rewards(const Goals& goals, RewardKind kind, const std::vector<Trial>& trials) {
  Rewards rewards(goals, kind);
  for (const Trial& trial : trials) rewards.add(trial);
  std::vector<double> result;
  for (std::size_t i = 0; i < trials.size(); ++i) result.push_back(rewards.of(i));
  return result;
}

using testing::ElementsAre;

TEST(Rewards, AreRanksOrValues) {
  const std::vector<Trial> trials{told(0, 7), failed(1), told(2, 9), told(3, 7), failed(4)};
  EXPECT_THAT(rewards(one_goal(), RewardKind::rank, trials),
              ElementsAre(2.5 / 4, 0.5 / 4, 1, 2.5 / 4, 0.5 / 4));
  EXPECT_THAT(rewards(one_goal(), RewardKind::value, trials), ElementsAre(7, 7, 9, 7, 7));
  EXPECT_THAT(rewards(one_goal(), RewardKind::rank, {told(0, 3)}), ElementsAre(0.5));
}

TEST(Rewards, ConstraintsComeFirst) {
  const Goals up(*test_metrics(), {{"score", Direction::maximize}},
                 {{.metric = "size", .upper = 8}});
  const std::vector<Trial> trials{told(0, 10, 16), told(1, 1, 8), told(2, 20, 12)};
  EXPECT_THAT(rewards(up, RewardKind::rank, trials), ElementsAre(0, 1, 0.5));
  EXPECT_THAT(rewards(up, RewardKind::value, trials),
              ElementsAre(testing::DoubleNear(5, 1e-12), 1, testing::DoubleNear(20 / 1.5, 1e-12)));
  const Goals down(*test_metrics(), {{"score", Direction::minimize}},
                   {{.metric = "size", .upper = 8}});
  EXPECT_THAT(rewards(down, RewardKind::value, {told(0, 10, 16)}),
              ElementsAre(testing::DoubleNear(-20, 1e-12)));
}

TEST(Rewards, OfSeveralObjectivesAreRanksOfFronts) {
  const Goals goals(*test_metrics(),
                    {{"score", Direction::maximize}, {"size", Direction::minimize}});
  // Two of the first front, at its ends; one that is dominated; one that failed.
  EXPECT_THAT(
      rewards(goals, RewardKind::rank, {told(0, 5, 1), told(1, 4, 2), told(2, 9, 3), failed(3)}),
      ElementsAre(2.5 / 3, 1.0 / 3, 2.5 / 3, 0));
  EXPECT_THAT(throws<ConfigError>([&] { Rewards(goals, RewardKind::value); }),
              testing::StartsWith("/reward: "));
}

}  // namespace
}  // namespace espalier
