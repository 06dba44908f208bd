#include "strategies/differentiable_search.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <optional>
#include <vector>

#include "core/error.hpp"
#include "search_spaces/regnet.hpp"
#include "strategies/darts.hpp"
#include "strategies/expected_cost.hpp"
#include "strategies/sampled_paths.hpp"
#include "tests/core/throws.hpp"
#include "tests/strategies/differentiable_probe.hpp"

namespace espalier {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(DifferentiableSearch, ThePowerIterationFindsTheLargestEigenvalue) {
  for (const double shift : {0.0, -30.0, 5.0}) {
    const at::Tensor root =
        at::randn({9, 9}, at::make_generator<at::CPUGeneratorImpl>(3), at::kDouble);
    const at::Tensor matrix = root + root.t() + shift * at::eye(9, at::kDouble);
    const double wanted = at::linalg_eigvalsh(matrix).max().item<double>();
    EXPECT_NEAR(largest_eigenvalue([&](const at::Tensor& v) { return matrix.mv(v); }, 9, Rng(1)),
                wanted, 0.02 * std::abs(wanted))
        << shift;
  }
  // Where one below 0 is as large, whatever it starts from.
  for (const double least : {-1.0, -0.99, 0.99}) {
    const at::Tensor matrix = at::diag(at::tensor({1.0, least, 0.3}, at::kDouble));
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
      EXPECT_NEAR(
          largest_eigenvalue([&](const at::Tensor& v) { return matrix.mv(v); }, 3, Rng(seed)), 1,
          0.02)
          << least << ' ' << seed;
    }
  }
  EXPECT_EQ(largest_eigenvalue([](const at::Tensor& v) { return 0 * v; }, 3, Rng(1)), 0);
  EXPECT_THROW(largest_eigenvalue([](const at::Tensor& v) { return v / 0.0; }, 3, Rng(1)),
               NumericalError);
}

TEST(DifferentiableSearch, TheEigenvalueIsThatOfTheWholeHessian) {
  struct Measured : Probe<Darts> {
    using Probe<Darts>::Probe;
    using DifferentiableSearch::steps;
  };
  SmallSearch small(small_cells(), 1);
  RunContext context = small.context;
  // So many images that the second share is one batch: all of it, whatever is drawn.
  context.shared_training =
      make_shared_training(small.net, small.space, small_data(),
                           {.train = {.epochs = 1, .batch_size = 80}, .rule = RuleKind::strategy});
  Measured search(context, DartsSearchOptions{});
  // Options that were dropped have no part in it.
  search.keep(2, std::vector<std::size_t>{1, 3});
  const std::vector<Candidate> asked = search.ask(1);
  ASSERT_EQ(asked.size(), 1U);

  // By rows, from double differentiation and against differences of the gradient.
  small.net.train();
  const at::Tensor alpha = search.parameters().values();
  const Batch batch = search.steps().draw(StepTraining::Images::second, {8, 8}, Rng(5));
  const auto gradient = [&](bool again) {
    return torch::autograd::grad(
        {cross_entropy(search.forward(batch, search.expected_weights()), batch.labels, 0)}, {alpha},
        {}, again, again)[0];
  };
  const at::Tensor g = gradient(true);
  std::vector<at::Tensor> rows;
  for (std::int64_t i = 0; i < g.numel(); ++i) {
    rows.push_back(torch::autograd::grad({g[i]}, {alpha}, {}, true)[0]);
  }
  const at::Tensor hessian = at::stack(rows);
  at::Tensor differences = at::empty_like(hessian);
  {
    at::Tensor values = alpha.detach();
    for (std::int64_t i = 0; i < alpha.numel(); ++i) {
      // So near that no activation changes its sign.
      values[i] += 1e-7;
      const at::Tensor up = gradient(false);
      values[i] -= 2e-7;
      const at::Tensor down = gradient(false);
      values[i] += 1e-7;
      differences[i] = (up - down) / 2e-7;
    }
  }
  EXPECT_LT((hessian - differences).abs().max().item<double>(), 1e-5);
  const double wanted = at::linalg_eigvalsh(hessian).max().item<double>();
  EXPECT_NEAR(number(asked[0].notes, "eigenvalue"), wanted, 0.02 * std::abs(wanted) + 1e-6);
}

TEST(EigenvalueGrowth, AsInTheAuthorsCode) {
  const EigenvalueGrowth growth;
  std::vector<double> values(6, 1.0);
  EXPECT_FALSE(growth.found(values));
  values.push_back(1);
  EXPECT_FALSE(growth.found(values));
  // The last window is (1, 1, 1, 1, 3), mean 1.4, that of four before (1, 1, 1).
  values.back() = 3;
  EXPECT_EQ(growth.found(values), 0U);
  values.back() = 2.4;  // 1.28
  EXPECT_FALSE(growth.found(values));
  // Nine values: the windows are those of values 4 to 8 and 0 to 4, the middle of which is 2.
  values = {1, 1, 1, 1, 1, 2, 2, 2, 2};
  EXPECT_EQ(growth.found(values), 2U);
  values = {-1, -1, -1, -1, -1, 2, 2, 2, 2};  // no ratio
  EXPECT_FALSE(growth.found(values));
}

