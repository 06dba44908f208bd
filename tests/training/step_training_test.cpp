#include "training/step_training.hpp"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "core/error.hpp"
#include "nets/supernet.hpp"
#include "search_spaces/nasbench201.hpp"
#include "search_spaces/sampling.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/core/throws.hpp"
#include "tests/training/images.hpp"
#include "training/losses.hpp"
#include "training/shared_training.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

constexpr std::array<std::int64_t, 2> size{8, 8};

struct Shared {
  explicit Shared(int epochs = 3)
      : training(make_shared_training(
            net, space, data,
            {.train = {.epochs = epochs, .batch_size = 20}, .rule = RuleKind::strategy})) {}

  /// Learns the largest network and counts its steps in a tensor.
  OwnSteps steps(double second_share) {
    return {.learn =
                [this](const TrainStep& step) {
                  count += 1;
                  first.push_back(step.batch(size).images.clone());
                  second.push_back(step.second_batch(size).images.clone());
                  const Batch batch = step.batch(size);
                  const at::Tensor logits = net.forward(batch.images, largest_architecture(*space));
                  const at::Tensor loss = cross_entropy(logits, batch.labels, 0);
                  const double value = step.value(loss);
                  loss.backward();
                  return Learned{value, count_correct(logits.detach(), batch.labels)};
                },
            .tensors = {{"count", count}},
            .second_share = second_share};
  }
  StepTraining& own() { return *training->by_steps(); }

  std::shared_ptr<const SearchSpace> space =
      make_nasbench201({.input = {1, 8, 8}, .classes = 4, .channels = 4, .cells = 1});
  std::shared_ptr<const Dataset> data = small_data();  // 160 images to train on
  Supernet net{*space->supergraph()};
  std::unique_ptr<SharedTraining> training;
  at::Tensor count = at::zeros({1}, at::kDouble);
  std::vector<at::Tensor> first, second;
};

/// The sums of images, by which they are told apart.
std::set<double> images_of(const std::vector<at::Tensor>& batches) {
  std::set<double> sums;
  for (const at::Tensor& batch : batches) {
    for (std::int64_t i = 0; i < batch.size(0); ++i) {
      sums.insert(batch[i].to(at::kDouble).sum().item<double>());
    }
  }
  return sums;
}

TEST(StepTraining, TheSecondShareIsNotWhatTheWeightsLearnFrom) {
  Shared shared;
  shared.own().begin(Rng(1), shared.steps(0.25));
  ASSERT_TRUE(shared.own().train(3, {}));
  EXPECT_EQ(shared.count.item<double>(), 18);  // of 120 images, 20 each
  const std::set<double> first = images_of(shared.first), second = images_of(shared.second);
  EXPECT_EQ(first.size(), 120U);
  EXPECT_GT(second.size(), 35U);  // of 40, drawn anew each time
  for (const double image : second) EXPECT_FALSE(first.contains(image));
  const Batch drawn = shared.own().draw(StepTraining::Images::second, size, Rng(5));
  for (const double image : images_of({drawn.images})) {
    EXPECT_TRUE(second.contains(image) || !first.contains(image));
  }
  const std::set<double> held =
      images_of({shared.own().draw(StepTraining::Images::held_out, size, Rng(5)).images});
  for (const double image : held) EXPECT_FALSE(first.contains(image) || second.contains(image));
}

TEST(StepTraining, WithoutASecondShareItsBatchIsTheStepsOwn) {
  Shared shared;
  shared.own().begin(Rng(1), shared.steps(0));
  ASSERT_TRUE(shared.own().train(1, {}));
  ASSERT_EQ(shared.first.size(), 8U);
  for (std::size_t i = 0; i < 8; ++i) EXPECT_TRUE(shared.first[i].equal(shared.second[i]));
}

TEST(StepTraining, OwnTensorsAreSavedWithTheWeights) {
  const TemporaryDirectory directory;
  Shared shared;
  shared.own().begin(Rng(1), shared.steps(0.25));
  ASSERT_TRUE(shared.own().train(1, {}));
  shared.training->save(directory.path() / "state.safetensors");
  ASSERT_TRUE(shared.own().train(2, {}));

  Shared other;
  other.own().begin(Rng(1), other.steps(0.25));
  other.training->load(directory.path() / "state.safetensors");
  EXPECT_EQ(other.count.item<double>(), 6);
  ASSERT_TRUE(other.own().train(2, {}));
  EXPECT_EQ(other.count.item<double>(), 18);
  for (const auto& [name, tensor] : shared.net.state()) {
    EXPECT_TRUE(tensor.equal(other.net.tensor(name))) << name;
  }
  // Another share is another training.
  Shared third;
  third.own().begin(Rng(1), third.steps(0.5));
  EXPECT_THAT(
      throws<IoError>([&] { third.training->load(directory.path() / "state.safetensors"); }),
      HasSubstr("the checkpoint of another training"));
}

