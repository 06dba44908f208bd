#include "strategies/sampled_paths.hpp"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "tests/core/throws.hpp"
#include "tests/strategies/differentiable_probe.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

TEST(Proxyless, TwoPathsHaveNoRewards) {
  SmallSearch small(small_cells());
  ProxylessOptions options;
  options.samples = 3;
  EXPECT_THAT(throws<ConfigError>([&] { const Proxyless search(small.context, options); }),
              testing::StartsWith("/samples: \"two_paths\" learns from no rewards"));
  options.samples.reset();
  options.baseline = 0.5;
  EXPECT_THAT(throws<ConfigError>([&] { const Proxyless search(small.context, options); }),
              testing::StartsWith("/baseline: \"two_paths\" learns from no rewards"));
}

TEST(SampledPaths, ConcreteDrawsHaveTheirProbabilities) {
  const at::Tensor logits = at::tensor({0.0, 1.0, -1.0}, at::kDouble);
  Rng rng(1);
  std::array<int, 3> counts{};
  constexpr int draws = 20000;
  for (int i = 0; i < draws; ++i) {
    const at::Tensor w = draw_concrete(logits, 0.5, rng);
    EXPECT_NEAR(w.sum().item<double>(), 1, 1e-12);
    ++counts[static_cast<std::size_t>(w.argmax(0).item<std::int64_t>())];
  }
  const at::Tensor p = logits.softmax(0);
  for (std::size_t k = 0; k < 3; ++k) {
    EXPECT_NEAR(counts[k] / double(draws), p[static_cast<std::int64_t>(k)].item<double>(), 0.015);
  }
  // Cold draws are almost one-hot, hot ones almost even.
  EXPECT_GT(draw_concrete(logits, 0.01, rng).max().item<double>(), 0.99);
  EXPECT_LT(draw_concrete(logits, 1000, rng).max().item<double>(), 0.34);
}

template <class S, class Options>
void expect_draws_by_probabilities(const Options& options) {
  SmallSearch small(small_cells());
  Probe<S> search(small.context, options);
  search.spread();
  const at::NoGradGuard no_grad;
  constexpr int draws = 3000;
  at::Tensor counts = at::zeros({5}, at::kDouble);
  for (std::uint64_t i = 0; i < draws; ++i) {
    counts += search.relaxed(search.pass_of(0, 2, i))[2] / draws;
  }
  const at::Tensor p = search.logits(2).softmax(0);
  EXPECT_LT((counts - p).abs().max().item<double>(), 0.03);
  EXPECT_GT((p - 0.2).abs().max().item<double>(), 0.1);  // not all alike
}

TEST(SampledPaths, OptionsAreDrawnByTheirProbabilities) {
  expect_draws_by_probabilities<Gdas>(GdasOptions{});
  expect_draws_by_probabilities<Dsnas>(DsnasOptions{});
  expect_draws_by_probabilities<Proxyless>(ProxylessOptions{});
}

