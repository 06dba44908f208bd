#include "training/hypernetwork_trainer.hpp"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>

#include "core/error.hpp"
#include "nets/hypernetwork.hpp"
#include "search_spaces/catalogue.hpp"
#include "search_spaces/sampling.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/core/throws.hpp"
#include "tests/training/images.hpp"
#include "tests/training/module_state.hpp"
#include "training/batch.hpp"
#include "training/recalibration.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

std::shared_ptr<const SearchSpace> small_space(const Json& change = {}) {
  Json config = {
      {"type", "nasbench201"}, {"input", {1, 8, 8}}, {"classes", 4}, {"channels", 4}, {"cells", 1}};
  if (!change.is_null()) config.update(change);
  return space_registry().create(config, "");
}

TrainOptions options_of(int epochs) {
  return {.epochs = epochs,
          .batch_size = 32,
          .optimizer = OptimizerKind::adamw,
          .learning_rate = 0.005};
}

/// A hypernetwork, and how it is trained.
struct Trained {
  explicit Trained(HyperNetworkKind kind,
                   std::shared_ptr<const SearchSpace> space_in = small_space())
      : space(std::move(space_in)),
        net({.kind = kind, .embedding = 16, .hidden = 32, .channels = 16, .kernel = 3}) {
    net.reset_parameters(Rng(7));
  }
  TrainResult train(const TrainOptions& options, const TrainRun& run = {}) {
    return train_hypernetwork(net, *space, *data, options, Rng(1), run);
  }
  std::shared_ptr<const SearchSpace> space;
  std::shared_ptr<const Dataset> data = small_data(400);
  HyperNetwork net;
};

TEST(TrainHyperNetwork, GeneratedWeightsLearn) {
  for (const HyperNetworkKind kind : {HyperNetworkKind::smash, HyperNetworkKind::ghn}) {
    SCOPED_TRACE(static_cast<int>(kind));
    Trained trained(kind);
    const TrainResult result = trained.train(options_of(8));
    EXPECT_EQ(result.history.size(), 8u);
    EXPECT_FALSE(trained.net.training());
    GraphModule module(trained.space->build(largest_architecture(*trained.space)));
    trained.net.fill(module);
    recalibrate_batch_norms(module, *trained.data, {.batches = 0}, Rng(2));
    EXPECT_GT(evaluate(module, *trained.data, Split::train).accuracy, 50);  // chance is 25
  }
}

TEST(TrainHyperNetwork, AContinuedTrainingEndsAlike) {
  const TemporaryDirectory directory;
  for (const HyperNetworkKind kind : {HyperNetworkKind::smash, HyperNetworkKind::ghn}) {
    const std::filesystem::path file =
        directory.path() / (kind == HyperNetworkKind::ghn ? "ghn" : "smash");
    Trained whole(kind), first(kind), second(kind);
    whole.train(options_of(3));
    int steps = 0;
    const TrainResult stopped = first.train(
        options_of(3), {.stop_requested = [&] { return ++steps > 15; }, .checkpoint = file});
    EXPECT_TRUE(stopped.stopped);
    ASSERT_EQ(stopped.history.size(), 1u);
    EXPECT_EQ(second.train(options_of(3), {.checkpoint = file}).history.size(), 3u);
    EXPECT_TRUE(equal(copy_of(whole.net), copy_of(second.net)));
    EXPECT_FALSE(equal(copy_of(whole.net), copy_of(first.net)));
  }
}