TEST(StepTraining, AStageHasWeightsOfItsOwn) {
  const TemporaryDirectory directory;
  Shared shared(6);
  const auto deeper = std::shared_ptr<const SearchSpace>(
      make_nasbench201({.input = {1, 8, 8}, .classes = 4, .channels = 4, .cells = 2}));
  std::vector<double> rates;
  const OwnSteps steps{.learn =
                           [&](const TrainStep& step) {
                             Supernet& net = shared.own().supernet();
                             const Batch batch = step.batch(size);
                             const at::Tensor logits =
                                 net.forward(batch.images, largest_architecture(*deeper));
                             const at::Tensor loss = cross_entropy(logits, batch.labels, 0);
                             EXPECT_LT(step.epoch(), 2);
                             rates.push_back(step.learning_rate());
                             const double value = step.value(loss);
                             loss.backward();
                             return Learned{value, count_correct(logits.detach(), batch.labels)};
                           },
                       .second_share = 0.25};
  shared.own().begin(Rng(1), steps, {.space = deeper, .begin = 0, .epochs = 2});
  EXPECT_NE(&shared.own().supernet(), &shared.net);
  EXPECT_EQ(shared.training->epochs(), 6);
  ASSERT_TRUE(shared.own().train(6, {}));
  EXPECT_EQ(shared.training->trained_epochs(), 2);
  EXPECT_LT(rates.back(), 0.2 * rates.front());  // by the stage's own schedule
  shared.training->save(directory.path() / "state.safetensors");
  EXPECT_GT(shared.own().supernet().parameters().size(), shared.net.parameters().size());

  // The next one is of the run's own space, with a learning rate that begins anew.
  const int before = shared.training->begins();
  shared.own().begin(Rng(2), shared.steps(0.25), {.begin = 2, .epochs = 4});
  EXPECT_EQ(shared.training->begins(), before + 1);
  EXPECT_EQ(&shared.own().supernet(), &shared.net);
  EXPECT_EQ(shared.training->trained_epochs(), 2);
  EXPECT_THROW(shared.training->load(directory.path() / "state.safetensors"), IoError);
  ASSERT_TRUE(shared.own().train(100, {}));
  EXPECT_EQ(shared.training->trained_epochs(), 6);
}

TEST(StepTraining, GoesBackToAStateAndItsWeightDecay) {
  Shared shared;
  shared.own().begin(Rng(1), shared.steps(0.25));
  ASSERT_TRUE(shared.own().train(1, {}));
  const TensorFile state = shared.own().state();
  ASSERT_TRUE(shared.own().train(2, {}));
  const at::Tensor plain = shared.net.tensor("head.linear.weight").clone();
  const at::Tensor counted = shared.count.clone();
  const auto again = [&](double weight_decay) {
    shared.own().restore(state);
    EXPECT_EQ(shared.training->trained_epochs(), 1);
    EXPECT_EQ(shared.count.item<double>(), 6);
    if (weight_decay > 0) shared.own().set_weight_decay(weight_decay);
    EXPECT_TRUE(shared.own().train(2, {}));
    return shared.net.tensor("head.linear.weight").clone();
  };
  EXPECT_TRUE(again(0).equal(plain));
  EXPECT_TRUE(shared.count.equal(counted));
  EXPECT_LT(again(1).abs().sum().item<double>(), plain.abs().sum().item<double>());
  EXPECT_TRUE(again(0).equal(plain));  // with the decay of the state
}

TEST(StepTraining, SharesThatLeaveTooFewImagesAreRefused) {
  Shared shared;
  EXPECT_THAT(throws<ConfigError>([&] { shared.own().begin(Rng(1), shared.steps(0.995)); }),
              HasSubstr("of 160 images, 1 for the weights and 159 for the architecture"));
  const auto accumulating = make_shared_training(
      shared.net, shared.space, shared.data,
      {.train = {.batch_size = 60, .accumulate = 2}, .rule = RuleKind::strategy});
  EXPECT_THAT(
      throws<ConfigError>([&] { accumulating->by_steps()->begin(Rng(1), shared.steps(0.5)); }),
      HasSubstr("2 batches of 60 are more than the 80 images of the weights"));
}

}  // namespace
}  // namespace espalier
