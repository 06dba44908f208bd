#include "training/supernet_trainer.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "core/error.hpp"
#include "nets/supernet.hpp"
#include "search_spaces/catalogue.hpp"
#include "search_spaces/chain.hpp"
#include "search_spaces/sampling.hpp"
#include "tests/core/temporary_directory.hpp"
#include "tests/core/throws.hpp"
#include "tests/training/images.hpp"
#include "tests/training/module_state.hpp"
#include "training/batch.hpp"
#include "training/supernet_rule.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

std::shared_ptr<const SearchSpace> small_space(
    int widest = 8, const std::optional<CompressionOptions>& compression = {}) {
  ChainStage stage;
  stage.widths = {4, widest};
  stage.depths = {1, 2};
  stage.kernels = {3, 5};
  ChainOptions options;
  options.input = {1, 8, 8};
  options.classes = 4;
  options.stem_channels = 4;
  options.stages = {stage};
  options.compression = compression;
  return make_chain(options);
}

SupernetOptions options_of(RuleKind rule, int epochs) {
  return {.train = {.epochs = epochs, .batch_size = 32, .learning_rate = 0.05},
          .rule = rule,
          .random_architectures = rule == RuleKind::sandwich ? 1 : 2};
}

/// Each epoch is one plain step down the gradient of all images.
SupernetOptions one_step(RuleKind rule, int epochs = 1) {
  SupernetOptions options = options_of(rule, epochs);
  options.train.batch_size = 320;
  options.train.momentum = 0;
  options.train.nesterov = false;
  options.train.weight_decay = 0;
  options.train.schedule = ScheduleKind::constant;
  return options;
}

/// A supernet of the space, and how it is trained.
struct Trained {
  explicit Trained(std::shared_ptr<const SearchSpace> space_in)
      : space(std::move(space_in)), net(*space->supergraph()) {
    net.reset_parameters(Rng(7));
  }
  TrainResult train(const SupernetOptions& options, const TrainRun& run = {}) {
    return train_supernet(net, space, *data, options, Rng(1), run);
  }
  std::shared_ptr<const SearchSpace> space;
  std::shared_ptr<const Dataset> data = small_data(400);
  Supernet net;
};

TEST(TrainSupernet, EveryRuleTeachesArchitecturesThatShareWeights) {
  for (const RuleKind rule : {RuleKind::uniform, RuleKind::fair, RuleKind::sandwich,
                              RuleKind::attentive, RuleKind::progressive}) {
    SCOPED_TRACE(static_cast<int>(rule));
    Trained trained(small_space());
    const TrainResult result = trained.train(options_of(rule, 8));
    EXPECT_EQ(result.history.size(), 8u);
    EXPECT_LT(result.history.back().train_loss, result.history.front().train_loss);
    EXPECT_FALSE(trained.net.training());
    GraphModule module = trained.net.extract(largest_architecture(*trained.space));
    EXPECT_GT(evaluate(module, *trained.data, Split::train).accuracy, 50);  // chance is 25
  }
}

TEST(TrainSupernet, AContinuedTrainingEndsAlike) {
  const TemporaryDirectory directory;
  for (const RuleKind rule :
       {RuleKind::uniform, RuleKind::sandwich, RuleKind::attentive, RuleKind::progressive}) {
    const std::filesystem::path file =
        directory.path() / fmt::format("{}.safetensors", static_cast<int>(rule));
    Trained whole(small_space()), first(small_space()), second(small_space());
    const SupernetOptions options = options_of(rule, 4);
    whole.train(options);
    int steps = 0;
    const TrainResult stopped =
        first.train(options, {.stop_requested = [&] { return ++steps > 25; }, .checkpoint = file});
    EXPECT_TRUE(stopped.stopped);
    ASSERT_GE(stopped.history.size(), 1u);
    ASSERT_LT(stopped.history.size(), 4u);
    const TrainResult resumed = second.train(options, {.checkpoint = file});
    EXPECT_EQ(resumed.history.size(), 4u);
    EXPECT_TRUE(equal(copy_of(whole.net), copy_of(second.net)));
    EXPECT_FALSE(equal(copy_of(whole.net), copy_of(first.net)));
  }
}

