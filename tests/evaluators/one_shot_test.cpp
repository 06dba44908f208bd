#include "evaluators/one_shot.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "core/error.hpp"
#include "nets/graph_module.hpp"
#include "search_spaces/catalogue.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/core/throws.hpp"
#include "tests/evaluators/toy_space.hpp"
#include "training/shared_training.hpp"
#include "training/shared_weights.hpp"
#include "training/trainer.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

OneShotOptions options_of(int epochs) {
  OneShotOptions options;
  options.supernet.train = {.epochs = epochs, .batch_size = 16, .learning_rate = 0.05};
  options.recalibration = {.batches = 4, .batch_size = 32};
  return options;
}

TEST(OneShot, WeightsAreSharedAsTheOptionsSay) {
  EvaluatorContext context = toy_context();
  context.space = space_registry().create({{"type", "chain"},
                                           {"input", {1, 8, 8}},
                                           {"classes", 4},
                                           {"stem_channels", 4},
                                           {"stages", {{{"widths", {4, 8}}, {"kernels", {3, 5}}}}}},
                                          "");
  OneShotOptions options = options_of(1);
  const OneShotEvaluator plain(context, options);
  options.sharing = {.kernel_transform = true, .batch_norm_per_width = true};
  const OneShotEvaluator more(context, options);
  std::set<std::string> added;
  for (const auto& [name, value] : more.weights().parts()[0].supernet->state()) added.insert(name);
  for (const auto& [name, value] : plain.weights().parts()[0].supernet->state()) added.erase(name);
  EXPECT_THAT(added, testing::Contains(testing::HasSubstr(".transform3")));
  EXPECT_THAT(added, testing::Contains(testing::HasSubstr(".width4.running_mean")));
}

TEST(OneShot, SharingThatChangesNothingIsRefused) {
  EvaluatorContext context = toy_context();
  context.space = space_registry().create(
      {{"type", "nasbench201"}, {"input", {1, 8, 8}}, {"classes", 4}, {"channels", 4}}, "");
  OneShotOptions options = options_of(1);
  options.sharing.kernel_transform = true;
  EXPECT_THAT(throws<ConfigError>([&] { OneShotEvaluator(context, options); }),
              HasSubstr("/sharing/kernel_transform: no convolution"));
  options.sharing = {.batch_norm_per_width = true};
  EXPECT_THAT(throws<ConfigError>([&] { OneShotEvaluator(context, options); }),
              HasSubstr("/sharing/batch_norm_per_width: no batch norm"));
}

TEST(OneShot, GivesTheAccuracyOfTheExtractedWeights) {
  const EvaluatorContext context = toy_context();
  OneShotEvaluator evaluator(context, options_of(8));
  evaluator.prepare({.directory = {}, .rng = Rng(3), .stop_requested = {}});
  const Architecture a = largest_architecture(*context.space);
  GraphModule module = evaluator.weights().extract(a);
  recalibrate_batch_norms(module, *context.data, {.batches = 4, .batch_size = 32},
                          Rng(3).fork("recalibration"));
  const double expected = evaluate(module, *context.data, Split::valid).accuracy;
  EXPECT_EQ(evaluate(evaluator, *context.space, a, 0), std::vector{expected});
  EXPECT_EQ(evaluate(evaluator, *context.space, a, 1), std::vector{expected});
  EXPECT_GT(expected, 40);  // chance is 25; the seeds are fixed
}

TEST(OneShot, FineTuningGoesAsFarAsTheFidelity) {
  const EvaluatorContext context = toy_context();
  OneShotOptions options = options_of(2);
  options.fine_tune = TrainOptions{.epochs = 4, .batch_size = 16, .learning_rate = 0.02};
  OneShotEvaluator evaluator(context, options);
  evaluator.prepare({.directory = {}, .rng = Rng(3), .stop_requested = {}});
  const Architecture a = largest_architecture(*context.space);
  const auto accuracy = [&](double fidelity) {
    Rng unused(0);
    return evaluator.evaluate({.architecture = a, .fidelity = fidelity}, Network(*context.space, a),
                              unused)[0];
  };
  const auto by_hand = [&](int epochs) {
    GraphModule module = evaluator.weights().extract(a);
    recalibrate_batch_norms(module, *context.data, options.recalibration,
                            Rng(3).fork("recalibration"));
    TrainOptions train_options = *options.fine_tune;
    train_options.epochs = epochs;
    train(module, *context.data, train_options, Rng(3).fork("fine tune"));
    return evaluate(module, *context.data, Split::valid).accuracy;
  };
  EXPECT_EQ(accuracy(1), by_hand(4));
  EXPECT_EQ(accuracy(0.5), by_hand(2));
  EXPECT_EQ(accuracy(1), by_hand(4));  // kept apart
  EXPECT_NE(accuracy(1), accuracy(0.25));
  options.fine_tune->augmentation.cutout = 9;
  EXPECT_THAT(throws<ConfigError>([&] { OneShotEvaluator(context, options); }),
              HasSubstr("/fine_tune/augmentation/cutout"));
}

