#include "strategies/darts.hpp"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "core/error.hpp"
#include "search_spaces/chain.hpp"
#include "search_spaces/mobilenet_v3.hpp"
#include "tests/core/throws.hpp"
#include "tests/strategies/differentiable_probe.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

template <class S, class Options>
void expect_gradients_on(std::shared_ptr<const SearchSpace> space, const Options& options,
                         int epoch = 1) {
  SmallSearch small(std::move(space), 4);
  Probe<S> search(small.context, options);
  search.spread();
  expect_exact_gradients<S>(small, search, search.pass_of(epoch, 4));
}

TEST(Darts, GradientsAreExact) {
  expect_gradients_on<Darts>(small_cells(), DartsSearchOptions{});
  expect_gradients_on<Darts>(small_darts(), DartsSearchOptions{});
}

TEST(Darts, AnEdgeMayBeClosedInTheRelaxationWhereInputsAreChosen) {
  SmallSearch small(small_darts());
  const Probe<Darts> search(small.context, DartsSearchOptions{});
  for (std::size_t d = 0; d < search.parameters().decisions().size(); ++d) {
    EXPECT_EQ(search.parameters().none(d), search.parameters().decisions()[d].pick == 1);
  }
  SmallSearch cells(small_cells());
  const Probe<Darts> other(cells.context, DartsSearchOptions{});
  EXPECT_FALSE(other.parameters().none(0));
}

TEST(Darts, TheSecondOrderTakesTheWeightsAStepFurther) {
  // One step of each order from the same weights: their first moments are half the gradients.
  const auto moment = [](DartsOrder order, double rate) {
    SmallSearch small(small_cells(), 1);
    DartsSearchOptions options;
    options.order = order;
    options.architecture_weight_decay = 0;
    options.eigenvalue_every = 0;
    auto training = make_shared_training(small.net, small.space, small_data(),
                                         {.train = {.epochs = 1,
                                                    .batch_size = 64,
                                                    .learning_rate = rate,
                                                    .schedule = ScheduleKind::constant},
                                          .rule = RuleKind::strategy});
    RunContext context = small.context;
    context.shared_training = std::move(training);
    Probe<Darts> search(context, options);
    EXPECT_EQ(search.ask(1).size(), 1U);  // 80 images of the weights: one step
    return search.parameters().tensors().at("alpha.mean").clone();
  };
  const at::Tensor first = moment(DartsOrder::first, 0.2);
  const at::Tensor second = moment(DartsOrder::second, 0.2);
  EXPECT_GT((second - first).norm().item<double>(), 0.05 * first.norm().item<double>());
  // Without a step of the weights there is no difference.
  const at::Tensor still = moment(DartsOrder::second, 1e-9);
  EXPECT_LT((still - first).norm().item<double>(), 1e-6 * first.norm().item<double>());
}