TEST(TrainSupernet, AShrinkingThatIsContinuedAfterSortingEndsAlike) {
  const TemporaryDirectory directory;
  const std::filesystem::path file = directory.path() / "supernet.safetensors";
  // Quantized activations, too: their ranges are part of what the teacher says.
  const auto space = small_space(8, CompressionOptions{.activation_bits = {8}});
  Trained whole(space), first(space), second(space);
  const SupernetOptions options = options_of(RuleKind::progressive, 8);
  const std::vector<ShrinkingPhase> phases = shrinking_phases(*whole.space, 8);
  ASSERT_TRUE(phases.back().sorted);
  ASSERT_GE(phases.back().epochs, 2);
  whole.train(options);
  int steps = 0;
  first.train(options, {.stop_requested = [&] { return ++steps > 75; }, .checkpoint = file});
  ASSERT_EQ(steps, 76);  // in the last epoch
  second.train(options, {.checkpoint = file});
  EXPECT_TRUE(equal(copy_of(whole.net), copy_of(second.net)));
}

TEST(TrainSupernet, OnlyThePathInUseGetsGradients) {
  const std::shared_ptr<const SearchSpace> space = space_registry().create({{"type", "nasbench201"},
                                                                            {"input", {1, 8, 8}},
                                                                            {"classes", 4},
                                                                            {"channels", 4},
                                                                            {"cells", 1}},
                                                                           "");
  Trained trained(space);
  const Architecture only{std::vector<std::uint32_t>(6, 1)};
  const at::Tensor x = at::ones({4, 1, 8, 8});
  trained.net.train();
  trained.net.forward(x, only).sum().backward();
  int edges = 0;  // all of them skip their operators
  for (const auto& [name, parameter] : trained.net.parameters()) {
    const bool of_edge = name.find("edge") != std::string::npos;
    edges += of_edge;
    EXPECT_EQ(parameter.grad().defined(), !of_edge) << name;
  }
  EXPECT_GT(edges, 0);
}

TEST(TrainSupernet, SandwichTeachesByTheLargestArchitecture) {
  // One step by hand: the largest architecture learns the labels, the others what it says, and no
  // gradient goes through what it says.
  Trained trained(small_space()), by_hand(small_space());
  const SupernetOptions options = one_step(RuleKind::sandwich);
  trained.train(options);

  const SplitView view = by_hand.data->view(Split::train);
  std::vector<std::uint32_t> order(view.indices.begin(), view.indices.end());
  Rng(1).fork("training").fork("order").fork(std::uint64_t{0}).shuffle(order);
  Rng unused(0);
  const Batch batch =
      make_batch(ImageTransform(*by_hand.data, {8, 8}), *view.images, order, unused);
  Supernet& net = by_hand.net;
  const auto passes = SupernetRule(by_hand.space, options)
                          .passes(Rng(1).fork("training").fork("step").fork(0).fork(0));
  ASSERT_EQ(passes.size(), 3u);
  EXPECT_EQ(passes[0].architecture, largest_architecture(*by_hand.space));
  EXPECT_EQ(passes[1].architecture, smallest_architecture(*by_hand.space));
  const at::Tensor largest = net.forward(batch.images, passes[0].architecture);
  const at::Tensor target = at::softmax(largest.detach(), 1);
  at::Tensor loss = at::cross_entropy_loss(largest, batch.labels);
  for (std::size_t i = 1; i < passes.size(); ++i) {
    const at::Tensor logits = net.forward(batch.images, passes[i].architecture);
    loss = loss - (target * at::log_softmax(logits, 1)).sum(1).mean();
  }
  loss.backward();
  const at::NoGradGuard no_grad;
  for (const auto& [name, parameter] : net.parameters()) {
    at::Tensor expected = parameter;
    if (parameter.grad().defined()) expected = parameter - 0.05 * parameter.grad();
    EXPECT_LT((expected - trained.net.tensor(name)).abs().max().item<double>(), 1e-6) << name;
  }
}