TEST(DifferentiableSearch, AnEpochIsATrialAndTheLastOneCounts) {
  SmallSearch small(small_cells(), 3);
  Darts search(small.context, DartsSearchOptions{});
  for (int epoch = 1; epoch <= 3; ++epoch) {
    EXPECT_FALSE(search.finished());
    const std::vector<Candidate> asked = search.ask(4);
    ASSERT_EQ(asked.size(), 1U);
    EXPECT_DOUBLE_EQ(asked[0].fidelity, epoch / 3.0);
    EXPECT_EQ(asked[0].architecture, search.derive());
    const Notes& notes = asked[0].notes;
    EXPECT_GT(number(notes, "entropy"), 0.9);
    EXPECT_LE(number(notes, "entropy"), 1);
    EXPECT_NEAR(number(notes, "discretization_gap"),
                number(notes, "relaxed_accuracy") - number(notes, "derived_accuracy"), 1e-12);
    EXPECT_TRUE(search.ask(4).empty());
    search.tell(accuracy_trial(asked[0], 30));
  }
  EXPECT_TRUE(search.finished());
}

TEST(DifferentiableSearch, ASnapshotGoesOnBitByBit) {
  using Search = Probe<Darts>;
  const auto begin = [] {
    return running<Search>(std::make_shared<SmallSearch>(small_cells(), 4), DartsSearchOptions{});
  };
  EXPECT_EQ(epochs_through_a_snapshot<Search>(begin, 100),
            epochs_through_a_snapshot<Search>(begin, 2));
}

TEST(DifferentiableSearch, NormsOfWhatIsChosenLearnNoFactors) {
  for (const bool affine : {false, true}) {
    SmallSearch small(small_cells(), 1);
    DartsSearchOptions options;
    options.eigenvalue_every = 0;
    options.affine_norms = affine;
    Darts search(small.context, options);
    EXPECT_EQ(search.ask(1).size(), 1U);
    bool changed = false, other = false;
    for (const auto& [name, tensor] : small.net.parameters()) {
      if (!name.ends_with("bn.weight")) continue;
      const bool ones = tensor.eq(1).all().item<bool>();
      (name.find("nor_conv") == std::string::npos ? other : changed) |= !ones;
      EXPECT_TRUE(tensor.requires_grad()) << name;
    }
    EXPECT_EQ(changed, affine);
    EXPECT_TRUE(other);
  }
}

TEST(DifferentiableSearch, WeightsLearnAloneDuringTheWarmup) {
  SmallSearch small(small_cells(), 4);
  DartsSearchOptions options;
  options.warmup = 0.5;
  options.eigenvalue_every = 0;
  Probe<Darts> search(small.context, options);
  const at::Tensor before = search.parameters().values().detach().clone();
  for (int epoch = 0; epoch < 3; ++epoch) {
    EXPECT_EQ(search.parameters().values().detach().equal(before), epoch < 3);
    one_epoch(search);
  }
  EXPECT_FALSE(search.parameters().values().detach().equal(before));
}

TEST(DifferentiableSearch, TheArchitectureLearnsInSomeEpoch) {
  SmallSearch small(small_cells(), 4);
  DartsSearchOptions options;
  options.warmup = 0.9;
  EXPECT_THAT(throws<ConfigError>([&] { const Darts search(small.context, options); }),
              testing::StartsWith("/warmup: with a share of 0.9, weights would learn alone in all "
                                  "of 4 epochs"));
  options.warmup = 0.07;
  EXPECT_EQ(Probe<Darts>(small.context, options).warmup_epochs(100), 7);  // not 7 + 1e-15 of them
}

TEST(DifferentiableSearch, EigenvaluesCountFromWhenTheArchitectureLearns) {
  struct Measuring : Probe<Darts> {
    using Probe<Darts>::Probe;
    using DifferentiableSearch::measured;
  };
  SmallSearch small(small_cells(), 4);
  DartsSearchOptions options;
  options.warmup = 0.5;
  Measuring search(small.context, options);
  for (int epoch = 1; epoch <= 3; ++epoch) {
    EXPECT_GT(number(one_epoch(search).notes, "eigenvalue"), -1e9);  // it is noted
    EXPECT_EQ(std::ssize(search.measured()), epoch == 3 ? 1 : 0);
  }
  EXPECT_EQ(search.measured()[0].epoch, 3);
}

TEST(DifferentiableSearch, ARelaxationKeepsItsActivations) {
  SmallSearch small(small_cells());
  const auto training = make_shared_training(
      small.net, small.space, small_data(200),
      {.train = {.epochs = 2, .batch_size = 20, .activations = Activations::recomputed},
       .rule = RuleKind::strategy});
  RunContext context = small.context;
  context.shared_training = std::shared_ptr<SharedTraining>(small.training, training.get());
  EXPECT_THAT(throws<UnsupportedError>([&] { const Darts search(context, DartsSearchOptions{}); }),
              HasSubstr("leave \"activations\" of the evaluator's training out"));
}

TEST(DifferentiableSearch, EndsBeforeTheEigenvalueGrew) {
  // The loss of the architecture is made sharp from the sixth epoch on.
  struct Sharp : Probe<Darts> {
    using Probe<Darts>::Probe;
    void end_epoch(const Rng& rng) override {
      const at::NoGradGuard no_grad;
      at::Tensor values = parameters().values();
      values.zero_();
      values[this->place(0, static_cast<std::size_t>(this->training().trained_epochs()) % 3)] =
          0.01;
      if (this->training().trained_epochs() > 6) {
        for (const auto& [name, tensor] : this->learning()) {
          at::Tensor weight = tensor;
          if (name == "head.linear.weight") weight.mul_(8);
        }
      }
      Probe<Darts>::end_epoch(rng);
    }
    using DifferentiableSearch::learning;
    using WeightSharingSearch::training;
  };
  SmallSearch small(choices_in_a_row(2), 30);
  DartsSearchOptions options;
  options.early_stopping = true;
  Sharp search(small.context, options);
  const std::vector<Candidate> all = all_epochs(search);
  ASSERT_LT(all.size(), 30U);
  EXPECT_EQ(all.back().fidelity, 1);
  const auto epoch = static_cast<std::size_t>(number(all.back().notes, "of_epoch"));
  EXPECT_LT(epoch, all.size());
  EXPECT_EQ(all.back().architecture, all[epoch - 1].architecture);
  // Its notes are of that one.
  const Notes& notes = all.back().notes;
  EXPECT_EQ(number(notes, "skip_share"),
            skip_share(*small.space, search.parameters().decisions(), all.back().architecture));
  EXPECT_NE(number(notes, "skip_share"), number(all[all.size() - 2].notes, "skip_share"));
  EXPECT_NEAR(number(notes, "discretization_gap"),
              number(notes, "relaxed_accuracy") - number(notes, "derived_accuracy"), 1e-9);
  EXPECT_THAT(all.back().notes.warning,
              HasSubstr("has grown by more than a factor of 1.3 since epoch "));
}