/// Equations 7 and 8 of the source for a step of SGD with momentum and weight decay, by hand.
struct UnrolledByHand : Probe<Darts> {
  UnrolledByHand(const RunContext& context, const DartsSearchOptions& options)
      : Probe<Darts>(context, options) {
    for (const auto& [name, tensor] : learning()) {
      weights.push_back(tensor);
      momenta.push_back(at::zeros_like(tensor.detach()));
    }
  }
  at::Tensor loss_of(const Batch& batch) {
    MixedWeights mixed;
    for (std::size_t d = 0; d < 6; ++d) mixed.push_back(logits(d).softmax(0));
    return cross_entropy(forward(batch, mixed), batch.labels, 0);
  }
  at::Tensor decayed(std::size_t i, const at::Tensor& gradient) const {
    const TrainOptions& options = steps().options();
    return weights[i].dim() > 1 ? gradient + options.weight_decay * weights[i].detach() : gradient;
  }
  /// The weights as they are, but for `factor` times these directions.
  at::Tensor gradient_at(const Batch& batch, const std::vector<at::Tensor>& of,
                         const std::vector<at::Tensor>& directions, double factor,
                         std::vector<at::Tensor>* of_weights = nullptr) {
    const auto move = [&](double by) {
      const at::NoGradGuard no_grad;
      for (std::size_t i = 0; i < weights.size(); ++i) weights[i].add_(directions[i], by);
    };
    move(factor);
    std::vector<at::Tensor> found = torch::autograd::grad({loss_of(batch)}, of, {});
    move(-factor);
    const at::Tensor last = found.back();
    found.pop_back();
    if (of_weights != nullptr) *of_weights = found;
    return last;
  }
  void learn_architecture(const TrainStep& step) override {
    const TrainOptions& options = steps().options();
    const Batch batch = step.batch({8, 8}), held = step.second_batch({8, 8});
    const at::Tensor alpha = parameters().values();
    std::vector<at::Tensor> taken = torch::autograd::grad({loss_of(batch)}, weights, {});
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const at::Tensor gradient = decayed(i, taken[i]);
      const at::Tensor momentum = options.momentum * momenta[i] + gradient;
      taken[i] = options.nesterov ? gradient + options.momentum * momentum : momentum;
    }
    std::vector<at::Tensor> all = weights, direction;
    all.push_back(alpha);
    const at::Tensor direct = gradient_at(held, all, taken, -step.learning_rate(), &direction);
    double squares = 0;
    for (const at::Tensor& v : direction) squares += v.square().sum().item<double>();
    const double epsilon = 0.01 / std::sqrt(squares);
    const at::Tensor second = (gradient_at(batch, {alpha}, direction, epsilon) -
                               gradient_at(batch, {alpha}, direction, -epsilon)) /
                              (2 * epsilon);
    const at::Tensor wanted =
        direct - step.learning_rate() * (options.nesterov ? 1 + options.momentum : 1) * second;
    const at::Tensor before = parameters().tensors().at("alpha.mean").clone();
    Probe<Darts>::learn_architecture(step);
    const at::Tensor got = parameters().tensors().at("alpha.mean") * 2 - before;
    EXPECT_LT((got - wanted).abs().max().item<double>(), 1e-9);
    EXPECT_GT((direct - wanted).abs().max().item<double>(), 1e-3);
    ++seen;
  }
  Learned learn_weights(const TrainStep& step) override {
    const Learned learned = Probe<Darts>::learn_weights(step);
    for (std::size_t i = 0; i < weights.size(); ++i) {
      momenta[i] = steps().options().momentum * momenta[i] + decayed(i, weights[i].grad());
    }
    return learned;
  }
  using Darts::learning;
  using Darts::steps;
  std::vector<at::Tensor> weights, momenta;
  int seen = 0;
};

TEST(Darts, TheSecondOrderUnrollsTheStepThatIsTaken) {
  for (const bool nesterov : {false, true}) {
    SmallSearch small(small_cells(), 1, 120);
    RunContext context = small.context;
    context.shared_training = make_shared_training(small.net, small.space, small_data(120),
                                                   {.train = {.epochs = 1,
                                                              .batch_size = 20,
                                                              .learning_rate = 0.1,
                                                              .nesterov = nesterov,
                                                              .weight_decay = 0.1,
                                                              .schedule = ScheduleKind::constant},
                                                    .rule = RuleKind::strategy});
    DartsSearchOptions options;
    options.order = DartsOrder::second;
    options.architecture_weight_decay = 0;
    options.eigenvalue_every = 0;
    UnrolledByHand search(context, options);
    search.spread();
    one_epoch(search);
    EXPECT_EQ(search.seen, 2);  // the second one with momentum
  }
}

TEST(Darts, TheArchitectureLearnsOnImagesOfItsOwn) {
  struct Seen : Probe<Darts> {
    using Probe<Darts>::Probe;
    void learn_architecture(const TrainStep& step) override {
      add(architecture_batch(step), of_architecture);
      Probe<Darts>::learn_architecture(step);
    }
    Learned learn_weights(const TrainStep& step) override {
      add(step.batch({8, 8}), of_weights);
      return Probe<Darts>::learn_weights(step);
    }
    static void add(const Batch& batch, std::set<double>& to) {
      const at::Tensor sums = batch.images.flatten(1).abs().sum(1).contiguous();
      to.insert(sums.data_ptr<double>(), sums.data_ptr<double>() + sums.numel());
    }
    using Darts::architecture_batch;
    std::set<double> of_architecture, of_weights;
  };
  SmallSearch small(small_cells(), 1);
  DartsSearchOptions options;
  options.eigenvalue_every = 0;
  Seen search(small.context, options);
  one_epoch(search);
  EXPECT_EQ(search.of_weights.size(), 80U);
  EXPECT_GT(search.of_architecture.size(), 20U);
  for (const double image : search.of_architecture) EXPECT_FALSE(search.of_weights.contains(image));
}

TEST(Darts, TheSecondOrderNeedsSgd) {
  SmallSearch small(small_cells());
  RunContext context = small.context;
  context.shared_training = make_shared_training(
      small.net, small.space, small_data(),
      {.train = {.batch_size = 20, .optimizer = OptimizerKind::adamw}, .rule = RuleKind::strategy});
  DartsSearchOptions options;
  options.order = DartsOrder::second;
  EXPECT_THAT(throws<ConfigError>([&] { const Darts search(context, options); }),
              HasSubstr("unrolls a step of \"sgd\""));
}

