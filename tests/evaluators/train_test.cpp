#include "evaluators/train.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "core/error.hpp"
#include "core/files.hpp"
#include "core/json.hpp"
#include "nets/morphism.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/core/throws.hpp"
#include "tests/evaluators/toy_space.hpp"
#include "tests/training/module_state.hpp"
#include "training/tensor_file.hpp"
#include "training/trainer.hpp"

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

// Trials whose children inherit weights.
class TrainEvaluatorWeights : public testing::Test {
 protected:
  TrainEvaluatorWeights() { options_.weights.from = FirstWeights::parent; }

  static Rng rng_of(std::uint64_t trial) { return Rng(5).fork(trial); }
  std::filesystem::path file_of(std::uint64_t trial) const {
    return directory_.path() / fmt::format("trial-{}.safetensors", trial);
  }
  void prepare(TrainEvaluator& evaluator) const {
    evaluator.prepare({.directory = directory_.path(), .rng = Rng(2), .stop_requested = {}});
  }
  double run(TrainEvaluator& evaluator, const Candidate& candidate) const {
    Rng rng = rng_of(candidate.trial_id);
    return evaluator.evaluate(candidate, Network(*context_.space, candidate.architecture), rng)[0];
  }
  /// What a trial's training makes of a network.
  void train_by_hand(GraphModule& module, std::uint64_t trial) const {
    train(module, *context_.data, options_.train, rng_of(trial).fork("train"));
  }
  GraphModule network(const Architecture& a) const { return GraphModule(context_.space->build(a)); }

  TemporaryDirectory directory_;
  const EvaluatorContext context_ = toy_context();
  TrainEvaluatorOptions options_ = epochs(2);
  const Architecture largest_ = largest_architecture(*context_.space);
};

TEST_F(TrainEvaluatorWeights, AreKeptForTheChildren) {
  TrainEvaluator evaluator(context_, options_);
  prepare(evaluator);
  run(evaluator, {.trial_id = 3, .architecture = first});
  GraphModule by_hand = network(first);
  by_hand.reset_parameters(rng_of(3).fork("weights"));
  train_by_hand(by_hand, 3);
  const TensorFile kept = read_tensors(file_of(3));
  EXPECT_TRUE(equal(kept.tensors, copy_of(by_hand)));
  EXPECT_EQ(kept.info["architecture"], architecture_to_json(*context_.space, first));
}

TEST_F(TrainEvaluatorWeights, OfAParentAreInherited) {
  TrainEvaluator evaluator(context_, options_);
  prepare(evaluator);
  run(evaluator, {.trial_id = 3, .architecture = first});
  run(evaluator, {.trial_id = 7, .architecture = largest_, .parent = 3});
  GraphModule parent = network(first), child = network(largest_);
  parent.load_state(read_tensors(file_of(3)).tensors);
  morph(parent, child, rng_of(7).fork("weights"));
  train_by_hand(child, 7);
  EXPECT_TRUE(equal(read_tensors(file_of(7)).tensors, copy_of(child)));
}

TEST_F(TrainEvaluatorWeights, AreRandomWithoutThoseOfAParent) {
  TrainEvaluator random(context_, epochs(2)), evaluator(context_, options_);
  prepare(evaluator);
  const double expected = run(random, {.trial_id = 7, .architecture = largest_});
  EXPECT_EQ(run(evaluator, {.trial_id = 7, .architecture = largest_}), expected);
  EXPECT_EQ(run(evaluator, {.trial_id = 7, .architecture = largest_, .parent = 3}), expected);
  EXPECT_TRUE(std::filesystem::exists(file_of(7)));
  EXPECT_FALSE(std::filesystem::exists(file_of(3)));  // as of a trial that failed
}

TEST_F(TrainEvaluatorWeights, OfParentsNeedADirectory) {
  TrainEvaluator evaluator(context_, options_);
  EXPECT_THAT(throws<Error>([&] { run(evaluator, {.architecture = first}); }),
              HasSubstr("call prepare() first"));
  EXPECT_THAT(throws<ConfigError>([&] {
                evaluator.prepare({.directory = {}, .rng = Rng(2), .stop_requested = {}});
              }),
              HasSubstr("/evaluator/weights/from: \"parent\" keeps weights in the directory of a "
                        "run, and there is none"));
  EXPECT_THAT(throws<ConfigError>([&] {
                evaluator.prepare({.directory = file_of(0).parent_path(),
                                   .rng = Rng(2),
                                   .stop_requested = {},
                                   .several_searches = true});
              }),
              HasSubstr("and here are several searches"));
  write_file_atomically(file_of(0), "");
  EXPECT_THAT(
      throws<IoError>([&] {
        evaluator.prepare({.directory = file_of(0) / "below", .rng = Rng(2), .stop_requested = {}});
      }),
      HasSubstr("cannot be created"));
}