TEST(DifferentiableSearch, ALossWithoutAnArchitectureMovesNothing) {
  SmallSearch small(small_cells(), 1);
  Probe<Darts> search(small.context, DartsSearchOptions{});
  const at::Tensor gradient = search.architecture_gradient(at::tensor(1.5, at::kDouble), {});
  EXPECT_TRUE(gradient.equal(at::zeros_like(search.parameters().values())));
}

TEST(DifferentiableSearch, WarnsOfSkips) {
  SmallSearch small(small_cells(), 1);
  DartsSearchOptions options;
  options.eigenvalue_every = 0;
  struct Skips : Probe<Darts> {
    using Probe<Darts>::Probe;
    void end_epoch(const Rng&) override {
      const at::NoGradGuard no_grad;
      at::Tensor values = parameters().values();
      for (std::size_t d = 0; d < 6; ++d) values[this->place(d, 1)] = 5;
    }
  };
  {
    // Before the architecture has learned they say nothing.
    SmallSearch other(small_cells(), 2);
    DartsSearchOptions late = options;
    late.warmup = 0.5;
    Skips search(other.context, late);
    EXPECT_EQ(one_epoch(search).notes.warning, "");
    EXPECT_NE(one_epoch(search).notes.warning, "");
  }
  Skips search(small.context, options);
  const std::vector<Candidate> asked = search.ask(1);
  ASSERT_EQ(asked.size(), 1U);
  EXPECT_EQ(number(asked[0].notes, "skip_share"), 1);
  EXPECT_THAT(asked[0].notes.warning,
              HasSubstr("the search has collapsed: 100% of the operators of epoch 1"));
}

