#include "training/trainer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>
#include <map>

#include "core/error.hpp"
#include "core/json.hpp"
#include "core/parallel.hpp"
#include "nets/graph_module.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/core/throws.hpp"
#include "tests/training/images.hpp"
#include "tests/training/module_state.hpp"
#include "training/tensor_file.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

GraphModule fresh(const SmallNet& net = {}) {
  GraphModule module(small_net(net));
  module.reset_parameters(Rng(7));
  return module;
}

// Everything that could depend on chance: augmentation, dropout, fake quantization.
constexpr SmallNet rich{.dropout = 0.3f, .bits = 4};
TrainOptions rich_options(OptimizerKind optimizer = OptimizerKind::sgd) {
  return {.epochs = 4,
          .batch_size = 32,
          .optimizer = optimizer,
          .label_smoothing = 0.1,
          .gradient_clip = 1,
          .augmentation = {.horizontal_flip = true, .crop_padding = 1, .cutout = 3}};
}

TEST(TrainTest, LearnsSyntheticImages) {
  const auto data = small_data(400);
  GraphModule module = fresh();
  std::vector<EpochResult> seen;
  const TrainResult result = train(module, *data, {.epochs = 6, .batch_size = 32}, Rng(1),
                                   {.on_epoch = [&](const EpochResult& r) { seen.push_back(r); }});
  EXPECT_FALSE(result.stopped);
  ASSERT_EQ(result.history.size(), 6u);
  EXPECT_EQ(seen, result.history);
  EXPECT_EQ(result.valid, result.history.back().valid);
  EXPECT_LT(result.history.back().train_loss, result.history.front().train_loss);
  EXPECT_GT(result.history.back().train_accuracy, 70);
  EXPECT_GT(result.valid->accuracy, 70);  // chance is 25
  EXPECT_FALSE(module.training());
  EXPECT_EQ(evaluate(module, *data, Split::valid), *result.valid);
  EXPECT_GT(evaluate(module, *data, Split::test).accuracy, 70);
}

TEST(TrainTest, LearnsWithQuantizedWeights) {
  const auto data = small_data(400);
  GraphModule module = fresh({.bits = 4});
  const TrainOptions options{
      .epochs = 6, .batch_size = 32, .optimizer = OptimizerKind::adamw, .learning_rate = 0.01};
  EXPECT_GT(train(module, *data, options, Rng(1)).valid->accuracy, 70);
}

TEST(TrainTest, EqualSeedsGiveEqualWeights) {
  const auto data = small_data();
  for (const int threads : {1, 2}) {
    TrainOptions options = rich_options();
    options.epochs = 1;
    options.threads = threads;
    GraphModule a = fresh(rich), b = fresh(rich), c = fresh(rich);
    const TrainResult first = train(a, *data, options, Rng(1));
    const TrainResult second = train(b, *data, options, Rng(1));
    train(c, *data, options, Rng(2));
    EXPECT_TRUE(equal(a.state(), b.state())) << threads;
    EXPECT_EQ(first.history, second.history);
    EXPECT_FALSE(equal(a.state(), c.state()));
  }
}

