#include "training/train_options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.hpp"
#include "tests/core/throws.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

TEST(TrainOptionsTest, ReadsEverything) {
  const Json json = {
      {"epochs", 3},
      {"batch_size", 64},
      {"accumulate", 2},
      {"optimizer", "adamw"},
      {"learning_rate", 0.01},
      {"momentum", 0.8},
      {"nesterov", false},
      {"weight_decay", 0.05},
      {"label_smoothing", 0.1},
      {"gradient_clip", 1.5},
      {"schedule", "step"},
      {"warmup_epochs", 0.5},
      {"step_epochs", {1, 2}},
      {"step_factor", 0.2},
      {"augmentation", {{"horizontal_flip", true}, {"crop_padding", 2}, {"cutout", 8}}},
      {"train_fraction", 0.25},
      {"validate_every", 2},
      {"patience", 5},
      {"precision", "bfloat16"},
      {"activations", "recomputed"}};
  const OptionTable<TrainOptions> table = train_option_table();
  const TrainOptions options = table.read(json, "");
  EXPECT_EQ(table.write(options), json);
  EXPECT_EQ(options.optimizer, OptimizerKind::adamw);
  EXPECT_EQ(options.schedule, ScheduleKind::step);
  EXPECT_EQ(options.augmentation,
            (AugmentationOptions{.horizontal_flip = true, .crop_padding = 2, .cutout = 8}));
}

TEST(TrainOptionsTest, TheLearningRateFollowsTheOptimizer) {
  TrainOptions options;
  EXPECT_EQ(options.base_learning_rate(), 0.1);
  options.optimizer = OptimizerKind::adamw;
  EXPECT_EQ(options.base_learning_rate(), 0.002);
  options.learning_rate = 0.5;
  EXPECT_EQ(options.base_learning_rate(), 0.5);
}

TEST(TrainOptionsTest, FidelityScalesAllThatIsCountedInEpochs) {
  using testing::ElementsAre;
  const TrainOptions options{.epochs = 20,
                             .schedule = ScheduleKind::step,
                             .warmup_epochs = 4,
                             .step_epochs = {6, 10, 12, 19}};
  const OptionTable<TrainOptions> table = train_option_table();
  EXPECT_EQ(table.write(at_fidelity(options, 1)), table.write(options));
  const TrainOptions half = at_fidelity(options, 0.5);
  EXPECT_EQ(half.epochs, 10);
  EXPECT_EQ(half.warmup_epochs, 2);
  EXPECT_EQ(half.schedule, ScheduleKind::step);
  EXPECT_THAT(half.step_epochs, ElementsAre(3, 5, 6));  // 9.5 is the end
  const TrainOptions fifth = at_fidelity(options, 0.2);
  EXPECT_EQ(fifth.epochs, 4);
  EXPECT_DOUBLE_EQ(fifth.warmup_epochs, 0.8);
  EXPECT_THAT(fifth.step_epochs, ElementsAre(1, 2));  // 2.4 is 2 again
  const TrainOptions one = at_fidelity(options, 0.001);
  EXPECT_EQ(one.epochs, 1);
  EXPECT_DOUBLE_EQ(one.warmup_epochs, 0.2);
  EXPECT_EQ(one.schedule, ScheduleKind::constant);
  EXPECT_THAT(one.step_epochs, testing::IsEmpty());
  for (const TrainOptions& scaled : {half, fifth, one}) table.read(table.write(scaled), "");
}

TEST(TrainOptionsTest, RefusesContradictions) {
  const auto error = [](const Json& json) {
    return throws<ConfigError>([&] { train_option_table().read(json, "/train"); });
  };
  EXPECT_THAT(error({{"warmup_epochs", 10}}),
              HasSubstr("/train/warmup_epochs: 10 is not less than the 10 epochs"));
  EXPECT_THAT(error({{"schedule", "step"}}), HasSubstr("/train/step_epochs: is empty"));
  EXPECT_THAT(error({{"step_epochs", {3}}}), HasSubstr("/train/step_epochs: belongs to"));
  EXPECT_THAT(error({{"schedule", "step"}, {"step_epochs", {3, 3}}}),
              HasSubstr("/train/step_epochs: the epochs must rise"));
  EXPECT_THAT(error({{"schedule", "step"}, {"step_epochs", {3, 10}}}),
              HasSubstr("/train/step_epochs: 10 is not less than the 10 epochs"));
  EXPECT_THAT(error({{"momentum", 0}}), HasSubstr("/train/nesterov: needs momentum"));
  EXPECT_THAT(error({{"batch_size", 1}}), HasSubstr("/train/batch_size: "));
  EXPECT_THAT(error({{"augmentation", {{"flip", true}}}}), HasSubstr("/train/augmentation/flip: "));
}

}  // namespace
}  // namespace espalier
