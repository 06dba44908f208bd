#include "training/schedule.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace espalier {
namespace {

TEST(ScheduleTest, CosineAfterAWarmup) {
  const TrainOptions options{.epochs = 5, .learning_rate = 0.4, .warmup_epochs = 1};
  // 4 steps an epoch: the rate rises over 4 steps, then falls over 16.
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 0, 4), 0.1);
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 2, 4), 0.3);
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 3, 4), 0.4);
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 4, 4), 0.4);
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 8, 4), 0.2 * (1 + std::sqrt(0.5)));
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 12, 4), 0.2);
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 19, 4),
                   0.2 * (1 + std::cos(std::numbers::pi * 15 / 16)));
}

TEST(ScheduleTest, AFractionOfAnEpochOfWarmup) {
  const TrainOptions options{
      .epochs = 2, .learning_rate = 1, .schedule = ScheduleKind::constant, .warmup_epochs = 0.5};
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 0, 10), 0.2);
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 4, 10), 1);
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 19, 10), 1);
}

TEST(ScheduleTest, Steps) {
  const TrainOptions options{.epochs = 6,
                             .learning_rate = 1,
                             .schedule = ScheduleKind::step,
                             .step_epochs = {2, 5},
                             .step_factor = 0.5};
  EXPECT_EQ(learning_rate_at(options, 0, 3), 1);
  EXPECT_EQ(learning_rate_at(options, 5, 3), 1);
  EXPECT_EQ(learning_rate_at(options, 6, 3), 0.5);
  EXPECT_EQ(learning_rate_at(options, 14, 3), 0.5);
  EXPECT_EQ(learning_rate_at(options, 15, 3), 0.25);
}

}  // namespace
}  // namespace espalier
