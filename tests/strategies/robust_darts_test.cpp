#include "strategies/robust_darts.hpp"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "tests/strategies/differentiable_probe.hpp"

namespace espalier {
namespace {

TEST(Sdarts, NumbersBecomeWeightsThatSumToOne) {
  const auto near = [](const at::Tensor& got, const at::Tensor& wanted) {
    return (got - wanted).abs().max().item<double>() < 1e-12;
  };
  EXPECT_TRUE(near(as_weights(at::tensor({0.5, -0.2, 1.5}, at::kDouble)),
                   at::tensor({0.5 / 1.5, 0.0, 1.0 / 1.5}, at::kDouble)));
  EXPECT_TRUE(near(as_weights(at::tensor({-0.5, -0.2, -0.3}, at::kDouble)),
                   at::tensor({0.0, 1.0, 0.0}, at::kDouble)));
}

TEST(Sdarts, TheAttackRaisesTheLossWithinTheRadius) {
  struct Opened : Probe<Sdarts> {
    using Probe<Sdarts>::Probe;
    Learned learn_weights(const TrainStep& step) override {
      const at::NoGradGuard no_grad;
      const Batch batch = step.batch({8, 8});
      const MixedWeights clean = expected_weights();
      const MixedWeights moved = [&] {
        const at::AutoGradMode grad(true);
        return attacked(step, batch, clean, radius);
      }();
      const auto loss = [&](const MixedWeights& weights) {
        return cross_entropy(forward(batch, weights), batch.labels, 0).item<double>();
      };
      // As in the attack, by running statistics.
      steps().supernet().eval();
      raised.push_back(loss(moved) - loss(clean));
      steps().supernet().train();
      for (std::size_t d = 0; d < clean.size(); ++d) {
        EXPECT_NEAR(moved[d].sum().item<double>(), 1, 1e-9);
        EXPECT_GE(moved[d].min().item<double>(), 0);
        // Bringing the sum back to 1 may move a weight further than the radius, not far.
        EXPECT_LT((moved[d] - clean[d]).abs().max().item<double>(), 2 * radius);
      }
      const at::AutoGradMode grad(true);
      return Probe<Sdarts>::learn_weights(step);
    }
    using Sdarts::attacked;
    using Sdarts::steps;
    double radius = 0.1;
    std::vector<double> raised;
  };
  SmallSearch small(small_cells(), 2);
  SdartsOptions options;
  options.eigenvalue_every = 0;
  Opened search(small.context, options);
  search.spread();
  EXPECT_EQ(search.ask(1).size(), 1U);
  ASSERT_EQ(search.raised.size(), 4U);
  for (const double raised : search.raised) EXPECT_GE(raised, 0);
  EXPECT_GT(search.raised.back(), 0);
}

TEST(Sdarts, ChanceMovesWeightsAlsoWithoutTheAttack) {
  SmallSearch small(small_darts(), 1), other(small_darts(), 1);
  SdartsOptions options;
  options.eigenvalue_every = 0;
  options.perturbation = Perturbation::random;
  Probe<Sdarts> search(small.context, options);
  DartsSearchOptions plain;
  plain.eigenvalue_every = 0;
  Probe<Darts> darts(other.context, plain);
  EXPECT_EQ(search.ask(1).size(), 1U);
  EXPECT_EQ(darts.ask(1).size(), 1U);
  EXPECT_FALSE(
      small.net.tensor("head.linear.weight").equal(other.net.tensor("head.linear.weight")));
}

}  // namespace
}  // namespace espalier
