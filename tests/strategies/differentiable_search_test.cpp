#include "strategies/differentiable_search.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "search_spaces/regnet.hpp"
#include "strategies/darts.hpp"
#include "tests/core/throws.hpp"
#include "tests/strategies/differentiable_probe.hpp"

namespace espalier {
namespace {

using testing::HasSubstr;

double number(const Notes& notes, const std::string& name) {
  for (const auto& [own, value] : notes.numbers) {
    if (own == name) return value;
  }
  ADD_FAILURE() << "no " << name;
  return 0;
}

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
  EXPECT_THAT(all.back().notes.warning,
              HasSubstr("has grown by more than a factor of 1.3 since epoch "));
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
  Skips search(small.context, options);
  const std::vector<Candidate> asked = search.ask(1);
  ASSERT_EQ(asked.size(), 1U);
  EXPECT_EQ(number(asked[0].notes, "skip_share"), 1);
  EXPECT_THAT(asked[0].notes.warning,
              HasSubstr("the search has collapsed: 100% of the operators of epoch 1"));
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
      EXPECT_NEAR(static_cast<double>(small.space->quick_cost(last.architecture).macs), target,
                  0.05 * target);
      if (form == CostForm::multiplier) {
        EXPECT_NEAR(expected, target, 0.25 * target);
      } else {
        EXPECT_LT(expected, 1.25 * target);
      }
    }
  }
}

TEST(DifferentiableSearch, RefusesCostsThatItCannotMeet) {
  SmallSearch small(small_cells());
  DartsSearchOptions options;
  options.cost = CostOptions{.metric = "macs", .target = 10};
  EXPECT_THAT(throws<ConfigError>([&] { const Darts search(with_macs(small.context), options); }),
              HasSubstr("no architecture of this space has macs of 10: they lie between"));
  options.cost = CostOptions{.metric = "peak", .target = 10};
  EXPECT_THAT(throws<ConfigError>([&] { const Darts search(with_macs(small.context), options); }),
              HasSubstr("no sum: peak"));
}

TEST(DifferentiableSearch, RefusesWhatHasNoRelaxation) {
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
        HasSubstr("an open stride, stride{1|2}, has no relaxation"));
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

TEST(DifferentiableSearch, FewImagesAreRefused) {
  SmallSearch small(small_cells());
  DartsSearchOptions options;
  options.architecture_share = 0.999;
  EXPECT_THAT(throws<ConfigError>([&] { const Darts search(small.context, options); }),
              HasSubstr("for the weights and"));
}

}  // namespace
}  // namespace espalier