// A loss of 0.6 as each form changes it, with penalties beside it: what is expected, above the
// target and below it.
template <class S, class Options>
void expect_forms_of_the_cost(Options options) {
  for (const CostForm form : {CostForm::multiplier, CostForm::hinge, CostForm::power}) {
    for (const double target : {45'000.0, 150'000.0}) {
      SmallSearch small(small_cells());
      const RunContext context = with_macs(small.context);
      options.architecture_weight_decay = 0;
      options.cost = CostOptions{.metric = "macs", .target = target, .form = form, .weight = 0.3};
      Probe<S> search(context, options);
      search.spread(3, 1.5);
      const ExpectedCost cost(*small.space->supergraph(), context.cost_parts("macs"), "macs");
      const double ratio = cost.of(search.cost_weights()).template item<double>() / target;
      EXPECT_EQ(ratio > 1, target < 100'000);
      // The multiplier has grown in one step, in which nothing else moves.
      search.descend(at::zeros_like(search.parameters().values()));
      const double wanted = form == CostForm::multiplier ? 0.6 + 0.3 * (ratio - 1) * (ratio - 1)
                            : form == CostForm::hinge    ? 0.6 + 0.3 * std::max(0.0, ratio - 1)
                                                         : 0.6 * std::pow(ratio, 0.3);
      const at::Tensor penalty = search.architecture_penalty();
      const double own = penalty.defined() ? penalty.template item<double>() : 0;
      const at::Tensor loss = at::scalar_tensor(0.6, at::kDouble);
      EXPECT_NEAR(search.architecture_loss(loss).template item<double>(), wanted + own, 1e-9);
      // By it, the architecture learns to cost less where it costs too much.
      const at::Tensor gradient = search.architecture_gradient(loss);
      const at::Tensor values = search.parameters().values();
      const at::Tensor numeric = numeric_gradient(
          [&] { return search.architecture_loss(loss).template item<double>(); }, values);
      EXPECT_LT((gradient - numeric).abs().max().template item<double>(), 1e-6);
    }
  }
}

TEST(DifferentiableSearch, ACostEntersTheLossByItsForm) {
  expect_forms_of_the_cost<Darts>(DartsSearchOptions{});
  expect_forms_of_the_cost<FairDarts>(FairDartsOptions{});  // with a penalty below 0
}

TEST(DifferentiableSearch, TheCostMeetsItsTarget) {
  for (const CostForm form : {CostForm::multiplier, CostForm::hinge, CostForm::power}) {
    for (const double target : {60'000.0, 120'000.0}) {
      SmallSearch small(small_cells(), 12);
      DartsSearchOptions options;
      options.eigenvalue_every = 0;
      options.architecture_learning_rate = 0.05;
      options.cost = CostOptions{.metric = "macs", .target = target, .form = form};
      if (form == CostForm::multiplier) options.cost->weight = 0.2;
      Darts search(with_macs(small.context), options);
      const Candidate last = all_epochs(search).back();
      const double expected = number(last.notes, "expected_cost");
      const auto derived = static_cast<double>(small.space->quick_cost(last.architecture).macs);
      EXPECT_LT(derived, 1.05 * target);
      if (form == CostForm::multiplier) {
        EXPECT_GT(derived, 0.95 * target);
        EXPECT_NEAR(expected, target, 0.25 * target);
      } else {
        EXPECT_LT(expected, 1.25 * target);
      }
    }
  }
}

TEST(DifferentiableSearch, WhatCostsLessThanAHingeIsLeftAsItIs) {
  SmallSearch small(small_cells());
  DartsSearchOptions options;
  options.cost = CostOptions{.metric = "macs", .target = 120'000, .form = CostForm::hinge};
  Probe<Darts> search(with_macs(small.context), options);
  const at::NoGradGuard no_grad;
  at::Tensor values = search.parameters().values();
  values.zero_();
  for (std::size_t d = 0; d < 6; ++d) values[search.place(d, 1)] = 1;
  EXPECT_EQ(search.derive(), (Architecture{{1, 1, 1, 1, 1, 1}}));
}

TEST(DifferentiableSearch, WhatWasDroppedStaysSoWhereAnotherChangeMeetsTheCost) {
  const auto space = choices_in_a_row(2);
  SmallSearch small(space);
  DartsSearchOptions options;
  options.cost =
      CostOptions{.metric = "macs",
                  .target = static_cast<double>(space->quick_cost(Architecture{{0, 2}}).macs),
                  .form = CostForm::hinge};
  Probe<Darts> search(with_macs(small.context), options);
  search.keep(0, std::vector<std::size_t>{0});
  const at::NoGradGuard no_grad;
  at::Tensor values = search.parameters().values();
  values.zero_();
  values[search.place(1, 0)] = 80;  // as unlikely as what was dropped
  EXPECT_EQ(search.derive().choices[0], 0U);
  EXPECT_NE(search.derive().choices[1], 0U);
  // But not where nothing else does.
  search.keep(1, std::vector<std::size_t>{0});
  EXPECT_NE(search.derive(), (Architecture{{0, 0}}));
}

TEST(DifferentiableSearch, APenaltyCountsWithoutACost) {
  SmallSearch small(small_cells());
  Probe<FairDarts> search(small.context, FairDartsOptions{});
  search.spread();
  const at::Tensor loss = at::scalar_tensor(0.6, at::kDouble);
  const double penalty = search.architecture_penalty().item<double>();
  EXPECT_GT(std::abs(penalty), 1e-3);
  EXPECT_NEAR(search.architecture_loss(loss).item<double>(), 0.6 + penalty, 1e-12);
}

TEST(DifferentiableSearch, NotesAreOfWhatIsLearned) {
  // After an epoch's training the numbers are what the test sets.
  struct Set : Probe<Darts> {
    using Probe<Darts>::Probe;
    void end_epoch(const Rng& rng) override {
      spread(9, 1.5);
      Probe<Darts>::end_epoch(rng);
    }
  };
  SmallSearch small(small_cells(), 1);
  RunContext context = small.context;
  // So few images are held out that a batch is all of them.
  context.shared_training =
      make_shared_training(small.net, small.space, small_data(),
                           {.train = {.epochs = 1, .batch_size = 80}, .rule = RuleKind::strategy});
  Set search(context, DartsSearchOptions{});
  const std::vector<Candidate> asked = search.ask(1);
  ASSERT_EQ(asked.size(), 1U);
  const Notes& notes = asked[0].notes;
  double entropy = 0;
  for (const std::vector<double>& p : search.strengths()) {
    for (const double value : p) entropy -= value * std::log(value) / std::log(5) / 6;
  }
  EXPECT_GT(entropy, 0.2);
  EXPECT_LT(entropy, 0.9);
  EXPECT_NEAR(number(notes, "entropy"), entropy, 1e-9);
  const auto accuracy = [&](const MixedWeights& weights) {
    return search.accuracy(weights, StepTraining::Images::held_out, 1, Rng(4));
  };
  const double relaxed = accuracy(search.expected_weights());
  const double derived = accuracy(small.net.one_hot(asked[0].architecture));
  EXPECT_DOUBLE_EQ(number(notes, "relaxed_accuracy"), relaxed);
  EXPECT_DOUBLE_EQ(number(notes, "derived_accuracy"), derived);
  EXPECT_DOUBLE_EQ(number(notes, "discretization_gap"), relaxed - derived);
}

TEST(DifferentiableSearch, TheExpectedCostIsThatOfArchitecturesWithoutNone) {
  SmallSearch small(small_darts());
  const RunContext context = with_macs(small.context);
  DartsSearchOptions options;
  options.cost = CostOptions{.metric = "macs", .target = 150'000};
  Probe<Darts> search(context, options);
  const ExpectedCost cost(*small.space->supergraph(), context.cost_parts("macs"), "macs");
  search.spread();
  const double before = cost.of(search.cost_weights()).item<double>();
  const at::NoGradGuard no_grad;
  at::Tensor values = search.parameters().values();
  int closed = 0;
  for (std::size_t d = 0; d < search.parameters().decisions().size(); ++d) {
    if (!search.parameters().none(d)) continue;
    at::Tensor own = search.parameters().part(values, d);
    own[own.numel() - 1] = 9;
    ++closed;
  }
  EXPECT_GT(closed, 10);
  EXPECT_NEAR(cost.of(search.cost_weights()).item<double>(), before, 1e-6 * before);
}

TEST(DifferentiableSearch, InputsWithoutOperatorsToBeChosenHaveWeightsOfTheirOwn) {
  SmallSearch small(two_of_three());
  DartsSearchOptions options;
  options.architecture_learning_rate = 0.1;
  Probe<Darts> search(small.context, options);
  search.spread();
  EXPECT_TRUE(
      at::allclose(search.relaxed(search.pass_of(0, 2))[0], 2 * search.logits(0).softmax(0)));
  const at::Tensor before = search.parameters().values().detach().clone();
  one_epoch(search);
  const at::Tensor change = search.parameters().values().detach() - before;
  EXPECT_GT(change.abs().min().item<double>(), 1e-3);
  const at::NoGradGuard no_grad;
  search.parameters().values().copy_(at::tensor({0.0, 2.0, 1.0}, at::kDouble));
  EXPECT_EQ(search.derive().choices[0], rank_subset(std::vector<std::uint32_t>{1, 2}));
}

TEST(DifferentiableSearch, ArchitecturesAreDrawnByTheirWeights) {
  constexpr int draws = 4000;
  const auto near = [](int count, double probability) {
    EXPECT_NEAR(count / static_cast<double>(draws), probability,
                4 * std::sqrt(probability * (1 - probability) / draws) + 1e-9);
  };
  {
    SmallSearch small(small_cells());
    Probe<Darts> search(small.context, DartsSearchOptions{});
    search.spread();
    const std::vector<double> weights = search.strengths()[5];
    std::vector<int> counts(weights.size());
    for (std::uint64_t i = 0; i < draws; ++i) {
      ++counts[search.draw_architecture(Rng(1).fork(i)).choices[5]];
    }
    for (std::size_t k = 0; k < weights.size(); ++k) near(counts[k], weights[k]);
  }
  // Two of three inputs, one after the other by what the weights of each one's operators sum to.
  SmallSearch small(small_darts());
  Probe<Darts> search(small.context, DartsSearchOptions{});
  search.spread();
  const auto& decisions = search.parameters().decisions();
  const auto inputs = static_cast<std::size_t>(
      std::ranges::find(decisions, "normal.node3.inputs", &RelaxedDecision::name) -
      decisions.begin());
  {
    // One edge is nearly closed, one nearly open.
    const at::NoGradGuard no_grad;
    at::Tensor values = search.parameters().values();
    for (std::size_t k = 0; k < 3; ++k) {
      at::Tensor own = search.parameters().part(values, *decisions[inputs].edges[k]);
      own[own.numel() - 1] = std::array{-2.0, 2.0, 6.0}[k];  // `none`
    }
  }
  const Strengths strengths = search.strengths();
  std::vector<double> sums;
  for (const auto& edge : decisions[inputs].edges) {
    const std::vector<double>& its = strengths[*edge];
    sums.push_back(std::accumulate(its.begin(), its.begin() + 7, 0.0));  // the eighth is `none`
  }
  ASSERT_EQ(sums.size(), 3U);
  const double all = sums[0] + sums[1] + sums[2];
  std::vector<int> counts(3);
  for (std::uint64_t i = 0; i < draws; ++i) {
    ++counts[search.draw_architecture(Rng(2).fork(i)).choices[inputs]];
  }
  for (std::uint32_t a = 0; a < 3; ++a) {
    for (std::uint32_t b = a + 1; b < 3; ++b) {
      near(counts[rank_subset(std::vector{a, b})],
           sums[a] * sums[b] / all * (1 / (all - sums[a]) + 1 / (all - sums[b])));
    }
  }
}

TEST(DifferentiableSearch, InputsOfTiedOperatorsAreDrawnByTheirOwnWeights) {
  SupergraphBuilder b;
  const NodeId x = b.conv(b.input(1, 8, 8), 4, {.kernel = 3});
  const DecisionId tied = b.decide({.name = "tied", .options = {"three", "five"}});
  const DecisionId alone = b.decide({.name = "alone", .options = {"three", "five"}});
  std::vector<NodeId> inputs;
  for (const DecisionId d : {tied, tied, alone}) {
    const auto scope = b.scope(fmt::format("edge{}", inputs.size()));
    const std::array options{b.conv(x, 4, {.kernel = 3}), b.conv(x, 4, {.kernel = 5})};
    inputs.push_back(b.choice(d, options));
  }
  const DecisionId d = b.decide({.name = "inputs", .options = {"a", "b", "c"}, .pick = 2});
  b.output(b.linear(b.flatten(b.global_avg_pool(b.choice(d, inputs))), 4));
  SmallSearch small(std::make_shared<SupergraphSpace>(b.finish()));
  DartsSearchOptions options;
  options.none = false;
  Probe<Darts> search(small.context, options);
  search.spread();
  EXPECT_FALSE(search.parameters().decisions()[2].told_apart);
  const std::vector<double> w = search.strengths()[2];
  const double all = w[0] + w[1] + w[2];
  constexpr int draws = 4000;
  std::vector<int> counts(3);
  for (std::uint64_t i = 0; i < draws; ++i) {
    ++counts[search.draw_architecture(Rng(2).fork(i)).choices[2]];
  }
  for (std::uint32_t i = 0; i < 3; ++i) {
    for (std::uint32_t j = i + 1; j < 3; ++j) {
      const double p = w[i] * w[j] / all * (1 / (all - w[i]) + 1 / (all - w[j]));
      EXPECT_NEAR(counts[rank_subset(std::vector{i, j})] / static_cast<double>(draws), p,
                  4 * std::sqrt(p * (1 - p) / draws));
    }
  }
}

TEST(DifferentiableSearch, OfSamplesTheMostAccurateIsDerived) {
  SmallSearch small(small_cells(), 3);
  DartsSearchOptions options;
  options.derive_samples = 8;
  options.monitor_batches = 2;
  Probe<Darts> search(small.context, options);
  one_epoch(search);
  search.spread();
  const Rng rng(5);
  std::optional<Architecture> best;
  double highest = 0, lowest = 100;
  for (std::uint64_t i = 0; i < 8; ++i) {
    const Architecture a = search.draw_architecture(rng.fork("derive").fork(i));
    const double its = search.accuracy(small.net.one_hot(a), StepTraining::Images::held_out, 2,
                                       rng.fork("held out"));
    lowest = std::min(lowest, its);
    if (best && its <= highest) continue;
    best = a;
    highest = its;
  }
  EXPECT_GT(highest, lowest);
  EXPECT_EQ(search.sampled(rng), *best);
}

TEST(DifferentiableSearch, WhereTheStrongestIsNotValidALikelyOneIsDerived) {
  // Of 5^6 architectures 16 are valid.
  class Few : public SupergraphSpace {
   public:
    explicit Few(Supergraph supergraph) : SupergraphSpace(std::move(supergraph)) {}
    bool constrained() const override { return true; }
    bool valid(const Architecture& a) const override {
      return SupergraphSpace::valid(a) &&
             std::ranges::count_if(a.choices, [](std::uint32_t c) { return c != 2; }) <= 1 &&
             std::ranges::count(a.choices, 0U) == 0 && a.choices[0] == 2;
    }
  };
  SupergraphBuilder b;
  NodeId x = b.input(1, 8, 8);
  for (int i = 0; i < 6; ++i) {
    const auto scope = b.scope(fmt::format("c{}", i));
    std::vector<NodeId> options;
    for (const int kernel : {1, 3, 5, 7, 9}) {
      const auto own = b.scope(fmt::format("k{}", kernel));
      options.push_back(b.conv(x, 2, {.kernel = kernel}));
    }
    x = b.choice(b.decide({.name = fmt::format("c{}", i), .options = {"1", "3", "5", "7", "9"}}),
                 options);
  }
  b.output(b.linear(b.flatten(b.global_avg_pool(x)), 4));
  SmallSearch small(std::make_shared<Few>(b.finish()));
  Probe<Darts> search(small.context, DartsSearchOptions{});
  const at::NoGradGuard no_grad;
  at::Tensor values = search.parameters().values();
  values.zero_();
  // The strongest is (3, 3, 3, 3, 3, 3), and no draw is valid; of those that are, the likelier ones
  // have one 3.
  for (std::size_t d = 0; d < 6; ++d) values[search.place(d, 3)] = 20;
  const Architecture derived = search.derive();
  EXPECT_TRUE(small.space->valid(derived));
  EXPECT_EQ(std::ranges::count(derived.choices, 3U), 1);
}

TEST(DifferentiableSearch, WhatIsDerivedKeepsConstraintsThatAreKnown) {
  SmallSearch small(small_cells(), 2);
  RunContext context = small.context;  // in which "size" is the sum of the choices
  context.goals = Goals(*accuracy_metrics(), {{"accuracy", Direction::maximize}},
                        {{.metric = "size", .upper = 9}, {.metric = "accuracy", .lower = 10}});
  DartsSearchOptions options;
  options.eigenvalue_every = 0;
  options.monitor_batches = 1;
  Probe<Darts> search(context, options);
  const auto prefer = [&](std::size_t option) {
    const at::NoGradGuard no_grad;
    at::Tensor values = search.parameters().values();
    values.zero_();
    for (std::size_t d = 0; d < 6; ++d) values[search.place(d, option)] = 1;
  };
  prefer(4);
  const Architecture a = search.derive();
  EXPECT_LE(size_of(a), 9);
  // What was decided gives way, too, where nothing else does.
  for (std::size_t d = 0; d < 6; ++d) search.keep(d, std::array<std::size_t, 1>{4});
  EXPECT_LE(size_of(search.derive()), 9);
  for (std::size_t d = 0; d < 6; ++d) {
    search.keep(d, std::array<std::size_t, 5>{0, 1, 2, 3, 4});
  }
  prefer(1);
  EXPECT_EQ(search.derive(), (Architecture{{1, 1, 1, 1, 1, 1}}));

  context.goals = Goals(*accuracy_metrics(), {{"accuracy", Direction::maximize}},
                        {{.metric = "size", .lower = 25}});  // 24 at most
  SmallSearch other(small_cells(), 1);
  context.shared_training = other.training;
  Probe<Darts> nowhere(context, options);
  EXPECT_THAT(one_epoch(nowhere).notes.warning,
              HasSubstr("the architecture of epoch 1 does not keep the constraints"));
}

TEST(DifferentiableSearch, ConstraintsAreKeptBeforeTheCost) {
  // The fourth option in the place of the third at the first edge costs less, and is almost as
  // likely, but what the constraint wants at the last edge costs less, too.
  SmallSearch small(small_cells());
  RunContext context = with_macs(small.context);
  context.goals = Goals(*accuracy_metrics(), {{"accuracy", Direction::maximize}},
                        {{.metric = "size", .upper = 2}});
  context.known_metrics = [](const Architecture& a) {
    Metrics metrics(accuracy_metrics());
    metrics.set("size", a.choices[5]);
    return metrics;
  };
  const Architecture wanted{{3, 3, 3, 3, 3, 2}};
  DartsSearchOptions options;
  options.cost = CostOptions{.metric = "macs",
                             .target = static_cast<double>(small.space->quick_cost(wanted).macs),
                             .form = CostForm::hinge};
  Probe<Darts> search(context, options);
  const at::NoGradGuard no_grad;
  at::Tensor values = search.parameters().values();
  values.zero_();
  for (std::size_t d = 0; d < 6; ++d) values[search.place(d, 3)] = 3;
  values[search.place(0, 4)] = 2.9;
  values[search.place(5, 2)] = 2;
  EXPECT_EQ(search.derive(), wanted);
}

TEST(DifferentiableSearch, WhatCannotBeMeasuredGivesWayToTheLikeliest) {
  SmallSearch small(small_cells());
  RunContext context = small.context;
  context.goals = Goals(*accuracy_metrics(), {{"accuracy", Direction::maximize}},
                        {{.metric = "size", .upper = 24}});
  context.known_metrics = [](const Architecture& a) {
    if (a.choices[2] == 3) throw UnsupportedError("there is no row for it");
    Metrics metrics(accuracy_metrics());
    metrics.set("size", size_of(a));
    return metrics;
  };
  Probe<Darts> search(context, DartsSearchOptions{});
  const at::NoGradGuard no_grad;
  at::Tensor values = search.parameters().values();
  values.zero_();
  for (std::size_t d = 0; d < 6; ++d) {
    values[search.place(d, 3)] = 3;
    values[search.place(d, 2)] = 2;
  }
  EXPECT_EQ(search.derive(), (Architecture{{3, 3, 2, 3, 3, 3}}));
}

TEST(DifferentiableSearch, DrawsMeetACostWhereSingleChangesDoNot) {
  // A kernel of 5 costs 25,600 macs, two of 3 cost 18,432: from one alone to the other it takes two
  // changes, each of which leads away from the target.
  SupergraphBuilder b;
  NodeId x = b.conv(b.input(1, 8, 8), 4);
  const std::array a{x, b.conv(x, 4, {.kernel = 5})};
  x = b.choice(b.decide({.name = "a", .options = {"skip", "five"}}), a);
  const auto scope = b.scope("second");
  const std::array c{x, b.conv(b.conv(x, 4, {.kernel = 3}, "one"), 4, {.kernel = 3}, "two")};
  x = b.choice(b.decide({.name = "c", .options = {"skip", "threes"}}), c);
  b.output(b.linear(b.flatten(b.global_avg_pool(x)), 4));
  SmallSearch small(std::make_shared<SupergraphSpace>(b.finish()));
  const Architecture five{{1, 0}};
  DartsSearchOptions options;
  options.cost = CostOptions{.metric = "macs",
                             .target = static_cast<double>(small.space->quick_cost(five).macs)};
  Probe<Darts> search(with_macs(small.context), options);
  const at::NoGradGuard no_grad;
  at::Tensor values = search.parameters().values();
  values.copy_(at::tensor({1.0, 0.0, 0.0, 1.0}, at::kDouble));
  EXPECT_EQ(search.derive(), five);
}

TEST(DifferentiableSearch, RefusesCostsThatItCannotMeet) {
  SmallSearch small(small_cells());
  DartsSearchOptions options;
  options.cost = CostOptions{.metric = "macs", .target = 10};
  EXPECT_THAT(throws<ConfigError>([&] { const Darts search(with_macs(small.context), options); }),
              HasSubstr("no architecture of this space has macs of 10: they lie between"));
  {
    // Between two widths.
    SupergraphBuilder b;
    const std::array<std::int64_t, 2> widths{4, 64};
    const NodeId x = b.conv(b.input(1, 8, 8), b.number("width", widths), {.kernel = 3});
    b.output(b.linear(b.flatten(b.global_avg_pool(x)), 4));
    SmallSearch wide(std::make_shared<SupergraphSpace>(b.finish()));
    options.cost = CostOptions{.metric = "macs", .target = 20'000};
    EXPECT_THAT(throws<ConfigError>([&] { const Darts search(with_macs(wide.context), options); }),
                HasSubstr("no architecture of this space was found with macs of about 20000; the "
                          "nearest has"));
    options.cost->form = CostForm::hinge;
    EXPECT_EQ(Darts(with_macs(wide.context), options).derive().choices[0], 0U);
    // Which all architectures meet.
    options.cost->target = 1e9;
    EXPECT_NO_THROW(Darts(with_macs(wide.context), options));
    options.cost->form = CostForm::multiplier;
    EXPECT_THAT(throws<ConfigError>([&] { const Darts search(with_macs(wide.context), options); }),
                HasSubstr("no architecture of this space has macs of 1e+09"));
  }
  options.cost = CostOptions{.metric = "peak", .target = 10};
  EXPECT_THAT(throws<ConfigError>([&] { const Darts search(with_macs(small.context), options); }),
              HasSubstr("no sum: peak"));
}

TEST(DifferentiableSearch, ACostNeedsARunThatKnowsCosts) {
  SmallSearch small(small_cells());
  DartsSearchOptions options;
  options.cost = CostOptions{.metric = "macs", .target = 60'000};
  EXPECT_THAT(throws<ConfigError>([&] { const Darts search(small.context, options); }),
              HasSubstr("this run knows no costs"));
}

TEST(DifferentiableSearch, NeedsWeightsThatLearnByItsSteps) {
  const RunContext context = sharing_context(small_cells(), std::make_shared<FakeTraining>(2));
  EXPECT_THAT(throws<UnsupportedError>([&] { const Darts search(context, DartsSearchOptions{}); }),
              HasSubstr("these shared weights learn with architectures only"));
}

TEST(DifferentiableSearch, ASpaceWithoutDecisionsIsRefused) {
  SupergraphBuilder b;
  b.output(b.linear(b.flatten(b.global_avg_pool(b.input(1, 8, 8))), 4));
  SmallSearch small(std::make_shared<SupergraphSpace>(b.finish()));
  EXPECT_THAT(throws<ConfigError>([&] { const Darts search(small.context, DartsSearchOptions{}); }),
              HasSubstr("this space has no decisions; take \"random\""));
}

TEST(DifferentiableSearch, RefusesWhatHasNoRelaxation) {
  {
    SupergraphBuilder b;
    const std::array<std::int64_t, 2> sizes{8, 16};
    const Dim size = b.number("resolution", sizes);
    const NodeId x = b.input(1, size, size);
    b.output(b.linear(b.flatten(b.global_avg_pool(x)), 4));
    SmallSearch small(std::make_shared<SupergraphSpace>(b.finish()));
    EXPECT_THAT(
        throws<UnsupportedError>([&] { const Darts search(small.context, DartsSearchOptions{}); }),
        HasSubstr("an open resolution has no relaxation"));
  }
  {
    SmallSearch small(small_cells());
    RunContext context = small.context;
    context.space = make_regnet({});
    EXPECT_THAT(throws<ConfigError>([&] { const Darts search(context, DartsSearchOptions{}); }),
                HasSubstr("\"darts\" searches a relaxation of the space, but this one has no "
                          "supergraph"));
  }
  {
    SupergraphBuilder b;
    const NodeId x = b.input(1, 8, 8);
    const std::array<std::int64_t, 2> strides{1, 2};
    const NodeId y = b.conv(x, 4, {.kernel = 3, .stride = b.number("stride", strides)});
    b.output(b.linear(b.flatten(b.global_avg_pool(y)), 4));
    SmallSearch small(std::make_shared<SupergraphSpace>(b.finish()));
    EXPECT_THAT(
        throws<UnsupportedError>([&] { const Darts search(small.context, DartsSearchOptions{}); }),
        AllOf(HasSubstr("\"darts\" searches a relaxation of the space; conv2d"),
              HasSubstr("an open stride, stride{1|2}, has no relaxation")));
  }
  // Also where a strategy draws one option at a time, and whichever it draws.
  for (const std::size_t first : {0, 1}) {
    SupergraphBuilder b;
    const NodeId x = b.input(1, 8, 8);
    std::array options{b.conv(x, 4, {.kernel = 3}), b.conv(x, 4, {.kernel = 3, .stride = 2})};
    if (first == 1) std::swap(options[0], options[1]);
    const NodeId y = b.choice(b.decide({.name = "size", .options = {"a", "b"}}), options);
    b.output(b.linear(b.flatten(b.global_avg_pool(y)), 4));
    SmallSearch small(std::make_shared<SupergraphSpace>(b.finish()));
    EXPECT_THAT(throws<UnsupportedError>([&] { const Gdas search(small.context, GdasOptions{}); }),
                HasSubstr("\"gdas\" searches a relaxation of the space; "));
  }
}

TEST(DifferentiableSearch, ParametersThatAreNotFiniteEndIt) {
  SmallSearch small(small_cells());
  DartsSearchOptions options;
  options.architecture_learning_rate = 1e308;
  Darts search(small.context, options);
  EXPECT_THROW(search.ask(1), NumericalError);
}

TEST(DifferentiableSearch, EarlyStoppingNeedsTheEigenvalue) {
  SmallSearch small(small_cells());
  DartsSearchOptions options;
  options.early_stopping = true;
  options.eigenvalue_every = 0;
  EXPECT_THAT(throws<ConfigError>([&] { const Darts search(small.context, options); }),
              HasSubstr("looks at the eigenvalue, which is not measured"));
}

TEST(DifferentiableSearch, EarlyStoppingNeedsEpochsToSeeAGrowth) {
  // Of seven the first window's middle is the first epoch, within the first fifth of them.
  SmallSearch small(small_cells(), 7);
  DartsSearchOptions options;
  options.early_stopping = true;
  EXPECT_THAT(throws<ConfigError>([&] { const Darts search(small.context, options); }),
              HasSubstr("/early_stopping: 7 epochs are too few to see the eigenvalue grow; write "
                        "more, or leave"));
  SmallSearch enough(small_cells(), 8);
  EXPECT_NO_THROW(Darts(enough.context, options));
  options.warmup = 0.5;  // what is measured then does not count
  SmallSearch half(small_cells(), 13);
  EXPECT_THAT(throws<ConfigError>([&] { const Darts search(half.context, options); }),
              HasSubstr("13 epochs are too few to see the eigenvalue grow"));
  SmallSearch more(small_cells(), 14);
  EXPECT_NO_THROW(Darts(more.context, options));
  options.warmup = 0;
  options.eigenvalue_every = 2;
  EXPECT_THAT(throws<ConfigError>([&] { const Darts search(enough.context, options); }),
              HasSubstr("8 epochs are too few to see the eigenvalue grow; write more, measure it "
                        "more often"));
}

TEST(DifferentiableSearch, WeightsThatAreNotFiniteAreTheArchitectures) {
  SmallSearch small(small_cells());
  Probe<DrNas> search(small.context, DrNasOptions{});
  {
    const at::NoGradGuard no_grad;
    at::Tensor values = search.parameters().values();
    values.fill_(1e308);
  }
  EXPECT_THAT(throws<NumericalError>([&] { search.ask(1); }),
              HasSubstr("are not finite; a lower architecture_learning_rate may help"));
}

TEST(DifferentiableSearch, FewImagesAreRefused) {
  SmallSearch small(small_cells());
  DartsSearchOptions options;
  options.architecture_share = 0.999;
  EXPECT_THAT(throws<UnsupportedError>([&] { const Darts search(small.context, options); }),
              AllOf(testing::StartsWith("with the evaluator's \"train_fraction\", of 160 images"),
                    HasSubstr("for the weights and")));
}

}  // namespace
}  // namespace espalier