TEST(PcDarts, GradientsAreExact) {
  PcDartsOptions options;
  options.channel_share = 2;
  expect_gradients_on<PcDarts>(small_cells(), options);
  expect_gradients_on<PcDarts>(small_darts(), options);
}

TEST(PcDarts, OperatorsSeeAShareAndEdgesAreNormalized) {
  SmallSearch small(small_darts());
  PcDartsOptions options;
  options.channel_share = 2;
  Probe<PcDarts> search(small.context, options);
  search.spread();
  const MixedWeights weights = search.relaxed(search.pass_of(0, 2));
  for (std::size_t d = 0; d < weights.size(); ++d) {
    if (search.parameters().decisions()[d].pick == 1) continue;
    EXPECT_NEAR(weights[d].sum().item<double>(), 1, 1e-12);
    EXPECT_LT(weights[d].min().item<double>(), 0.4);  // not all alike
  }
  // What lies beyond the share has no gradient.
  small.net.train();
  small.net.zero_grad();
  cross_entropy(search.forward(small_batch(), weights), small_batch().labels, 0).backward();
  const at::Tensor gradient = small.net.tensor("cell0.edge0_2.sep_conv_3x3.conv.weight").grad();
  ASSERT_TRUE(gradient.defined());
  EXPECT_GT(gradient.narrow(0, 0, gradient.size(0) / 2).abs().max().item<double>(), 0);
  EXPECT_EQ(
      gradient.narrow(0, gradient.size(0) / 2, gradient.size(0) / 2).abs().max().item<double>(), 0);
  // Edges count by their own weight, too.
  const at::NoGradGuard no_grad;
  at::Tensor values = search.parameters().values();
  values.zero_();
  std::size_t node = 0;
  while (search.parameters().decisions()[node].name != "normal.node5.inputs") ++node;
  values[search.place(node, 3)] = 2;
  values[search.place(node, 1)] = 1;
  EXPECT_EQ(search.derive().choices[node], rank_subset(std::array{1U, 3U}));
}

TEST(PcDarts, RefusesSpacesWhoseChannelsItCannotShare) {
  SmallSearch small(small_cells());
  PcDartsOptions options;
  options.channel_share = 3;
  EXPECT_THAT(throws<UnsupportedError>([&] { const PcDarts search(small.context, options); }),
              HasSubstr("partial channels need a choice between operators"));
}

TEST(FairDarts, GradientsAreExact) {
  expect_gradients_on<FairDarts>(small_cells(), FairDartsOptions{});
  expect_gradients_on<FairDarts>(small_darts(), FairDartsOptions{});
}

TEST(FairDarts, OptionsDoNotCompete) {
  SmallSearch small(small_cells());
  Probe<FairDarts> search(small.context, FairDartsOptions{});
  const MixedWeights before = search.relaxed(search.pass_of(0, 2));
  {
    const at::NoGradGuard no_grad;
    at::Tensor values = search.parameters().values();
    values[3] = 4;
  }
  const MixedWeights after = search.relaxed(search.pass_of(0, 2));
  EXPECT_NEAR(after[0][3].item<double>(), 1 / (1 + std::exp(-4)), 1e-12);
  for (const std::int64_t other : {1, 2, 4}) {
    EXPECT_EQ(after[0][other].item<double>(), before[0][other].item<double>());
    EXPECT_EQ(after[0][other].item<double>(), 0.5);
  }
  // Above the threshold it stays, the other edges are closed.
  EXPECT_EQ(search.derive(), small.space->canonical({{3, 0, 0, 0, 0, 0}}));
}

TEST(FairDarts, WeightsAreDrawnToZeroOrOne) {
  SmallSearch small(small_cells());
  FairDartsOptions options;
  options.zero_one_weight = 10;
  Probe<FairDarts> search(small.context, options);
  {
    const at::NoGradGuard no_grad;
    at::Tensor values = search.parameters().values();
    values[search.place(2, 3)] = std::log(3.0);   // a weight of 3/4
    values[search.place(5, 1)] = -std::log(4.0);  // of 1/5
  }
  // 30 options; the others are at 1/2.
  EXPECT_NEAR(search.architecture_penalty().item<double>(), -10 * (0.25 * 0.25 + 0.3 * 0.3) / 30,
              1e-12);
}