TEST(TrainSupernet, AttentiveSamplingTeachesTheBestOfItsCandidates) {
  // One step by hand, in both directions.
  for (const Attention attention : {Attention::best_up, Attention::worst_up}) {
    Trained trained(small_space(32)), by_hand(small_space(32));
    SupernetOptions options = one_step(RuleKind::attentive);
    options.attention = attention;
    options.candidates = 4;
    trained.train(options);

    const SplitView view = by_hand.data->view(Split::train);
    std::vector<std::uint32_t> all(view.indices.begin(), view.indices.end());
    Rng unused(0);
    const Batch batch =
        make_batch(ImageTransform(*by_hand.data, {8, 8}), *view.images, all, unused);
    Supernet& net = by_hand.net;
    const auto passes = SupernetRule(by_hand.space, options)
                            .passes(Rng(1).fork("training").fork("step").fork(0).fork(0));
    ASSERT_EQ(passes.size(), 4u);
    const at::Tensor largest = net.forward(batch.images, passes[0].architecture);
    const at::Tensor target = at::softmax(largest.detach(), 1);
    at::Tensor loss = at::cross_entropy_loss(largest, batch.labels);
    for (std::size_t i = 1; i < passes.size(); ++i) {
      Architecture learns = passes[i].architecture;
      EXPECT_EQ(passes[i].candidates.size(), i == 1 ? 0u : 4u);
      std::optional<double> best;
      for (const Architecture& candidate : passes[i].candidates) {
        const double its =
            at::cross_entropy_loss(net.forward(batch.images, candidate), batch.labels)
                .item<double>();
        if (best && (attention == Attention::best_up ? its >= *best : its <= *best)) continue;
        best = its;
        learns = candidate;
      }
      const at::Tensor logits = net.forward(batch.images, learns);
      loss = loss - (target * at::log_softmax(logits, 1)).sum(1).mean();
    }
    loss.backward();
    const at::NoGradGuard no_grad;
    for (const auto& [name, parameter] : net.parameters()) {
      at::Tensor expected = parameter;
      if (parameter.grad().defined()) expected = parameter - 0.05 * parameter.grad();
      EXPECT_LT((expected - trained.net.tensor(name)).abs().max().item<double>(), 1e-5) << name;
    }
  }
}

TEST(TrainSupernet, ProgressiveShrinkingTeachesByTheFirstPhase) {
  // The only step of the third phase by hand, from where the second one ended: its architectures
  // learn the labels and what the network of the first phase says, each by batch statistics.
  Trained trained(small_space()), by_hand(small_space()), teacher(small_space());
  const SupernetOptions options = one_step(RuleKind::progressive, 4);
  std::vector<std::map<std::string, at::Tensor>> after;
  std::vector<int> epochs;
  trained.train(options, {.on_epoch = [&](const EpochResult& epoch) {
                  after.push_back(copy_of(trained.net));
                  epochs.push_back(epoch.epoch);
                }});
  EXPECT_EQ(epochs, (std::vector<int>{1, 2, 3, 4}));

  const SupernetRule rule(by_hand.space, options);
  ASSERT_EQ(rule.phases().size(), 4u);
  ASSERT_EQ(rule.phases()[2].name, "depth");
  teacher.net.load_state(after[0]);
  by_hand.net.load_state(after[1]);
  const SplitView view = by_hand.data->view(Split::train);
  std::vector<std::uint32_t> order(view.indices.begin(), view.indices.end());
  const Rng rng = Rng(1).fork("phase").fork(2).fork("training");
  rng.fork("order").fork(std::uint64_t{0}).shuffle(order);
  Rng unused(0);
  const Batch batch =
      make_batch(ImageTransform(*by_hand.data, {8, 8}), *view.images, order, unused);
  const at::Tensor said = teacher.net.forward(batch.images, largest_architecture(*teacher.space));
  const at::Tensor target = at::softmax(said.detach(), 1);
  const auto passes = rule.passes(rng.fork("step").fork(0).fork(0), 2);
  ASSERT_EQ(passes.size(), 2u);
  for (const SupernetPass& pass : passes) {
    EXPECT_EQ(pass.lesson, Lesson::labels_and_teacher);
    const at::Tensor logits = by_hand.net.forward(batch.images, pass.architecture);
    const at::Tensor loss = at::cross_entropy_loss(logits, batch.labels) -
                            (target * at::log_softmax(logits, 1)).sum(1).mean();
    loss.backward();
  }
  const double rate = 0.05 * rule.phases()[2].rate_factor;
  const at::NoGradGuard no_grad;
  double moved = 0;
  for (const auto& [name, parameter] : by_hand.net.parameters()) {
    at::Tensor expected = parameter;
    if (parameter.grad().defined()) expected = parameter - rate * parameter.grad();
    moved = std::max(moved, (expected - parameter).abs().max().item<double>());
    EXPECT_LT((expected - after[2].at(name)).abs().max().item<double>(), 1e-6) << name;
  }
  EXPECT_GT(moved, 1e-4);
}

