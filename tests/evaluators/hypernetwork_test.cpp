#include "evaluators/hypernetwork.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.hpp"
#include "nets/graph_module.hpp"
#include "nets/hypernetwork.hpp"
#include "search_spaces/catalogue.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/core/throws.hpp"
#include "tests/evaluators/toy_space.hpp"
#include "training/trainer.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

HyperNetworkEvaluatorOptions options_of(int epochs) {
  return {.hypernetwork = {.embedding = 16, .hidden = 32, .channels = 16, .kernel = 5},
          .train = {.epochs = epochs,
                    .batch_size = 16,
                    .optimizer = OptimizerKind::adamw,
                    .learning_rate = 0.005},
          .recalibration = {.batches = 4, .batch_size = 32}};
}

TEST(HyperNetworkEvaluator, GivesTheAccuracyOfTheGeneratedWeights) {
  const EvaluatorContext context = toy_context();
  for (const HyperNetworkKind kind : {HyperNetworkKind::smash, HyperNetworkKind::ghn}) {
    HyperNetworkEvaluatorOptions options = options_of(8);
    options.hypernetwork.kind = kind;
    HyperNetworkEvaluator evaluator(context, options);
    evaluator.prepare({.directory = {}, .rng = Rng(3), .stop_requested = {}});
    const Architecture a = largest_architecture(*context.space);
    GraphModule module(context.space->build(a));
    evaluator.hypernetwork().fill(module);
    recalibrate_batch_norms(module, *context.data, options.recalibration,
                            Rng(3).fork("recalibration"));
    const double expected = evaluate(module, *context.data, Split::valid).accuracy;
    EXPECT_EQ(evaluate(evaluator, *context.space, a, 0), std::vector{expected});
    EXPECT_EQ(evaluate(evaluator, *context.space, a, 1), std::vector{expected});
    EXPECT_GT(expected, 40);  // chance is 25; the seeds are fixed
  }
}

TEST(HyperNetworkEvaluator, FineTuningStartsFromTheGeneratedWeights) {
  const EvaluatorContext context = toy_context();
  HyperNetworkEvaluatorOptions options = options_of(1);
  options.fine_tune = TrainOptions{.epochs = 4, .batch_size = 16, .learning_rate = 0.02};
  HyperNetworkEvaluator evaluator(context, options);
  evaluator.prepare({.directory = {}, .rng = Rng(3), .stop_requested = {}});
  const Architecture a = largest_architecture(*context.space);
  GraphModule module(context.space->build(a));
  evaluator.hypernetwork().fill(module);
  module.seed(Rng(3).fork("dropout"));
  recalibrate_batch_norms(module, *context.data, options.recalibration,
                          Rng(3).fork("recalibration"));
  train(module, *context.data, at_fidelity(*options.fine_tune, 0.5), Rng(3).fork("fine tune"));
  EXPECT_EQ(evaluate(evaluator, *context.space, a, 0, 0.5),
            std::vector{evaluate(module, *context.data, Split::valid).accuracy});
}

TEST(HyperNetworkEvaluator, AnInterruptedTrainingGoesOnAlike) {
  const TemporaryDirectory directory;
  const EvaluatorContext context = toy_context();
  const Architecture a = largest_architecture(*context.space);
  HyperNetworkEvaluator whole(context, options_of(4)), first(context, options_of(4)),
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

TEST(HyperNetworkEvaluator, NeedsNoSupergraph) {
  EvaluatorContext context = toy_context();
  context.space = space_registry().create(
      {{"type", "nasbench101"}, {"input", {1, 8, 8}}, {"classes", 4}, {"channels", 8}}, "");
  ASSERT_EQ(context.space->supergraph(), nullptr);
  HyperNetworkEvaluator evaluator(context, options_of(1));
  evaluator.prepare({.directory = {}, .rng = Rng(3), .stop_requested = {}});
  EXPECT_GE(evaluate(evaluator, *context.space, largest_architecture(*context.space))[0], 0);
}

TEST(HyperNetworkEvaluator, RefusesWhatItCannotServe) {
  EvaluatorContext context = toy_context();
  const auto refusal = [&](const HyperNetworkEvaluatorOptions& options) {
    return throws<ConfigError>([&] { HyperNetworkEvaluator(context, options); });
  };
  HyperNetworkEvaluatorOptions options = options_of(1);
  options.train.patience = 2;
  EXPECT_THAT(refusal(options), HasSubstr("/train/patience"));
  options = options_of(1);
  options.train.augmentation.cutout = 9;
  EXPECT_THAT(refusal(options), HasSubstr("/train/augmentation/cutout"));
  options = options_of(1);
  options.fine_tune = TrainOptions{.epochs = 0};
  EXPECT_THAT(refusal(options), HasSubstr("/fine_tune/epochs"));
  options = options_of(1);
  options.hypernetwork.kernel = 4;
  EXPECT_THAT(refusal(options), HasSubstr("/hypernetwork/kernel: 4 is even"));
  options.hypernetwork.kernel = 3;  // the space has kernels of 5
  EXPECT_THAT(refusal(options), HasSubstr("a kernel of 5 x 5 is larger"));
  context.data = nullptr;
  EXPECT_THAT(refusal(options_of(1)), HasSubstr("add \"data\""));
}

}  // namespace
}  // namespace espalier