TEST(FairDarts, MeetsACost) {
  SmallSearch small(small_cells());
  FairDartsOptions options;
  options.eigenvalue_every = 0;
  options.architecture_learning_rate = 0.05;
  options.cost = CostOptions{.metric = "macs", .target = 100'000, .form = CostForm::power};
  // Options that are alike are as probable as each other.
  Probe<Darts> darts(with_macs(small.context), [] {
    DartsSearchOptions plain;
    plain.cost = CostOptions{.metric = "macs", .target = 100'000, .form = CostForm::power};
    return plain;
  }());
  Probe<FairDarts> fresh(with_macs(small.context), options);
  fresh.spread(1, 0);
  darts.spread(1, 0);
  const auto cost = [](const auto& one) {
    return one.architecture_loss(at::ones({}, at::kDouble)).template item<double>();
  };
  EXPECT_NEAR(cost(fresh), cost(darts), 1e-12);
  options.cost = CostOptions{.metric = "macs", .target = 100'000, .weight = 0.2};
  SmallSearch longer(small_cells(), 12);
  FairDarts search(with_macs(longer.context), options);
  const std::vector<Candidate> all = all_epochs(search);
  const double first = number(all[0].notes, "expected_cost");
  const double last = number(all.back().notes, "expected_cost");
  EXPECT_LT(first, 70'000);
  EXPECT_NEAR(last, 100'000, 15'000) << first;
}

TEST(FairDarts, RefusesDecisionsOnNumbers) {
  ChainOptions chain;
  chain.input = {1, 8, 8};
  chain.classes = 4;
  chain.stages = {{.widths = {4, 8}, .depths = {1, 2}, .kernels = {3, 5}}};
  SmallSearch small(make_chain(chain));
  EXPECT_THAT(
      throws<UnsupportedError>([&] { const FairDarts search(small.context, FairDartsOptions{}); }),
      HasSubstr("\"fair_darts\" weighs options by sigmoids, but decision '"));
}

TEST(DrNas, TheGradientGoesThroughTheDraw) {
  // The mean of draws is c / sum c, and so is the mean of their gradients that of this.
  const at::Tensor c = at::tensor({0.5, 1.0, 2.5}, at::kDouble).set_requires_grad(true);
  const at::Tensor f = at::tensor({1.0, -2.0, 0.5}, at::kDouble);
  Rng rng(1);
  at::Tensor mean = at::zeros({3}, at::kDouble), gradient = at::zeros({3}, at::kDouble);
  constexpr int draws = 20000;
  for (int i = 0; i < draws; ++i) {
    const at::Tensor x = draw_dirichlet(c, rng);
    EXPECT_NEAR(x.sum().item<double>(), 1, 1e-9);
    mean += x.detach() / draws;
    gradient += torch::autograd::grad({x.dot(f)}, {c}, {})[0] / draws;
  }
  const at::Tensor expectation = c / c.sum();
  EXPECT_LT((mean - expectation).abs().max().item<double>(), 0.01);
  const at::Tensor wanted = torch::autograd::grad({expectation.dot(f)}, {c}, {})[0];
  EXPECT_LT((gradient - wanted).abs().max().item<double>(), 0.02);

  SmallSearch small(small_cells());
  Probe<DrNas> search(small.context, DrNasOptions{});
  search.spread();
  const MixedWeights one = search.relaxed(search.pass_of(0, 2, 1));
  const MixedWeights two = search.relaxed(search.pass_of(0, 2, 2));
  EXPECT_NEAR(one[0].sum().item<double>(), 1, 1e-9);
  EXPECT_GT((one[0] - two[0]).abs().max().item<double>(), 1e-3);
  EXPECT_TRUE(one[0].requires_grad());
}

TEST(DrNas, OptionsCountByTheMeanOfTheirDraws) {
  SmallSearch small(small_cells());
  Probe<DrNas> search(small.context, DrNasOptions{});
  {
    const at::NoGradGuard no_grad;
    at::Tensor values = search.parameters().values();
    values.zero_();
    // Concentrations elu + 1 of 3, 1, 1/e, 1 and e^-2; the softmax is nearer to one of them.
    values[search.place(2, 0)] = 2;
    values[search.place(2, 2)] = -1;
    values[search.place(2, 4)] = -2;
  }
  const at::Tensor c = at::tensor({3.0, 1.0, std::exp(-1.0), 1.0, std::exp(-2.0)}, at::kDouble);
  const at::Tensor mean = c / c.sum();
  const at::NoGradGuard no_grad;
  EXPECT_LT((search.expected_weights()[2] - mean).abs().max().item<double>(), 1e-12);
  for (const auto part : {Probe<DrNas>::Part::weights, Probe<DrNas>::Part::architecture}) {
    at::Tensor sum = at::zeros({5}, at::kDouble), squares = at::zeros({5}, at::kDouble);
    constexpr int draws = 4000;
    for (int i = 0; i < draws; ++i) {
      const at::Tensor w =
          search.relaxed(search.pass_of(0, 2, static_cast<std::uint64_t>(i), part))[2];
      sum += w / draws;
      squares += w.square() / draws;
    }
    EXPECT_LT((sum - mean).abs().max().item<double>(), 0.02);
    // What the sum of the concentrations is shows in how far draws spread.
    const at::Tensor variance = mean * (1 - mean) / (c.sum() + 1);
    EXPECT_LT((squares - sum.square() - variance).abs().max().item<double>(), 0.005);
  }
}

TEST(DrNas, TheDivergenceIsThatFromTheFlatDistribution) {
  SmallSearch small(small_cells());
  DrNasOptions options;
  options.kl_weight = 0.5;
  Probe<DrNas> search(small.context, options);
  search.spread(4, 1e-9);
  EXPECT_NEAR(search.architecture_penalty().item<double>(), 0, 1e-9);
  {
    // Of Dirichlet(2, 1, 1, 1, 1) it is ln 5 - (1/2 + 1/3 + 1/4 + 1/5), of none that is at 1 zero.
    const at::NoGradGuard no_grad;
    at::Tensor values = search.parameters().values();
    values.zero_();
    values[search.place(3, 2)] = 1;
  }
  EXPECT_NEAR(search.architecture_penalty().item<double>(),
              0.5 * (std::log(5.0) - (1 / 2.0 + 1 / 3.0 + 1 / 4.0 + 1 / 5.0)), 1e-9);
  search.spread(4, 1);
  const at::Tensor alpha = search.parameters().values();
  const at::Tensor got = torch::autograd::grad({search.architecture_penalty()}, {alpha}, {})[0];
  const at::Tensor wanted =
      numeric_gradient([&] { return search.architecture_penalty().item<double>(); }, alpha);
  EXPECT_LT((got - wanted).abs().max().item<double>(), 1e-6);
  EXPECT_GT(search.architecture_penalty().item<double>(), 0.1);
}

TEST(DartsMinus, GradientsAreExact) {
  expect_gradients_on<DartsMinus>(small_cells(), DartsMinusOptions{});
}

TEST(DartsMinus, TheAuxiliarySkipFades) {
  SmallSearch small(small_cells(), 4);
  Probe<DartsMinus> search(small.context, DartsMinusOptions{});
  search.spread();
  for (const int epoch : {0, 1, 3}) {
    const MixedWeights weights = search.relaxed(search.pass_of(epoch, 4));
    for (std::size_t d = 0; d < weights.size(); ++d) {
      const at::Tensor p = search.logits(d).softmax(0);
      at::Tensor wanted = p.clone();
      wanted[1] += 1 - epoch / 4.0;  // the skip
      EXPECT_LT((weights[d] - wanted).abs().max().item<double>(), 1e-12);
    }
  }
  // What is noted is noted of what is trained: behind the third epoch, of that one.
  for (int epoch = 0; epoch < 3; ++epoch) one_epoch(search);
  const MixedWeights trained = search.trained_weights();
  const MixedWeights last = search.relaxed(search.pass_of(2, 4));
  for (std::size_t d = 0; d < trained.size(); ++d) {
    EXPECT_LT((trained[d] - last[d]).abs().max().item<double>(), 1e-12) << d;
  }
  // What is derived does not know it.
  const at::NoGradGuard no_grad;
  at::Tensor values = search.parameters().values();
  values.zero_();
  values[3] = 0.1;
  EXPECT_EQ(search.derive().choices[0], 3U);
}

TEST(DartsMinus, NeedsASkip) {
  SupergraphBuilder b;
  const NodeId x = b.input(1, 8, 8);
  const std::array options{b.conv(x, 4, {.kernel = 3}), b.conv(x, 4, {.kernel = 5})};
  const DecisionId d = b.decide({.name = "d", .options = {"3", "5"}});
  b.output(b.linear(b.flatten(b.global_avg_pool(b.choice(d, options))), 4));
  SmallSearch small(std::make_shared<SupergraphSpace>(b.finish()));
  EXPECT_THAT(throws<UnsupportedError>(
                  [&] { const DartsMinus search(small.context, DartsMinusOptions{}); }),
              HasSubstr("no decision of this space has one"));
}

}  // namespace
}  // namespace espalier