TEST(TrainTest, WorkersSideBySideChangeNothing) {
  const auto data = small_data();
  TrainOptions options = rich_options();
  options.epochs = 2;
  const auto trained = [&](std::size_t workers) {
    std::vector<State> states(4);
    parallel_for(states.size(), workers, [&](std::size_t i) {
      GraphModule module = fresh(rich);
      train(module, *data, options, Rng(1).fork(i));
      states[i] = copy_of(module);
    });
    return states;
  };
  const std::vector<State> one = trained(1), two = trained(2);
  for (std::size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(equal(one[i], two[i])) << i;
}

// A linear layer of the pixels: without batch norm a batch may be cut as one likes.
GraphModule linear() {
  GraphBuilder b;
  b.output(b.linear(b.flatten(b.input(1, 8, 8)), 4));
  GraphModule module(b.build());
  module.reset_parameters(Rng(3));
  return module;
}

TEST(TrainTest, GradientsOfBatchesAreAveraged) {
  const auto data = small_data(200);  // 160 to train on
  for (const double clip : {0.0, 0.05}) {
    TrainOptions whole{.epochs = 2, .batch_size = 32, .gradient_clip = clip};
    TrainOptions parts = whole;
    parts.batch_size = 8;
    parts.accumulate = 4;
    GraphModule a = linear(), b = linear();
    const TrainResult first = train(a, *data, whole, Rng(1)),
                      second = train(b, *data, parts, Rng(1));
    EXPECT_EQ(Trainer(b, *data, parts, Rng(1)).steps_per_epoch(), 5);
    for (const auto& [name, value] : a.state()) {
      EXPECT_TRUE(at::allclose(b.state().at(name), value, 1e-4, 1e-6)) << name;
    }
    EXPECT_NEAR(second.history[1].train_loss, first.history[1].train_loss, 1e-5);
    EXPECT_EQ(second.history[1].train_accuracy, first.history[1].train_accuracy);
  }
}

TEST(TrainTest, EachBatchOfAStepIsAugmentedByItsOwnDraws) {
  ImageSet same = counting_images({1, 8, 8}, 1, 4);
  for (int i = 1; i < 160; ++i) {
    same.pixels.insert(same.pixels.end(), same.pixels.begin(), same.pixels.begin() + 64);
    same.labels.push_back(0);
  }
  const Dataset data(
      "same", same, [] { return ImageSet{}; }, 0);
  const auto trained = [&](const AugmentationOptions& augmentation, int accumulate) {
    GraphModule module = linear();
    train(module, data,
          {.epochs = 1,
           .batch_size = 80,
           .accumulate = accumulate,
           .augmentation = augmentation,
           .train_fraction = accumulate / 2.0},
          Rng(1));
    return copy_of(module);
  };
  // One step of one batch, or of two that differ in their draws alone.
  EXPECT_TRUE(equal(trained({}, 1), trained({}, 2)));
  EXPECT_FALSE(equal(trained({.crop_padding = 2}, 1), trained({.crop_padding = 2}, 2)));
}

TEST(TrainTest, RecomputedActivationsTrainAsKeptOnes) {
  const auto data = small_data();
  TrainOptions options = rich_options();
  GraphModule a = fresh(rich), b = fresh(rich);
  const TrainResult kept = train(a, *data, options, Rng(1));
  options.activations = Activations::recomputed;
  EXPECT_EQ(train(b, *data, options, Rng(1)).history, kept.history);
  EXPECT_TRUE(equal(a.state(), b.state()));
}

TEST(TrainTest, LearnsInBfloat16) {
  if (!has_bfloat16("cpu")) GTEST_SKIP() << "this CPU has no AVX-512 BF16";
  const auto data = small_data(400);
  GraphModule module = fresh();
  const TrainOptions options{.epochs = 6, .batch_size = 32, .precision = Precision::bfloat16};
  EXPECT_GT(train(module, *data, options, Rng(1)).valid->accuracy, 70);
  GraphModule exact = fresh();
  train(exact, *data, {.epochs = 6, .batch_size = 32}, Rng(1));
  EXPECT_FALSE(equal(module.state(), exact.state()));
}

TEST(TrainTest, TheSplitDecidesWhatIsUsed) {
  const auto data = small_data(200);  // 160 and 40
  GraphModule module = fresh();
  const TrainOptions options{.epochs = 1, .batch_size = 32};
  EXPECT_EQ(Trainer(module, *data, options, Rng(1)).steps_per_epoch(), 5);
  EXPECT_EQ(Trainer(module, *data, options, Rng(1), Split::train_and_valid).steps_per_epoch(), 6);
  EXPECT_FALSE(train(module, *data, options, Rng(1), {.split = Split::train_and_valid}).valid);
  TrainOptions fewer = options;
  fewer.train_fraction = 0.5;
  EXPECT_EQ(Trainer(module, *data, fewer, Rng(1)).steps_per_epoch(), 2);
  fewer.train_fraction = 0.1;  // 16, less than a batch
  EXPECT_EQ(Trainer(module, *data, fewer, Rng(1)).steps_per_epoch(), 1);
}

TEST(TrainTest, ValidatesAsOftenAsAskedAndInTheEnd) {
  const auto data = small_data();
  GraphModule module = fresh();
  const TrainResult result =
      train(module, *data, {.epochs = 5, .batch_size = 32, .validate_every = 2}, Rng(1));
  std::vector<bool> validated;
  for (const EpochResult& epoch : result.history) validated.push_back(epoch.valid.has_value());
  EXPECT_THAT(validated, testing::ElementsAre(false, true, false, true, true));
}

TEST(TrainTest, EndsWhenPatienceRunsOut) {
  const auto data = small_data();
  GraphModule module = fresh();
  // So small a rate changes no prediction, so that no epoch is better than the first.
  const TrainOptions options{.epochs = 20, .batch_size = 32, .learning_rate = 1e-12, .patience = 3};
  const TrainResult result = train(module, *data, options, Rng(1));
  EXPECT_LT(result.history.size(), 20u);
  double best = -1;
  int since = 0;
  for (const EpochResult& epoch : result.history) {
    EXPECT_LT(since, 3);
    since = epoch.valid->accuracy > best ? 0 : since + 1;
    best = std::max(best, epoch.valid->accuracy);
  }
  EXPECT_EQ(since, 3);
}

TEST(TrainTest, ImagesAreResizedToTheNetworksInput) {
  const auto data = small_data();
  GraphModule module = fresh({.input = {1, 12, 10}});
  const TrainResult result = train(module, *data, {.epochs = 1, .batch_size = 32}, Rng(1));
  EXPECT_TRUE(result.valid);
}

TEST(TrainTest, NumbersThatLeaveTheirRangeAreErrors) {
  const auto data = small_data();
  GraphModule module = fresh();
  EXPECT_THAT(throws<NumericalError>([&] {
                train(module, *data,
                      {.batch_size = 32, .learning_rate = 1e30, .schedule = ScheduleKind::constant},
                      Rng(1));
              }),
              testing::AllOf(HasSubstr("the training loss is nan in step "),
                             HasSubstr("at a learning rate of 1e+30")));
  module.reset_parameters(Rng(1));
  const at::NoGradGuard no_grad;
  module.parameters().back().second.fill_(NAN);
  EXPECT_THAT(throws<NumericalError>([&] { evaluate(module, *data, Split::valid); }),
              HasSubstr("the loss on the split valid of small is nan"));
}

TEST(TrainTest, NetworksThatDoNotFitTheDataAreErrors) {
  const auto data = small_data();
  const auto error = [&](const SmallNet& net) {
    GraphModule module = fresh(net);
    return throws<ShapeError>([&] { evaluate(module, *data, Split::valid); });
  };
  EXPECT_THAT(error({.input = {3, 8, 8}}),
              HasSubstr("the network reads images of 3 channels, but small has 1"));
  EXPECT_THAT(error({.classes = 10}), HasSubstr("the network's output is {10}, but small has 4"));
}

TEST(TrainTest, OptionsThatDoNotFitTheDataAreErrors) {
  const auto data = small_data();
  GraphModule module = fresh();
  const auto error = [&](const TrainOptions& options) {
    return throws<ConfigError>([&] { Trainer(module, *data, options, Rng(1)); });
  };
  EXPECT_THAT(error({.augmentation = {.cutout = 9}}), HasSubstr("/augmentation/cutout: 9 pixels"));
  EXPECT_THAT(error({.train_fraction = 0.001}),
              HasSubstr("/train_fraction: 0.001 of the 160 images of small is 1, but training"));
  EXPECT_THAT(error({.threads = 0}), HasSubstr("/threads: 0 is not >= 1"));
  EXPECT_THAT(error({.epochs = 0}), HasSubstr("/epochs: "));
  EXPECT_THAT(throws<Error>([&] { Trainer(module, *data, {}, Rng(1), Split::valid); }),
              HasSubstr("the split valid is not for training; take train or train_and_valid"));
  const Dataset whole(
      "whole", counting_images({1, 8, 8}, 8, 4), [] { return ImageSet{}; }, 0);
  EXPECT_THAT(throws<Error>([&] { evaluate(module, whole, Split::valid); }),
              HasSubstr("whole has no images in its split valid"));
}

TEST(CheckTrainOptionsTest, PointersBeginWhereTheOptionsStand) {
  const auto data = small_data();
  const auto error = [&](const TrainOptions& options, Split split = Split::train) {
    return throws<ConfigError>([&] { check_train_options(options, *data, split, "/a/train"); });
  };
  EXPECT_THAT(error({.epochs = 0}), HasSubstr("/a/train/epochs: "));
  EXPECT_THAT(error({.threads = 0}), HasSubstr("/a/train/threads: 0 is not >= 1"));
  EXPECT_THAT(error({.batch_size = 80, .accumulate = 3}),
              HasSubstr("/a/train/accumulate: 3 batches of 80 are more than the 160 images"));
  check_train_options({.batch_size = 80, .accumulate = 2}, *data, Split::train);
  const auto in_bfloat16 = [&] {
    check_train_options({.precision = Precision::bfloat16}, *data, Split::train, "/a", "cuda:7");
  };
  if (has_bfloat16("cuda:7")) {
    in_bfloat16();
  } else {
    EXPECT_THAT(throws<ConfigError>(in_bfloat16),
                HasSubstr("/a/precision: bfloat16 needs a GPU or a CPU with AVX-512 BF16, which "
                          "cuda:7 is not here; write \"float32\""));
  }
  EXPECT_THAT(error({.augmentation = {.cutout = 9}}),
              HasSubstr("/a/train/augmentation/cutout: 9 pixels are more than the images' 8x8"));
  // 1.28 of 160, and 1.6 of 200.
  EXPECT_THAT(error({.train_fraction = 0.008}),
              HasSubstr("/a/train/train_fraction: 0.008 of the 160 images of small is 1, but "));
  check_train_options({.train_fraction = 0.008}, *data, Split::train_and_valid);
}

TEST(EvaluateTest, CountsAndAverages) {
  const Dataset data(
      "d", counting_images({1, 8, 8}, 301, 4), [] { return ImageSet{}; }, 0);
  GraphModule module = fresh();
  // A network that says the same of every image: p is the softmax of its last bias.
  const at::NoGradGuard no_grad;
  module.tensor("linear.weight").fill_(0);
  at::Tensor bias = module.tensor("linear.bias");
  bias.copy_(torch::tensor({0.0, 1.0, 0.5, 0.0}));
  const Evaluation result = evaluate(module, data, Split::train);
  EXPECT_DOUBLE_EQ(result.accuracy, 100.0 * 75 / 301);  // labels 0 76 times, the others 75
  const double log_sum = std::log(2 + std::exp(1) + std::exp(0.5));
  EXPECT_NEAR(result.loss, log_sum - (75 * 1.0 + 75 * 0.5) / 301, 1e-6);
  EXPECT_FALSE(module.training());
}

class CheckpointTest : public testing::Test {
 protected:
  TemporaryDirectory directory_;
  std::filesystem::path path_ = directory_.path() / "c.safetensors";
  std::shared_ptr<const Dataset> data_ = small_data();
};

TEST_F(CheckpointTest, TwoAndTwoEpochsAreFour) {
  for (const OptimizerKind optimizer : {OptimizerKind::sgd, OptimizerKind::adamw}) {
    const TrainOptions options = rich_options(optimizer);
    GraphModule whole = fresh(rich);
    Trainer four(whole, *data_, options, Rng(1));
    while (!four.finished()) four.run_epoch();

    GraphModule first = fresh(rich);
    Trainer two(first, *data_, options, Rng(1));
    two.run_epoch();
    two.run_epoch();
    two.save(path_);

    GraphModule second = fresh(rich);
    second.reset_parameters(Rng(99));  // nothing of it matters
    Trainer rest(second, *data_, options, Rng(1));
    rest.load(path_);
    EXPECT_EQ(rest.history(), two.history());
    while (!rest.finished()) rest.run_epoch();
    EXPECT_TRUE(equal(whole.state(), second.state()));
    EXPECT_EQ(rest.history(), four.history());
  }
}

TEST_F(CheckpointTest, AStoppedTrainingContinues) {
  const TrainOptions options = rich_options();
  GraphModule whole = fresh(rich);
  const TrainResult expected = train(whole, *data_, options, Rng(1));
  // Stopped in the middle of each epoch in turn, five steps long.
  TrainResult result;
  int runs = 0;
  State last;
  do {
    GraphModule module = fresh(rich);
    int polls = 0;
    result = train(module, *data_, options, Rng(1),
                   {.stop_requested = [&] { return ++polls == 8; }, .checkpoint = path_});
    last = copy_of(module);
  } while (result.stopped && ++runs < 10);
  EXPECT_EQ(runs, 3);
  EXPECT_EQ(result.history, expected.history);
  EXPECT_TRUE(equal(whole.state(), last));
}

TEST_F(CheckpointTest, DamagedFilesChangeNothing) {
  const TrainOptions options = rich_options();
  GraphModule module = fresh(rich);
  Trainer trainer(module, *data_, options, Rng(1));
  trainer.run_epoch();
  trainer.save(path_);
  const std::string whole = read_file(path_);
  const State before = copy_of(module);
  for (std::size_t i = 0; i < 40; ++i) {
    const std::size_t place = i * whole.size() / 40;
    std::string changed = whole;
    changed[place] = static_cast<char>(changed[place] + 1);
    write_file_atomically(path_, changed);
    throws<IoError>([&] { trainer.load(path_); });
    write_file_atomically(path_, whole.substr(0, place));
    throws<IoError>([&] { trainer.load(path_); });
  }
  throws<IoError>([&] { trainer.load(directory_.path() / "missing"); });
  throws<IoError>([&] { trainer.save(directory_.path() / "no" / "folder"); });
  EXPECT_TRUE(equal(module.state(), before));
  EXPECT_EQ(trainer.history().size(), 1u);
}

TEST_F(CheckpointTest, ThoseOfOtherTrainingsAreRefused) {
  GraphModule module = fresh(rich);
  Trainer(module, *data_, rich_options(), Rng(1)).save(path_);
  const auto error = [&](Trainer&& other) { return throws<IoError>([&] { other.load(path_); }); };
  TrainOptions options = rich_options();
  options.epochs = 5;
  EXPECT_THAT(error(Trainer(module, *data_, options, Rng(1))),
              HasSubstr("c.safetensors: the checkpoint of another training: /options/epochs is 4 "
                        "there and 5 here"));
  EXPECT_THAT(error(Trainer(module, *data_, rich_options(), Rng(2))), HasSubstr("/rng is "));
  EXPECT_THAT(error(Trainer(module, *data_, rich_options(), Rng(1), Split::train_and_valid)),
              HasSubstr("/images is 160 there and 200 here"));
  GraphModule plain = fresh();
  EXPECT_THAT(error(Trainer(plain, *data_, rich_options(), Rng(1))), HasSubstr("/network is "));
  TrainOptions threads = rich_options();
  threads.threads = 2;
  EXPECT_THAT(error(Trainer(module, *data_, threads, Rng(1))),
              HasSubstr("/threads is 1 there and 2 here; continue with the same thread count"));
}

TEST_F(CheckpointTest, ThoseOfOtherImagesAreRefused) {
  const auto data = [](std::uint64_t seed) {
    const SyntheticOptions options{.shape = {1, 8, 8}, .classes = 4, .images = 200, .seed = seed};
    return Dataset(
        "synthetic", synthetic_images(options, DatasetPart::training), [] { return ImageSet{}; },
        0.2);
  };
  const Dataset first = data(1), again = data(1), second = data(2);
  GraphModule module = fresh(rich);
  Trainer(module, first, rich_options(), Rng(1)).save(path_);
  Trainer(module, again, rich_options(), Rng(1)).load(path_);
  EXPECT_THAT(throws<IoError>([&] { Trainer(module, second, rich_options(), Rng(1)).load(path_); }),
              HasSubstr("the checkpoint of another training: /data/"));
}

TEST_F(CheckpointTest, OtherFilesAreRefused) {
  GraphModule module = fresh();
  Trainer trainer(module, *data_, {}, Rng(1));
  const auto error = [&] { return throws<IoError>([&] { trainer.load(path_); }); };
  write_tensors(path_, {.tensors = module.state(), .info = {}});
  EXPECT_THAT(error(), HasSubstr("not a checkpoint of a training"));
  write_tensors(path_, {.tensors = module.state(), .info = {{"format", 1}}});
  EXPECT_THAT(error(), HasSubstr("not a checkpoint of a training"));
  trainer.save(path_);
  const TensorFile good = read_tensors(path_);
  TensorFile bad = good;
  bad.info["version"] = 2;
  write_tensors(path_, bad);
  EXPECT_THAT(error(), HasSubstr("a checkpoint of version 2, but this program reads version 1"));
  bad = good;
  bad.info.erase("history");
  write_tensors(path_, bad);
  EXPECT_THAT(error(), HasSubstr("corrupt checkpoint: "));
  bad = good;
  bad.tensors["network.linear.bias"] = torch::zeros({3});
  write_tensors(path_, bad);
  EXPECT_THAT(error(),
              HasSubstr("the tensor network.linear.bias is not there or of another shape"));
}

}  // namespace
}  // namespace espalier