TEST_F(TrainEvaluatorWeights, OfAParentThatCannotBeReadAreAnError) {
  TrainEvaluator evaluator(context_, options_);
  prepare(evaluator);
  write_file_atomically(file_of(3), "torn");
  EXPECT_THAT(
      throws<IoError>([&] { run(evaluator, {.trial_id = 7, .architecture = first, .parent = 3}); }),
      HasSubstr("trial-3.safetensors"));
}

TEST_F(TrainEvaluatorWeights, MayComeFromAFile) {
  GraphModule trained = network(first);
  trained.reset_parameters(Rng(9));
  write_tensors(file_of(0), {.tensors = trained.state(), .info = {}});
  TrainEvaluatorOptions options = epochs(2);
  options.weights = {.from = FirstWeights::checkpoint, .file = file_of(0).string()};
  TrainEvaluator evaluator(context_, options);
  trained.seed(rng_of(3).fork("weights"));
  train_by_hand(trained, 3);
  EXPECT_EQ(run(evaluator, {.trial_id = 3, .architecture = first}),
            evaluate(trained, *context_.data, Split::valid).accuracy);
  EXPECT_THAT(throws<IoError>([&] { run(evaluator, {.architecture = largest_}); }),
              HasSubstr("the weights of another network"));
  options.weights.file = file_of(1).string();
  EXPECT_THAT(throws<IoError>([&] { TrainEvaluator(context_, options); }),
              HasSubstr("trial-1.safetensors"));
}

TEST_F(TrainEvaluatorWeights, AFileGoesWithACheckpointAlone) {
  const auto error = [&](const FirstWeightsOptions& weights) {
    TrainEvaluatorOptions options = epochs(1);
    options.weights = weights;
    return throws<ConfigError>([&] { TrainEvaluator(context_, options); });
  };
  EXPECT_THAT(error({.from = FirstWeights::checkpoint}),
              HasSubstr("/weights/file: is missing: \"from\": \"checkpoint\" needs the file"));
  EXPECT_THAT(error({.from = FirstWeights::parent, .file = "net"}),
              HasSubstr("/weights/file: only goes with \"from\": \"checkpoint\""));
}

// Trainings whose first epochs are the lower fidelities.
class TrainEvaluatorFirstEpochs : public testing::Test {
 protected:
  TrainEvaluatorFirstEpochs() { options_.lower_fidelity = LowerFidelity::first_epochs; }

  static std::filesystem::path made(const std::filesystem::path& directory) {
    std::filesystem::create_directories(directory);
    return directory;
  }
  std::filesystem::path checkpoint(const std::string& name) const {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path() / name)) {
      files.push_back(entry.path());
    }
    return files.size() == 1 ? files[0] : std::filesystem::path();
  }
  static std::string text_of(const std::filesystem::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  // A training, continued from trial to trial.
  std::vector<double> run(const std::string& name, const std::vector<double>& fidelities,
                          const Architecture& a = first) const {
    TrainEvaluator evaluator(context_, options_);
    evaluator.prepare(
        {.directory = name.empty() ? std::filesystem::path() : made(directory_.path() / name),
         .rng = Rng(2),
         .stop_requested = {}});
    std::vector<double> accuracies;
    std::optional<std::uint64_t> parent;
    std::uint64_t trial = name.size() + fidelities.size();  // numbers do not matter
    for (const double fidelity : fidelities) {
      Rng rng(trial);
      const Candidate candidate{
          .trial_id = trial, .architecture = a, .fidelity = fidelity, .parent = parent};
      accuracies.push_back(evaluator.evaluate(candidate, Network(*context_.space, a), rng)[0]);
      parent = trial++;
    }
    return accuracies;
  }

  TemporaryDirectory directory_;
  const EvaluatorContext context_ = toy_context();
  TrainEvaluatorOptions options_ = epochs(4);
};

TEST_F(TrainEvaluatorFirstEpochs, ContinuedRungByRungAreOneTraining) {
  for (const OptimizerKind optimizer : {OptimizerKind::sgd, OptimizerKind::adamw}) {
    options_.train.optimizer = optimizer;
    options_.train.augmentation.crop_padding = 1;
    const std::string name = optimizer == OptimizerKind::sgd ? "sgd" : "adamw";
    const std::vector<double> whole = run("", {1});
    const std::vector<double> rungs = run(name, {0.25, 0.5, 1});
    EXPECT_EQ(rungs[2], whole[0]);
    EXPECT_EQ(checkpoint(name), "");  // none is left of a full evaluation
    // Up to a rung, too: all that the checkpoints hold is equal.
    EXPECT_EQ(run(name + "-rungs", {0.25, 0.5})[1], run(name + "-once", {0.5})[0]);
    EXPECT_EQ(text_of(checkpoint(name + "-rungs")), text_of(checkpoint(name + "-once")));
    // And it is the training itself.
    const Rng rng = Rng(2).fork("trainings").fork(context_.space->to_string(first));
    GraphModule module(context_.space->build(first));
    module.reset_parameters(rng.fork("weights"));
    const TrainResult by_hand = train(module, *context_.data, options_.train, rng.fork("train"));
    EXPECT_EQ(by_hand.valid->accuracy, whole[0]);
  }
}