TEST(Gdas, OnlyTheSampledOptionIsComputedAndItsWeightHasTheConcreteGradient) {
  SmallSearch small(small_cells(), 3);
  Probe<Gdas> search(small.context, GdasOptions{});
  search.spread();
  const auto pass = search.pass_of(1, 3);
  const MixedWeights weights = search.relaxed(pass);
  for (const at::Tensor& w : weights) {
    EXPECT_EQ((w != 0).sum().item<std::int64_t>(), 1);
    EXPECT_NEAR(w.sum().item<double>(), 1, 1e-12);
  }
  // Weights of operators that were not sampled have no gradient.
  small.net.train();
  small.net.zero_grad();
  const Batch batch = small_batch();
  const at::Tensor alpha = search.parameters().values();
  alpha.mutable_grad().reset();
  cross_entropy(search.forward(batch, weights), batch.labels, 0).backward();
  int with = 0, without = 0;
  for (const auto& [name, weight] : small.net.parameters()) {
    if (name.find("nor_conv") == std::string::npos || weight.dim() < 4) continue;
    ++(weight.grad().defined() ? with : without);
  }
  EXPECT_GT(without, with);
  EXPECT_GT(with, 0);

  // With G the derivative of the loss in the sampled option's factor and q the soft weights of the
  // same noise, G dq/dalpha is the gradient, also in the options that were not sampled.
  std::vector<at::Tensor> factors;
  MixedWeights hard;
  for (const at::Tensor& w : weights) {
    factors.push_back(w.detach().clone().set_requires_grad(true));
    hard.push_back(factors.back());
  }
  const auto of_factors = torch::autograd::grad(
      {cross_entropy(search.forward(batch, hard), batch.labels, 0)}, factors, {});
  constexpr double temperature = (10 + 0.1) / 2;
  const auto value = [&] {
    double sum = 0;
    for (std::size_t d = 0; d < factors.size(); ++d) {
      Rng rng = pass.rng.fork(d);
      const std::int64_t sampled = factors[d].argmax(0).item<std::int64_t>();
      sum += of_factors[d][sampled].item<double>() *
             draw_concrete(search.logits(d), temperature, rng)[sampled].item<double>();
    }
    return sum;
  };
  const at::Tensor wanted = numeric_gradient(value, alpha);
  EXPECT_LT((alpha.grad() - wanted).abs().max().item<double>(), 1e-7);
  EXPECT_GT(wanted.abs().max().item<double>(), 1e-4);
}

TEST(Snas, GradientsAreExact) {
  SmallSearch small(small_cells(), 4);
  Probe<Snas> search(small.context, SnasOptions{});
  search.spread();
  expect_exact_gradients<Snas>(small, search, search.pass_of(1, 4));
}

TEST(Snas, TheTemperatureFallsAlongALine) {
  SmallSearch small(small_cells(), 5);
  SnasOptions options;
  options.first_temperature = 2;
  options.last_temperature = 0.4;
  Probe<Snas> search(small.context, options);
  search.spread();
  for (const int epoch : {0, 1, 4}) {
    const auto pass = search.pass_of(epoch, 5);
    Rng rng = pass.rng.fork(0);
    EXPECT_LT((search.relaxed(pass)[0] - draw_concrete(search.logits(0), 2 - 0.4 * epoch, rng))
                  .abs()
                  .max()
                  .item<double>(),
              1e-12);
  }
}

TEST(Snas, OneLossTeachesBothOnTheSameImages) {
  // The architecture's gradient is that of the loss of the images that the weights learn from, by
  // the same draw; of several batches, the mean.
  struct Seen : Probe<Snas> {
    using Probe<Snas>::Probe;
    Learned learn_weights(const TrainStep& step) override {
      const at::Tensor alpha = parameters().values();
      const Batch batch = step.batch({8, 8});
      const at::Tensor loss =
          cross_entropy(forward(batch, relaxed(pass(step, Part::weights))), batch.labels, 0);
      gradients.push_back(torch::autograd::grad({loss}, {alpha}, {})[0]);
      return Probe<Snas>::learn_weights(step);
    }
    std::vector<at::Tensor> gradients;
  };
  SnasOptions options;
  options.architecture_weight_decay = 0;
  options.eigenvalue_every = 0;
  for (const int batches : {1, 2}) {
    SmallSearch small(small_cells(), 1);
    RunContext context = small.context;
    // All 160 training images in one step.
    context.shared_training = make_shared_training(
        small.net, small.space, small_data(),
        {.train = {.epochs = 1, .batch_size = 160 / batches, .accumulate = batches},
         .rule = RuleKind::strategy});
    Seen search(context, options);
    EXPECT_EQ(search.ask(1).size(), 1U);
    ASSERT_EQ(search.gradients.size(), static_cast<std::size_t>(batches));
    const at::Tensor wanted = at::stack(search.gradients).mean(0);
    const at::Tensor got = search.parameters().tensors().at("alpha.mean") * 2;
    EXPECT_LT((got - wanted).abs().max().item<double>(), 1e-9);
    EXPECT_GT(wanted.abs().max().item<double>(), 1e-4);
  }
  options.architecture_share = 0.5;
  SmallSearch small(small_cells(), 1);
  EXPECT_THAT(throws<ConfigError>([&] { const Snas other(small.context, options); }),
              HasSubstr("by one loss on the same images; write 0"));
}

