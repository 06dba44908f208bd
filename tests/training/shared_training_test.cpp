#include "training/shared_training.hpp"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "core/error.hpp"
#include "nets/supernet.hpp"
#include "search_spaces/chain.hpp"
#include "search_spaces/sampling.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/core/throws.hpp"
#include "tests/training/images.hpp"
#include "tests/training/module_state.hpp"
#include "training/augmentation.hpp"
#include "training/batch.hpp"

namespace espalier {
namespace {

std::shared_ptr<const SearchSpace> small_space() {
  ChainOptions options;
  options.input = {1, 8, 8};
  options.classes = 4;
  options.stem_channels = 4;
  options.stages = {{.widths = {4, 8}, .depths = {1, 2}, .kernels = {3, 5}}};
  return make_chain(options);
}

SupernetOptions options_of(int epochs) {
  return {.train = {.epochs = epochs, .batch_size = 32, .learning_rate = 0.05},
          .rule = RuleKind::strategy};
}

struct Shared {
  explicit Shared(const SupernetOptions& options = options_of(4))
      : training(make_shared_training(net, space, data, options)) {}
  bool train(int epochs, const TrainRun& run = {}) {
    const StepArchitectures draw = [this](Rng rng) {
      return std::vector{sample_uniform(*space, rng), sample_uniform(*space, rng)};
    };
    return training->train(epochs, draw, run);
  }
  std::shared_ptr<const SearchSpace> space = small_space();
  std::shared_ptr<const Dataset> data = small_data(400);
  Supernet net{*space->supergraph()};
  std::unique_ptr<SharedTraining> training;
};

TEST(SharedTraining, AStepIsDownTheMeanOfItsArchitecturesGradients) {
  SupernetOptions options = options_of(1);
  options.train.batch_size = 320;  // all: one step
  options.train.momentum = 0;
  options.train.nesterov = false;
  options.train.weight_decay = 0;
  options.train.schedule = ScheduleKind::constant;
  Shared shared(options);
  shared.training->begin(Rng(5));
  Supernet net(*shared.space->supergraph());
  net.load_state(copy_of(shared.net));
  const std::vector<Architecture> learn{largest_architecture(*shared.space),
                                        smallest_architecture(*shared.space)};
  ASSERT_TRUE(shared.training->train(1, [&](Rng) { return learn; }, {}));

  const SplitView view = shared.data->view(Split::train);
  std::vector<std::uint32_t> all(view.indices.begin(), view.indices.end());
  Rng unused(0);
  const Batch batch = make_batch(ImageTransform(*shared.data, {8, 8}), *view.images, all, unused);
  net.train();
  for (const Architecture& a : learn) {
    (at::cross_entropy_loss(net.forward(batch.images, a), batch.labels) / 2).backward();
  }
  const at::NoGradGuard no_grad;
  for (const auto& [name, parameter] : net.parameters()) {
    ASSERT_TRUE(parameter.grad().defined()) << name;
    const at::Tensor expected = parameter - 0.05 * parameter.grad();
    EXPECT_LT((expected - shared.net.tensor(name)).abs().max().item<double>(), 1e-6) << name;
  }
}

TEST(SharedTraining, TrainsEpochByEpochAsAtOnce) {
  Shared whole, parts;
  for (Shared* one : {&whole, &parts}) {
    EXPECT_EQ(one->training->begins(), 0);
    one->training->begin(Rng(5));
    EXPECT_EQ(one->training->begins(), 1);
    EXPECT_EQ(one->training->epochs(), 4);
  }
  EXPECT_TRUE(whole.train(4));
  for (int epoch = 1; epoch <= 4; ++epoch) {
    EXPECT_TRUE(parts.train(1));
    EXPECT_EQ(parts.training->trained_epochs(), epoch);
    EXPECT_FALSE(parts.net.training());
  }
  EXPECT_TRUE(equal(copy_of(whole.net), copy_of(parts.net)));
  EXPECT_TRUE(parts.train(3));  // none are left
  EXPECT_TRUE(equal(copy_of(whole.net), copy_of(parts.net)));
  whole.training->begin(Rng(5));
  EXPECT_EQ(whole.training->trained_epochs(), 0);
  EXPECT_FALSE(equal(copy_of(whole.net), copy_of(parts.net)));
}

TEST(SharedTraining, ASavedOneGoesOnAlike) {
  const TemporaryDirectory directory;
  const std::filesystem::path file = directory.path() / "saved.safetensors";
  Shared first, second;
  first.training->begin(Rng(5));
  second.training->begin(Rng(5));
  first.train(2);
  const Architecture a = largest_architecture(*first.space);
  first.training->batch_accuracy(a, Rng(1));
  first.training->save(file);
  second.training->load(file);
  EXPECT_EQ(second.training->trained_epochs(), 2);
  EXPECT_EQ(first.training->batch_accuracy(a, Rng(2)), second.training->batch_accuracy(a, Rng(2)));
  first.train(2);
  second.train(2);
  EXPECT_TRUE(equal(copy_of(first.net), copy_of(second.net)));
  Shared other;
  other.training->begin(Rng(6));
  EXPECT_THROW(other.training->load(file), IoError);
}

TEST(SharedTraining, AStoppedCallIsContinuedFromItsLastEpoch) {
  const TemporaryDirectory directory;
  const std::filesystem::path file = directory.path() / "shared.safetensors";
  Shared whole, stopped, resumed;
  for (Shared* one : {&whole, &stopped, &resumed}) one->training->begin(Rng(5));
  whole.train(3);
  int steps = 0;
  EXPECT_FALSE(
      stopped.train(3, {.stop_requested = [&] { return ++steps > 25; }, .checkpoint = file}));
  EXPECT_TRUE(std::filesystem::exists(directory.path() / "shared-2.safetensors"));
  EXPECT_FALSE(std::filesystem::exists(directory.path() / "shared-1.safetensors"));
  int epochs = 0;
  EXPECT_TRUE(
      resumed.train(3, {.on_epoch = [&](const EpochResult&) { ++epochs; }, .checkpoint = file}));
  EXPECT_EQ(epochs, 1);
  EXPECT_TRUE(equal(copy_of(whole.net), copy_of(resumed.net)));
  // What a later call has left is of no use to an earlier one.
  resumed.training->begin(Rng(5));
  epochs = 0;
  EXPECT_TRUE(
      resumed.train(1, {.on_epoch = [&](const EpochResult&) { ++epochs; }, .checkpoint = file}));
  EXPECT_EQ(epochs, 1);
  EXPECT_EQ(resumed.training->trained_epochs(), 1);
}

TEST(SharedTraining, AccuraciesAreOfABatchByItsOwnStatistics) {
  Shared shared;
  shared.training->begin(Rng(5));
  shared.train(2);
  const Architecture a = largest_architecture(*shared.space);
  const SplitView view = shared.data->view(Split::valid);
  Supernet net(*shared.space->supergraph());
  net.load_state(copy_of(shared.net));
  net.train();
  bool some_differ = false;
  std::optional<double> before;
  for (std::uint64_t i = 0; i < 5; ++i) {
    const double accuracy = shared.training->batch_accuracy(a, Rng(i));
    Rng rng(i);
    std::vector<std::uint32_t> drawn;
    for (const std::size_t at : rng.sample_without_replacement(view.indices.size(), 32)) {
      drawn.push_back(view.indices[at]);
    }
    const at::NoGradGuard no_grad;
    const Batch batch = make_batch(ImageTransform(*shared.data, {8, 8}), *view.images, drawn, rng);
    const at::Tensor hits = net.forward(batch.images, a).argmax(1).eq(batch.labels);
    EXPECT_EQ(accuracy, 100.0 * static_cast<double>(hits.sum().item<std::int64_t>()) / 32);
    some_differ |= before && *before != accuracy;
    before = accuracy;
  }
  EXPECT_TRUE(some_differ);
}

}  // namespace
}  // namespace espalier
