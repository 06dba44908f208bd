#include "strategies/median_stopping.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "core/error.hpp"
#include "tests/core/throws.hpp"
#include "tests/strategies/rung_trace.hpp"

namespace espalier {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const auto space = test_space({10, 10, 10, 10});

MedianStoppingOptions startup(int count) {
  MedianStoppingOptions options;
  options.startup = count;
  return options;
}

TEST(MedianStopping, StopsByHand) {
  MedianStopping strategy(test_context(space), startup(2));
  const auto trials = drive(
      strategy, 13, 1,
      scores({1, 6, 3,     // means up to each rung: 1, 3.5, 3.3
              5, 4.2, 3,   // 5, 4.6, 4.1
              4, 1, 2,     // goes on: of two, one is better; then by its best, 4; 4, 2.5, 2.3
              3.9,         // two of three are better than it: stopped
              4, 2, 1}));  // then by its best, 4: of the means, one is better; of the values, two
  EXPECT_THAT(in_short(trials),
              ElementsAre(Asked{9, -1}, Asked{3, 0}, Asked{1, 1}, Asked{9, -1}, Asked{3, 3},
                          Asked{1, 4}, Asked{9, -1}, Asked{3, 6}, Asked{1, 7}, Asked{9, -1},
                          Asked{9, -1}, Asked{3, 10}, Asked{1, 11}));
}

TEST(MedianStopping, BreaksOfConstraintsComeFirst) {
  const Goals goals(*test_metrics(), {{"score", Direction::maximize}},
                    {{.metric = "size", .upper = 0}});
  MedianStopping strategy(test_context(space, 1, goals), startup(1));
  const auto trials = drive(strategy, 7, 1, [](const Candidate& c) {
    Trial trial = scores({1, 1, 1, 9, 1, 1, 1})(c);
    trial.metrics[1] = c.trial_id == 3 ? 1 : 0;
    return trial;
  });
  EXPECT_THAT(in_short(trials), ElementsAre(Asked{9, -1}, Asked{3, 0}, Asked{1, 1}, Asked{9, -1},
                                            Asked{9, -1}, Asked{3, 4}, Asked{1, 5}));
}

TEST(MedianStopping, SeveralObjectivesAreRanked) {
  MedianStopping strategy(test_context(space, 1, two_goals()), startup(1));
  const auto trials = drive(strategy, 8, 1, [](const Candidate& c) {
    Trial trial = scores({5, 5, 5, 4, 4, 4})(c);
    trial.metrics[1] = c.trial_id == 4 ? 1 : 2;
    return trial;
  });
  // The second one is dominated in the lowest rung. The third one's best size is still its best in
  // the next.
  EXPECT_THAT(in_short(trials), ElementsAre(Asked{9, -1}, Asked{3, 0}, Asked{1, 1}, Asked{9, -1},
                                            Asked{9, -1}, Asked{3, 4}, Asked{1, 5}, Asked{9, -1}));
}

TEST(MedianStopping, WhatNothingDominatesGoesOn) {
  // Five on a front that were evaluated fully, then one between two of them.
  MedianStopping strategy(test_context(space, 1, two_goals()), startup(5));
  std::size_t architectures = 0;
  const auto trials = drive(strategy, 18, 1, [&](const Candidate& c) {
    constexpr std::array<std::array<double, 2>, 6> points{
        {{9, 7}, {7, 5}, {5, 3}, {3, 2}, {1, 1}, {5.9, 3.9}}};
    if (!c.parent) ++architectures;
    Trial trial = complete_trial(c);
    trial.metrics[0] = points.at(architectures - 1)[0];
    trial.metrics[1] = points.at(architectures - 1)[1];
    return trial;
  });
  EXPECT_EQ(architectures, 6u);
  EXPECT_EQ(trials.back().candidate.fidelity, 1);
}

TEST(MedianStopping, AFailedEvaluationGoesNoFurther) {
  MedianStopping strategy(test_context(space), startup(1));
  const auto trials = drive(strategy, 4, 1, [](const Candidate& c) {
    return c.trial_id == 1 ? failed_trial(c) : complete_trial(c);
  });
  EXPECT_THAT(in_short(trials), ElementsAre(Asked{9, -1}, Asked{3, 0}, Asked{9, -1}, Asked{3, 2}));
}

TEST(MedianStoppingOptionTable, ReadsAndChecks) {
  const auto table = median_stopping_option_table();
  EXPECT_EQ(table.read({{"startup", 3}}, "").startup, 3);
  EXPECT_THAT(throws<ConfigError>([&] {
                table.read({{"startup", 0}}, "");
              }),
              HasSubstr("/startup"));
}

}  // namespace
}  // namespace espalier