TEST_F(TrainEvaluatorFirstEpochs, PayOnlyTheDifference) {
  run("a", {0.5});
  const TensorFile half = read_tensors(checkpoint("a"));
  EXPECT_EQ(half.info["history"].size(), 2u);
  // Epochs that are done are not done again: what is written of them stays.
  TensorFile changed = half;
  changed.info["history"][0]["train_loss"] = 123.0;
  write_tensors(checkpoint("a"), changed);
  TrainEvaluator evaluator(context_, options_);
  evaluator.prepare({.directory = directory_.path() / "a", .rng = Rng(2), .stop_requested = {}});
  Rng rng(1);
  evaluator.evaluate({.trial_id = 9, .architecture = first, .fidelity = 0.75, .parent = 3},
                     Network(*context_.space, first), rng);
  const TensorFile more = read_tensors(checkpoint("a"));
  ASSERT_EQ(more.info["history"].size(), 3u);
  EXPECT_EQ(more.info["history"][0]["train_loss"], 123.0);
}

TEST_F(TrainEvaluatorFirstEpochs, AreTheSameWithoutTheCheckpoint) {
  const std::vector<double> whole = run("", {0.25, 0.5, 1});
  EXPECT_EQ(run("a", {0.25, 0.5, 1}), whole);
  // Killed after the checkpoint was written and before the trial was told: evaluated again.
  EXPECT_EQ(run("c", {0.5, 0.25}), (std::vector{whole[1], whole[0]}));
  EXPECT_EQ(run("b", {0.25, 0.5, 0.5, 1}), (std::vector{whole[0], whole[1], whole[1], whole[2]}));
  // Searches beside each other would find each other's.
  TrainEvaluator evaluator(context_, options_);
  evaluator.prepare({.directory = directory_.path() / "several",
                     .rng = Rng(2),
                     .stop_requested = {},
                     .several_searches = true});
  Rng rng(1);
  EXPECT_EQ(evaluator.evaluate({.architecture = first, .fidelity = 0.25},
                               Network(*context_.space, first), rng)[0],
            whole[0]);
  EXPECT_FALSE(std::filesystem::exists(directory_.path() / "several"));
}

TEST_F(TrainEvaluatorFirstEpochs, AreNotOfAShorterSchedule) {
  TrainEvaluator shorter(context_, epochs(2));
  run("a", {0.5});
  GraphModule module(context_.space->build(first));
  const Rng rng = Rng(2).fork("trainings").fork(context_.space->to_string(first));
  module.reset_parameters(rng.fork("weights"));
  train(module, *context_.data, epochs(2).train, rng.fork("train"));
  const TensorFile kept = read_tensors(checkpoint("a"));
  std::map<std::string, at::Tensor> weights;
  for (const auto& [name, tensor] : kept.tensors) {
    if (name.starts_with("network.")) weights.emplace(name.substr(8), tensor);
  }
  EXPECT_FALSE(equal(weights, copy_of(module)));
}

TEST_F(TrainEvaluatorFirstEpochs, EndWherePatienceDoes) {
  options_.train.epochs = 8;
  options_.train.patience = 1;
  options_.train.learning_rate = 1e-6;  // nothing gets better
  EXPECT_EQ(run("a", {0.5, 1})[1], run("", {1})[0]);
}

TEST_F(TrainEvaluatorFirstEpochs, RefuseWhatDoesNotFit) {
  TrainEvaluator evaluator(context_, options_);
  EXPECT_THAT(throws<Error>([&] { evaluate(evaluator, *context_.space, first); }),
              HasSubstr("call prepare() first"));
  run("a", {0.5});
  write_file_atomically(checkpoint("a"), "torn");
  evaluator.prepare({.directory = directory_.path() / "a", .rng = Rng(2), .stop_requested = {}});
  Rng rng(1);
  // A checkpoint saves time alone: what cannot go on begins anew.
  EXPECT_EQ(evaluator.evaluate({.trial_id = 1, .architecture = first, .parent = 0},
                               Network(*context_.space, first), rng),
            run("", {1}));
  options_.weights.from = FirstWeights::parent;
  EXPECT_THAT(throws<ConfigError>([&] { TrainEvaluator(context_, options_); }),
              HasSubstr("/weights/from: \"parent\" gives a training another beginning"));
}

}  // namespace
}  // namespace espalier