TEST(TrainHyperNetwork, EachStepTeachesByAnotherArchitecture) {
  // Two steps by hand, each with the gradient of one architecture.
  Trained trained(HyperNetworkKind::ghn), by_hand(HyperNetworkKind::ghn);
  const TrainOptions options{.epochs = 2,
                             .batch_size = 320,  // all: one step in each epoch
                             .learning_rate = 0.05,
                             .momentum = 0,
                             .nesterov = false,
                             .weight_decay = 0,
                             .schedule = ScheduleKind::constant};
  trained.train(options);

  const Rng rng = Rng(1).fork("training");
  const SplitView view = by_hand.data->view(Split::train);
  std::vector<Architecture> drawn;
  for (std::uint64_t epoch = 0; epoch < 2; ++epoch) {
    std::vector<std::uint32_t> order(view.indices.begin(), view.indices.end());
    rng.fork("order").fork(epoch).shuffle(order);
    Rng unused(0), draw = rng.fork("step").fork(epoch).fork(0);
    const Batch batch =
        make_batch(ImageTransform(*by_hand.data, {8, 8}), *view.images, order, unused);
    drawn.push_back(sample_uniform(*by_hand.space, draw));
    by_hand.net.zero_grad();
    const at::Tensor logits = by_hand.net.forward(batch.images, by_hand.space->build(drawn.back()));
    at::cross_entropy_loss(logits, batch.labels).backward();
    const at::NoGradGuard no_grad;
    for (const auto& [name, parameter] : by_hand.net.parameters()) {
      parameter.detach().sub_(0.05 * parameter.grad());
    }
  }
  EXPECT_NE(drawn[0], drawn[1]);
  const at::NoGradGuard no_grad;
  Trained untrained(HyperNetworkKind::ghn);
  double moved = 0;
  for (const auto& [name, parameter] : by_hand.net.parameters()) {
    const auto change = [&](const HyperNetwork& net) {
      return (parameter - net.tensor(name)).abs().max().item<double>();
    };
    EXPECT_LT(change(trained.net), 1e-5) << name;
    moved = std::max(moved, change(untrained.net));
  }
  EXPECT_GT(moved, 1e-3);
}

TEST(TrainHyperNetwork, ALossThatIsNotFiniteNamesTheArchitectureAndKeepsTheCheckpoint) {
  const TemporaryDirectory directory;
  const std::filesystem::path file = directory.path() / "hypernetwork";
  Trained trained(HyperNetworkKind::smash);
  int epochs = 0;
  const std::string error = throws<NumericalError>([&] {
    trained.train(options_of(2), {.on_epoch =
                                      [&](const EpochResult&) {
                                        ++epochs;
                                        const at::NoGradGuard no_grad;
                                        trained.net.parameters()[0].second.detach().fill_(NAN);
                                      },
                                  .checkpoint = file});
  });
  EXPECT_EQ(epochs, 1);
  EXPECT_THAT(error, HasSubstr("in step 1 of epoch 2, of |"));
  Trained again(HyperNetworkKind::smash);
  EXPECT_EQ(again.train(options_of(2), {.checkpoint = file}).history.size(), 2u);
}

TEST(TrainHyperNetwork, ImagesHaveTheSizeOfTheArchitecturesInput) {
  Trained trained(HyperNetworkKind::smash,
                  space_registry().create({{"type", "mobilenet_v3"},
                                           {"input", {1, 8, 8}},
                                           {"classes", 4},
                                           {"resolutions", {8, 16}},
                                           {"kernels", {3}},
                                           {"stem_channels", 8},
                                           {"stages", {{{"channels", 8}, {"depths", {1, 2}}}}},
                                           {"last_channels", 16}},
                                          ""));
  EXPECT_EQ(trained.train(options_of(1)).history.size(), 1u);
}

TEST(TrainHyperNetwork, RefusesWhatDoesNotBelongTogether) {
  const TemporaryDirectory directory;
  const std::filesystem::path file = directory.path() / "hypernetwork";
  const auto kind = HyperNetworkKind::smash;
  Trained trained(kind);
  trained.train(options_of(1), {.checkpoint = file});
  Trained other(HyperNetworkKind::ghn);
  EXPECT_THAT(throws<IoError>([&] { other.train(options_of(1), {.checkpoint = file}); }),
              HasSubstr("the checkpoint of another training: /network/hypernetwork/kind is "
                        "\"smash\" there and \"ghn\" here"));
  Trained wider(kind, small_space({{"channels", 8}}));
  EXPECT_THAT(throws<IoError>([&] { wider.train(options_of(1), {.checkpoint = file}); }),
              HasSubstr("the checkpoint of another training: /network/largest is"));
  Trained colours(kind, small_space({{"input", {3, 8, 8}}}));
  EXPECT_THAT(throws<ShapeError>([&] { colours.train(options_of(1)); }),
              HasSubstr("images of 3 channels, but small has 1"));
  TrainOptions options = options_of(2);
  options.patience = 1;
  EXPECT_THAT(throws<ConfigError>([&] { trained.train(options); }),
              HasSubstr("/patience: a hypernetwork is not validated; write 0"));
  options.patience = 0;
  options.validate_every = 2;
  EXPECT_THAT(throws<ConfigError>([&] { trained.train(options); }),
              HasSubstr("/validate_every: a hypernetwork is not validated; leave it out"));
  options = options_of(0);
  EXPECT_THAT(throws<ConfigError>([&] { trained.train(options); }), HasSubstr("/epochs"));
}

}  // namespace
}  // namespace espalier