TEST(OneShot, AnInterruptedTrainingGoesOnAlike) {
  const TemporaryDirectory directory;
  const EvaluatorContext context = toy_context();
  const Architecture a = largest_architecture(*context.space);
  OneShotEvaluator whole(context, options_of(4)), first(context, options_of(4)),
      second(context, options_of(4));
  whole.prepare({.directory = {}, .rng = Rng(3), .stop_requested = {}});
  int polls = 0;
  first.prepare({.directory = directory.path(), .rng = Rng(3), .stop_requested = [&] {
                   return ++polls > 15;
                 }});
  EXPECT_THAT(throws<Error>([&] { evaluate(first, *context.space, a); }),
              HasSubstr("call prepare() first"));
  second.prepare({.directory = directory.path(), .rng = Rng(3), .stop_requested = {}});
  EXPECT_EQ(evaluate(whole, *context.space, a), evaluate(second, *context.space, a));
}

TEST(OneShot, AccuraciesFollowWhatAStrategyTrains) {
  const EvaluatorContext context = toy_context();
  OneShotOptions options = options_of(3);
  EXPECT_EQ(OneShotEvaluator(context, options).shared_training(), nullptr);
  options.supernet.rule = RuleKind::strategy;
  OneShotEvaluator evaluator(context, options);
  const auto training = evaluator.shared_training();
  ASSERT_NE(training, nullptr);
  const PrepareContext prepare{.directory = {}, .rng = Rng(3), .stop_requested = {}};
  EXPECT_THAT(
      throws<ConfigError>([&] { evaluator.prepare(prepare); }),
      testing::StartsWith("/evaluator/train/rule: the shared weights are those of the search"));
  training->begin(Rng(1));
  evaluator.prepare(prepare);
  EXPECT_EQ(training->trained_epochs(), 0);
  const Architecture a = largest_architecture(*context.space);
  std::set<double> seen;
  for (int epoch = 0; epoch <= 3; ++epoch) {
    const double accuracy = evaluate(evaluator, *context.space, a)[0];
    GraphModule module = evaluator.weights().extract(a);
    recalibrate_batch_norms(module, *context.data, options.recalibration,
                            Rng(3).fork("recalibration"));
    EXPECT_EQ(accuracy, evaluate(module, *context.data, Split::valid).accuracy);
    seen.insert(accuracy);
    training->train(1, [&](Rng) { return std::vector{a}; }, {});
  }
  EXPECT_GT(seen.size(), 2u);
  // Other weights of the same age.
  training->begin(Rng(2));
  training->train(3, [&](Rng) { return std::vector{a}; }, {});
  GraphModule module = evaluator.weights().extract(a);
  recalibrate_batch_norms(module, *context.data, options.recalibration,
                          Rng(3).fork("recalibration"));
  EXPECT_EQ(evaluate(evaluator, *context.space, a)[0],
            evaluate(module, *context.data, Split::valid).accuracy);
}

TEST(OneShot, RefusesWhatCannotShareWeights) {
  EvaluatorContext context = toy_context();
  context.space = space_registry().create({{"type", "nasbench101"}}, "");
  EXPECT_THAT(throws<ConfigError>([&] { OneShotEvaluator(context, options_of(1)); }),
              HasSubstr("it has no supergraph; take the evaluator \"train\" or "));
  context = toy_context();
  context.data = nullptr;
  EXPECT_THAT(throws<ConfigError>([&] { OneShotEvaluator(context, options_of(1)); }),
              HasSubstr("add \"data\""));
  context = toy_context();
  context.data = std::make_shared<const Dataset>(
      "all", counting_images({1, 8, 8}, 40, 4), [] { return ImageSet{}; }, 0.0);
  EXPECT_THAT(throws<ConfigError>([&] { OneShotEvaluator(context, options_of(1)); }),
              HasSubstr("no held-out images"));
  context = toy_context();
  context.space = space_registry().create(
      {{"type", "nasbench201"}, {"restrict", {{"edge0_1", {"none", "skip_connect"}}}}}, "");
  OneShotOptions fair = options_of(1);
  fair.supernet.rule = RuleKind::fair;
  EXPECT_THAT(throws<ConfigError>([&] { OneShotEvaluator(context, fair); }),
              testing::StartsWith("/train/rule: strict fairness"));
  OneShotOptions progressive = options_of(2);
  progressive.supernet.rule = RuleKind::progressive;
  EXPECT_THAT(throws<ConfigError>([&] { OneShotEvaluator(context, progressive); }),
              testing::StartsWith("/train/rule: progressive shrinking needs decisions"));
  context.space =
      space_registry().create({{"type", "chain"}, {"input", {1, 8, 8}}, {"classes", 4}}, "");
  EXPECT_THAT(throws<ConfigError>([&] { OneShotEvaluator(context, progressive); }),
              testing::StartsWith("/train/epochs: progressive shrinking has"));
  context = toy_context();
  OneShotOptions options = options_of(1);
  options.supernet.train.augmentation.cutout = 9;
  EXPECT_THAT(throws<ConfigError>([&] { OneShotEvaluator(context, options); }),
              HasSubstr("/train/augmentation/cutout"));
}

}  // namespace
}  // namespace espalier