TEST(Snas, ACostTeachesTheArchitectureAlone) {
  // As a factor of the loss, it would change the step of the weights, too.
  const auto after = [](std::optional<CostOptions> cost) {
    SmallSearch small(small_cells(), 1);
    RunContext context = with_macs(small.context);
    context.shared_training = make_shared_training(
        small.net, small.space, small_data(),
        {.train = {.epochs = 1, .batch_size = 160}, .rule = RuleKind::strategy});
    SnasOptions options;
    options.eigenvalue_every = 0;
    options.cost = std::move(cost);
    Probe<Snas> search(context, options);
    EXPECT_EQ(search.ask(1).size(), 1U);
    return std::pair(small.net.tensor("head.linear.weight").detach().clone(),
                     search.parameters().tensors().at("alpha.mean").clone());
  };
  const auto [weights, mean] = after(std::nullopt);
  for (const CostForm form : {CostForm::hinge, CostForm::power}) {
    const auto [other_weights, other_mean] =
        after(CostOptions{.metric = "macs", .target = 40'000, .form = form});
    EXPECT_TRUE(weights.equal(other_weights));
    EXPECT_GT((mean - other_mean).abs().max().item<double>(), 1e-4);
  }
}

TEST(Snas, TheArchitectureLearnsAsOftenAsItIsTold) {
  const auto steps = [](int every) {
    SmallSearch small(small_cells(), 1);
    SnasOptions options;
    options.architecture_every = every;
    options.eigenvalue_every = 0;
    Probe<Snas> search(small.context, options);
    EXPECT_EQ(search.ask(1).size(), 1U);
    return search.parameters().tensors().at("alpha.steps").max().item<double>();
  };
  EXPECT_EQ(steps(1), 8);  // of 160 images, 20 each
  EXPECT_EQ(steps(4), 2);
}

TEST(Fbnet, GradientsAreExact) {
  SmallSearch small(small_cells(), 4);
  Probe<Fbnet> search(small.context, FbnetSearchOptions{});
  search.spread();
  expect_exact_gradients<Fbnet>(small, search, search.pass_of(2, 4));
}

TEST(Fbnet, TheTemperatureFallsByAFactor) {
  SmallSearch small(small_cells(), 4);
  FbnetSearchOptions options;
  options.temperature_decay = 0.5;
  Probe<Fbnet> search(small.context, options);
  search.spread();
  const auto pass = search.pass_of(3, 4);
  Rng rng = pass.rng.fork(0);
  EXPECT_LT((search.relaxed(pass)[0] - draw_concrete(search.logits(0), 5 * 0.125, rng))
                .abs()
                .max()
                .item<double>(),
            1e-12);
}

TEST(Dsnas, TheGradientIsTheFactorsDerivativeTimesThatOfTheLogProbability) {
  // One step on all images, without a step of the weights: the moments are half the gradient.
  SmallSearch small(small_cells(), 1);
  DsnasOptions options;
  options.eigenvalue_every = 0;
  RunContext context = small.context;
  context.shared_training =
      make_shared_training(small.net, small.space, small_data(),
                           {.train = {.epochs = 1, .batch_size = 160, .learning_rate = 1e-12},
                            .rule = RuleKind::strategy});

  struct Seen : Probe<Dsnas> {
    using Probe<Dsnas>::Probe;
    at::Tensor relax(const at::Tensor& logits, const RelaxedDecision& decision,
                     Pass& pass) override {
      const at::Tensor w = Dsnas::relax(logits, decision, pass);
      weights.push_back(w);
      return w;
    }
    Learned learn_weights(const TrainStep& step) override {
      weights.clear();
      batch = step.batch({8, 8});
      alpha = parameters().values().detach().clone();
      return Probe<Dsnas>::learn_weights(step);
    }
    MixedWeights weights;
    Batch batch;
    at::Tensor alpha;
  };
  Seen search(context, options);
  EXPECT_EQ(search.ask(1).size(), 1U);
  const at::Tensor got = search.parameters().tensors().at("alpha.mean") * 2;

  small.net.train();
  std::vector<at::Tensor> factors;
  MixedWeights weights;
  for (const at::Tensor& w : search.weights) {
    EXPECT_EQ(w.sum().item<double>(), 1);
    factors.push_back(w.detach().clone().set_requires_grad(true));
    weights.push_back(factors.back());
  }
  const auto of_factors = torch::autograd::grad(
      {cross_entropy(search.forward(search.batch, weights), search.batch.labels, 0)}, factors, {},
      c10::nullopt, false, /*allow_unused=*/true);
  int seen = 0;
  for (std::size_t d = 0; d < factors.size(); ++d) {
    if (!of_factors[d].defined()) {  // nothing reads the edge
      EXPECT_EQ(search.parameters().part(got, d).abs().max().item<double>(), 0);
      continue;
    }
    ++seen;
    const at::Tensor p = search.parameters().part(search.alpha, d).softmax(0);
    const double r = (of_factors[d] * factors[d].detach()).sum().item<double>();
    const at::Tensor wanted = r * (factors[d].detach() - p);
    EXPECT_LT((search.parameters().part(got, d) - wanted).abs().max().item<double>(), 1e-7);
  }
  EXPECT_GT(seen, 2);
}

struct SeenStep : Probe<Proxyless> {
  using Probe<Proxyless>::Probe;
  void learn_architecture(const TrainStep& step) override {
    before.push_back(parameters().values().detach().clone());
    Probe<Proxyless>::learn_architecture(step);
    after.push_back(parameters().values().detach().clone());
  }
  std::vector<at::Tensor> before, after;
};

/// The architecture learns in each step, on half of the images.
ProxylessOptions in_each_step() {
  ProxylessOptions options;
  options.architecture_every = 1;
  options.architecture_share = 0.5;
  options.warmup = 0;
  options.eigenvalue_every = 0;
  return options;
}

TEST(Proxyless, TwoPathsLearnByTheirGates) {
  // The gradient is the sum, over the pair, of the loss's derivative in an option's gate times the
  // gradient of its probability among the two.
  struct Gated : SeenStep {
    using SeenStep::SeenStep;
    void learn_architecture(const TrainStep& step) override {
      SeenStep::learn_architecture(step);
      if (before.size() > 1) return;
      const at::Tensor got = parameters().tensors().at("alpha.mean");
      const at::NoGradGuard no_grad;
      const Batch batch = architecture_batch(step);
      const Pass own = pass(step, Part::architecture);
      const std::size_t decisions = parameters().decisions().size();
      MixedWeights gates;
      std::vector<std::array<std::size_t, 2>> pairs;
      std::vector<at::Tensor> logits;
      for (std::size_t d = 0; d < decisions; ++d) {
        logits.push_back(parameters().part(before[0], d));
        const at::Tensor p = logits[d].softmax(0).contiguous();
        std::vector<double> left(p.data_ptr<double>(), p.data_ptr<double>() + p.numel());
        Rng rng = own.rng.fork(d);
        const std::size_t first = rng.weighted(left);
        const double of_first = left[first];
        left[first] = 0;
        const std::size_t second = rng.weighted(left);
        const bool active = rng.bernoulli(of_first / (of_first + left[second]));
        gates.push_back(at::zeros_like(p));
        gates[d][static_cast<std::int64_t>(active ? first : second)] = 1;
        pairs.push_back({first, second});
      }
      const auto loss = [&] {
        return cross_entropy(forward(batch, gates), batch.labels, 0).item<double>();
      };
      for (std::size_t d = 0; d < decisions; ++d) {
        at::Tensor wanted = at::zeros_like(logits[d]);
        const at::Tensor places = at::tensor(
            {static_cast<std::int64_t>(pairs[d][0]), static_cast<std::int64_t>(pairs[d][1])});
        const at::Tensor p = logits[d].index_select(0, places).softmax(0);
        for (std::int64_t i = 0; i < 2; ++i) {
          constexpr double size = 1e-5;
          at::Tensor gate = gates[d][places[i].item<std::int64_t>()];
          const double value = gate.item<double>();
          gate.fill_(value + size);
          const double up = loss();
          gate.fill_(value - size);
          const double down = loss();
          gate.fill_(value);
          const at::Tensor slope = -p[i] * p;  // of the probability in the two numbers
          slope[i] += p[i];
          wanted.index_add_(0, places, (up - down) / (2 * size) * slope);
        }
        EXPECT_LT((parameters().part(got, d) - wanted).abs().max().item<double>(), 1e-6) << d;
        largest = std::max(largest, wanted.abs().max().item<double>());
      }
    }
    using SeenStep::architecture_batch;
    double largest = 0;
  };
  SmallSearch small(small_cells(), 1);
  Gated search(small.context, in_each_step());
  search.spread();
  EXPECT_EQ(search.ask(1).size(), 1U);
  EXPECT_GT(search.largest, 1e-3);
}

template <class S, class Options>
void expect_that_none_may_be_drawn(Options options) {
  SmallSearch small(small_darts(), 1, 64);
  options.eigenvalue_every = 0;
  options.warmup = 0;
  Probe<S> search(small.context, options);
  EXPECT_TRUE(search.parameters().none(0));
  EXPECT_EQ(all_epochs(search).size(), 1U);
}

TEST(SampledPaths, NoneMayBeDrawn) {
  expect_that_none_may_be_drawn<Gdas>(GdasOptions{});
  expect_that_none_may_be_drawn<Dsnas>(DsnasOptions{});
  ProxylessOptions proxyless;
  proxyless.architecture_every = 1;
  expect_that_none_may_be_drawn<Proxyless>(proxyless);
  proxyless.gradient = ProxylessGradient::reinforce;
  expect_that_none_may_be_drawn<Proxyless>(proxyless);
}

/// What the loss at the expected weights says, of the first step.
template <class S>
struct OfWeighedInputs : Probe<S> {
  using Probe<S>::Probe;
  void look(const Batch& batch) {
    const at::Tensor logits = this->forward(batch, this->expected_weights());
    if (!wanted.defined()) {
      wanted = this->architecture_gradient(cross_entropy(logits, batch.labels, 0));
    }
  }
  at::Tensor wanted;
};

TEST(SampledPaths, InputsThatAreWeighedLearnByThePass) {
  // What is drawn has no part in this space; a cost has, by the inputs' weights.
  const auto space = two_of_three();
  const auto context_of = [&](SmallSearch& small, int batch) {
    RunContext context = with_macs(small.context);
    context.shared_training =
        make_shared_training(small.net, small.space, small_data(),
                             {.train = {.epochs = 1, .batch_size = batch, .learning_rate = 1e-12},
                              .rule = RuleKind::strategy});
    return context;
  };
  const CostOptions cost{.metric = "macs",
                         .target = static_cast<double>(space->quick_cost(Architecture{{0}}).macs),
                         .form = CostForm::hinge,
                         .weight = 0.1};
  const auto expect_near = [](const at::Tensor& got, const at::Tensor& wanted) {
    EXPECT_LT((got - wanted).abs().max().item<double>(), 1e-9);
    EXPECT_GT(wanted.abs().min().item<double>(), 1e-4);
  };
  {
    struct Seen : OfWeighedInputs<Dsnas> {
      using OfWeighedInputs<Dsnas>::OfWeighedInputs;
      Learned learn_weights(const TrainStep& step) override {
        look(step.batch({8, 8}));
        return Dsnas::learn_weights(step);
      }
    };
    SmallSearch small(space, 1);
    DsnasOptions options;
    options.eigenvalue_every = 0;
    options.cost = cost;
    Seen search(context_of(small, 160), options);
    EXPECT_EQ(search.ask(1).size(), 1U);
    expect_near(search.parameters().tensors().at("alpha.mean") * 2, search.wanted);
  }
  struct Seen : OfWeighedInputs<Proxyless> {
    using OfWeighedInputs<Proxyless>::OfWeighedInputs;
    void learn_architecture(const TrainStep& step) override {
      look(architecture_batch(step));
      Proxyless::learn_architecture(step);
    }
    using Proxyless::architecture_batch;
  };
  SmallSearch small(space, 1);
  ProxylessOptions options = in_each_step();
  options.cost = cost;
  Seen search(context_of(small, 80), options);
  EXPECT_EQ(search.ask(1).size(), 1U);
  expect_near(search.parameters().tensors().at("alpha.mean"), search.wanted);
}

TEST(Proxyless, TwoPathsLeaveTheOthersProbabilities) {
  for (const bool with_cost : {false, true}) {
    SmallSearch small(small_cells(), 1);
    ProxylessOptions options = in_each_step();
    options.architecture_learning_rate = 0.1;
    if (with_cost) {
      options.cost =
          CostOptions{.metric = "macs", .target = 60'000, .form = CostForm::hinge, .weight = 9};
    }
    SeenStep search(with_macs(small.context), options);
    search.spread();
    EXPECT_EQ(search.ask(1).size(), 1U);
    ASSERT_EQ(search.before.size(), 4U);
    int moved = 0;
    for (std::size_t i = 0; i < search.before.size(); ++i) {
      for (std::size_t d = 0; d < 6; ++d) {
        const at::Tensor p = search.parameters().part(search.before[i], d).softmax(0);
        const at::Tensor q = search.parameters().part(search.after[i], d).softmax(0);
        const at::Tensor change = (q - p).abs() > 1e-9;
        EXPECT_LE(change.sum().item<std::int64_t>(), 2);
        moved += static_cast<int>(change.sum().item<std::int64_t>());
      }
    }
    EXPECT_GT(moved, 24);
  }
}

TEST(Proxyless, ReinforceFollowsTheScoreFunction) {
  // The mean, over the samples, of their accuracy less its running mean, times the gradient of the
  // log probability of what they chose.
  constexpr std::size_t samples = 3;
  struct Rewarded : SeenStep {
    using SeenStep::SeenStep;
    at::Tensor relax(const at::Tensor& logits, const RelaxedDecision& decision,
                     Pass& pass) override {
      const at::Tensor gate = SeenStep::relax(logits, decision, pass);
      drawn.push_back(gate);
      return gate;
    }
    void learn_architecture(const TrainStep& step) override {
      drawn.clear();
      SeenStep::learn_architecture(step);
      const at::NoGradGuard no_grad;
      const Batch batch = architecture_batch(step);
      const std::size_t decisions = parameters().decisions().size();
      EXPECT_EQ(drawn.size(), samples * decisions);
      std::vector<double> rewards;
      double mean = 0;
      for (std::size_t i = 0; i < samples; ++i) {
        const MixedWeights gates(drawn.begin() + static_cast<std::ptrdiff_t>(i * decisions),
                                 drawn.begin() + static_cast<std::ptrdiff_t>((i + 1) * decisions));
        rewards.push_back(
            forward(batch, gates).argmax(1).eq(batch.labels).to(at::kDouble).mean().item<double>());
        mean += rewards.back() / samples;
      }
      running = before.size() == 1 ? mean : 0.75 * running + 0.25 * mean;
      for (std::size_t d = 0; d < decisions; ++d) {
        const at::Tensor p = parameters().part(before.back(), d).softmax(0);
        at::Tensor wanted = at::zeros_like(p);
        for (std::size_t i = 0; i < samples; ++i) {
          wanted -= (rewards[i] - running) / samples * (drawn[i * decisions + d] - p);
        }
        const at::Tensor got = parameters().part(parameters().tensors().at("alpha.mean"), d);
        EXPECT_LT((got - wanted).abs().max().item<double>(), 1e-12);
        largest = std::max(largest, wanted.abs().max().item<double>());
      }
    }
    using SeenStep::architecture_batch;
    MixedWeights drawn;
    double running = 0, largest = 0;
  };
  SmallSearch small(small_cells(), 2);
  ProxylessOptions options = in_each_step();
  options.gradient = ProxylessGradient::reinforce;
  options.samples = samples;
  options.baseline = 0.75;
  Rewarded search(small.context, options);
  search.spread();
  EXPECT_EQ(all_epochs(search).size(), 2U);
  EXPECT_EQ(search.before.size(), 8U);
  EXPECT_GT(search.largest, 1e-3);
}

}  // namespace
}  // namespace espalier