TEST(TrainSupernet, ProgressiveShrinkingSortsChannelsBeforeWidthsOpen) {
  // At a learning rate of almost 0, sorting is all that the last phase does to the weights.
  Trained trained(small_space()), by_hand(small_space());
  SupernetOptions options = options_of(RuleKind::progressive, 4);
  options.train.learning_rate = 1e-9;
  options.train.weight_decay = 0;
  std::vector<State> after;
  trained.train(options,
                {.on_epoch = [&](const EpochResult&) { after.push_back(copy_of(trained.net)); }});
  const SupernetRule rule(by_hand.space, options);
  ASSERT_EQ(rule.phases().size(), 4u);
  by_hand.net.load_state(after[2]);
  by_hand.net.sort_channels(rule.phases()[2].choices);
  double moved = 0;
  for (const auto& [name, parameter] : by_hand.net.parameters()) {
    const at::Tensor sorted = parameter.detach();
    moved = std::max(moved, (after[2].at(name) - sorted).abs().max().item<double>());
    EXPECT_LT((after[3].at(name) - sorted).abs().max().item<double>(), 1e-5) << name;
  }
  EXPECT_GT(moved, 0.1);
}

TEST(TrainSupernet, ALossThatIsNotFiniteNamesTheArchitectureAndKeepsTheCheckpoint) {
  const TemporaryDirectory directory;
  const std::filesystem::path file = directory.path() / "supernet";
  Trained trained(small_space());
  const SupernetOptions options = options_of(RuleKind::uniform, 3);
  int epochs = 0;
  const std::string error = throws<NumericalError>([&] {
    trained.train(options, {.on_epoch =
                                [&](const EpochResult&) {
                                  ++epochs;
                                  const at::NoGradGuard no_grad;
                                  trained.net.parameters()[0].second.detach().fill_(NAN);
                                },
                            .checkpoint = file});
  });
  EXPECT_EQ(epochs, 1);
  EXPECT_THAT(error, HasSubstr("in step 1 of epoch 2, of stage1.width="));
  Trained again(small_space());
  EXPECT_EQ(again.train(options, {.checkpoint = file}).history.size(), 3u);
}

TEST(TrainSupernet, RefusesWhatDoesNotBelongTogether) {
  const TemporaryDirectory directory;
  const std::filesystem::path file = directory.path() / "supernet";
  Trained trained(small_space());
  trained.train(options_of(RuleKind::uniform, 1), {.checkpoint = file});
  Trained other(small_space(16));
  EXPECT_THAT(
      throws<IoError>([&] { other.train(options_of(RuleKind::uniform, 1), {.checkpoint = file}); }),
      HasSubstr("the checkpoint of another training: /network/decisions/stage1.width/1 is "
                "\"8\" there and \"16\" here"));
  EXPECT_THAT(
      throws<IoError>([&] { trained.train(options_of(RuleKind::fair, 1), {.checkpoint = file}); }),
      HasSubstr("/network/rule is \"uniform\" there and \"fair\" here"));
  Trained wrong(space_registry().create({{"type", "chain"}, {"input", {3, 8, 8}}}, ""));
  EXPECT_THAT(throws<ShapeError>([&] { wrong.train(options_of(RuleKind::uniform, 1)); }),
              HasSubstr("images of 3 channels, but small has 1"));
}

TEST(TrainSupernet, ImagesHaveTheSizeOfTheArchitecturesInput) {
  const std::shared_ptr<const SearchSpace> space =
      space_registry().create({{"type", "mobilenet_v3"},
                               {"input", {1, 8, 8}},
                               {"classes", 4},
                               {"resolutions", {8, 16}},
                               {"stem_channels", 8},
                               {"stages", {{{"channels", 8}, {"depths", {1, 2}}}}},
                               {"last_channels", 16}},
                              "");
  Trained trained(space);
  EXPECT_EQ(trained.train(options_of(RuleKind::sandwich, 1)).history.size(), 1u);
}

}  // namespace
}  // namespace espalier
