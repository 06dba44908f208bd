#include "evaluators/train.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.hpp"
#include "tests/core/throws.hpp"
#include "tests/evaluators/toy_space.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

TrainEvaluatorOptions epochs(int count) {
  TrainEvaluatorOptions options;
  options.train.epochs = count;
  options.train.batch_size = 16;
  options.train.learning_rate = 0.05;
  return options;
}

const Architecture first{std::vector<std::uint32_t>(toy_space()->decisions().size(), 0)};

TEST(TrainEvaluator, LearnsToTellThePatternsApart) {
  const EvaluatorContext context = toy_context();
  TrainEvaluator evaluator(context, epochs(10));
  EXPECT_THAT(evaluator.metrics(),
              testing::ElementsAre(MetricInfo{"accuracy", "%", Direction::maximize}));
  const double accuracy = evaluate(evaluator, *context.space, first)[0];
  EXPECT_GT(accuracy, 60);  // chance is 25; the seeds are fixed
  EXPECT_LE(accuracy, 100);
}

TEST(TrainEvaluator, FidelityIsAShareOfTheEpochs) {
  const EvaluatorContext context = toy_context();
  TrainEvaluator four(context, epochs(4)), two(context, epochs(2)), one(context, epochs(1));
  const auto accuracy = [&](TrainEvaluator& evaluator, double fidelity) {
    return evaluate(evaluator, *context.space, first, 3, fidelity)[0];
  };
  EXPECT_EQ(accuracy(four, 0.5), accuracy(two, 1));
  EXPECT_EQ(accuracy(four, 0.25), accuracy(one, 1));
  EXPECT_EQ(accuracy(four, 0.01), accuracy(one, 1));
}

TEST(TrainEvaluator, FidelityIsAShareOfTheWarmupAndTheSteps) {
  const EvaluatorContext context = toy_context();
  TrainEvaluatorOptions long_options = epochs(4), short_options = epochs(2);
  for (TrainEvaluatorOptions* options : {&long_options, &short_options}) {
    const int length = options->train.epochs;
    options->train.warmup_epochs = length / 4.0;
    options->train.schedule = ScheduleKind::step;
    options->train.step_epochs = {length / 2};
  }
  TrainEvaluator four(context, long_options), two(context, short_options);
  EXPECT_EQ(evaluate(four, *context.space, first, 3, 0.5),
            evaluate(two, *context.space, first, 3, 1));
  EXPECT_NO_THROW(evaluate(four, *context.space, first, 3, 0.1));  // less than the warm-up
}

TEST(TrainEvaluator, RefusesOptionsThatContradictTheImages) {
  const EvaluatorContext context = toy_context();
  TrainEvaluatorOptions options = epochs(1);
  options.train.augmentation.cutout = 9;
  EXPECT_THAT(throws<ConfigError>([&] { TrainEvaluator(context, options); }),
              HasSubstr("/train/augmentation/cutout: 9 pixels are more than the images' 8x8"));
  options = epochs(1);
  options.train.train_fraction = 0.001;
  EXPECT_THAT(throws<ConfigError>([&] { TrainEvaluator(context, options); }),
              HasSubstr("/train/train_fraction: 0.001 of the 160 images"));
}

TEST(TrainEvaluator, NeedsImagesToTrainOnAndToHoldOut) {
  EvaluatorContext context = toy_context();
  context.data = std::make_shared<const Dataset>(
      "all", counting_images({1, 8, 8}, 40, 4), [] { return ImageSet{}; }, 0.0);
  EXPECT_THAT(throws<ConfigError>([&] { TrainEvaluator(context, epochs(1)); }),
              HasSubstr("no held-out images"));
  context.data = nullptr;
  EXPECT_THAT(throws<ConfigError>([&] { TrainEvaluator(context, epochs(1)); }),
              HasSubstr("add \"data\""));
}

TEST(TrainEvaluator, ANetworkThatDoesNotFitTheImagesIsAFailedTrial) {
  EvaluatorContext context = toy_context();
  context.space = make_chain({.input = {3, 8, 8}, .classes = 4});
  TrainEvaluator evaluator(context, epochs(1));
  const Architecture a{std::vector<std::uint32_t>(context.space->decisions().size(), 0)};
  throws<ShapeError>([&] { evaluate(evaluator, *context.space, a); });
}

}  // namespace
}  // namespace espalier
