#include "nets/quantization.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>

#include "core/error.hpp"
#include "tests/core/throws.hpp"
#include "tests/nets/networks.hpp"

namespace espalier {
namespace {

at::Tensor values(std::vector<double> v) { return at::tensor(v, at::kDouble); }
at::Tensor number(double v) { return at::scalar_tensor(v, at::kDouble); }

TEST(Quantization, WeightsLieOnTheGridOfTheirRow) {
  const at::Tensor w = values({0.7, -0.25, 0.1, 0, 0, 0, -6, 3, 1}).view({3, 3});
  const QuantizedWeight quantized = quantize_weight(w, 4);
  EXPECT_LT(difference(quantized.scale, values({0.1, 1, 6.0 / 7})), 1e-15);
  EXPECT_TRUE(quantized.integers.equal(values({7, -2, 1, 0, 0, 0, -7, 4, 1}).view({3, 3})));
  // -0.25 / 0.1 is halfway (half to even); a row of zeros stays zero.
  const at::Tensor expected = values({0.7, -0.2, 0.1, 0, 0, 0, -6, 24.0 / 7, 6.0 / 7}).view({3, 3});
  EXPECT_LT(difference(fake_quantize_weight(w, 4), expected), 1e-15);
  EXPECT_TRUE(fake_quantize_weight(w, 32).is_same(w));
}

TEST(Quantization, HalvesGoToTheEvenNeighbour) {
  const at::Tensor w = values({7, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5}).view({1, 7});
  EXPECT_TRUE(fake_quantize_weight(w, 4).equal(values({7, 0, 2, 2, 0, -2, -2}).view({1, 7})));
  const at::Tensor x = values({0.5, 1.5, 2.5, 3.5});
  EXPECT_TRUE(fake_quantize_activation(x, number(0), number(255), 8).equal(values({0, 2, 2, 4})));
}

TEST(Quantization, TwoBitsAreTernary) {
  const at::Tensor w = random_tensor({2, 50}, Rng(1));
  const at::Tensor q = fake_quantize_weight(w, 2) / quantize_weight(w, 2).scale.view({2, 1});
  EXPECT_EQ(std::get<0>(at::_unique(q)).numel(), 3);
}

TEST(Quantization, ErrorIsAtMostHalfAStep) {
  const at::Tensor w = random_tensor({4, 3, 3, 3}, Rng(1));
  for (std::int64_t bits = 2; bits <= 8; ++bits) {
    const at::Tensor step = quantize_weight(w, bits).scale.view({4, 1, 1, 1});
    const at::Tensor q = fake_quantize_weight(w, bits);
    EXPECT_LE(((q - w).abs() / step).max().item<double>(), 0.5 + 1e-12) << bits;
    EXPECT_GT(((q - w).abs() / step).max().item<double>(), 0.3) << bits;
    EXPECT_LT((q / step - at::round(q / step)).abs().max().item<double>(), 1e-9) << bits;
    EXPECT_LT(difference(q.flatten(1).abs().amax(1), w.flatten(1).abs().amax(1)), 1e-12) << bits;
  }
}

TEST(Quantization, ActivationGridHoldsZeroAndBothEnds) {
  for (const auto& [low, high] : {std::pair{-0.3, 1.1}, {0.2, 0.9}, {-2.0, -0.5}, {0.0, 5.0}}) {
    const ActivationGrid grid = activation_grid(number(low), number(high), 8);
    const double bottom = std::min(low, 0.0), top = std::max(high, 0.0);
    EXPECT_NEAR(grid.scale.item<double>(), (top - bottom) / 255, 1e-15);
    const double zero = grid.zero_point.item<double>();
    EXPECT_EQ(zero, std::round(zero));
    EXPECT_GE(zero, 0);
    EXPECT_LE(zero, 255);
    const at::Tensor x = values({bottom - 1, 0, top + 1});
    const at::Tensor q = fake_quantize_activation(x, number(low), number(high), 8);
    EXPECT_EQ(q[1].item<double>(), 0);
    EXPECT_NEAR(q[0].item<double>(), bottom, grid.scale.item<double>() / 2 + 1e-12);
    EXPECT_NEAR(q[2].item<double>(), top, grid.scale.item<double>() / 2 + 1e-12);
  }
  const ActivationGrid empty = activation_grid(number(0), number(0), 8);
  EXPECT_EQ(empty.scale.item<double>(), 1);
  EXPECT_EQ(empty.zero_point.item<double>(), 0);
}

TEST(Quantization, GradientPassesWhereNothingIsClipped) {
  at::Tensor w = random_tensor({3, 5}, Rng(2)).set_requires_grad(true);
  const at::Tensor factors = random_tensor({3, 5}, Rng(3));
  (fake_quantize_weight(w, 3) * factors).sum().backward();
  EXPECT_TRUE(w.grad().equal(factors));
  const at::NoGradGuard off;
  EXPECT_FALSE(fake_quantize_weight(w, 3).requires_grad());
  const at::AutoGradMode on(true);
  at::Tensor x = values({-3, -0.9, 0, 0.5, 1.2, 4}).set_requires_grad(true);
  const at::Tensor y = fake_quantize_activation(x, number(-1), number(1), 4);
  (y * values({1, 2, 3, 4, 5, 6})).sum().backward();
  EXPECT_TRUE(x.grad().equal(values({0, 2, 3, 4, 0, 0})));
  EXPECT_TRUE(y.detach().equal(fake_quantize_activation(x.detach(), number(-1), number(1), 4)));
}

TEST(Quantization, TheGradientThatPassesCanBeDifferentiatedAgain) {
  const at::Tensor x = values({-3, 0.5, 4}).set_requires_grad(true);
  const at::Tensor y = fake_quantize_activation(x, number(-1), number(1), 4).square().sum();
  const at::Tensor first = torch::autograd::grad({y}, {x}, {}, true, true)[0];
  ASSERT_TRUE(first.requires_grad());
  EXPECT_TRUE(torch::autograd::grad({first.sum()}, {x})[0].equal(values({0, 2, 0})));
}

TEST(Quantization, FirstBatchSetsTheRangeAndLaterOnesMoveIt) {
  at::Tensor low = number(0), high = number(0);
  const at::Tensor first = values({-1, 0.5, 2}), second = values({3, 4, 5});
  const ActivationRange dynamic = activation_range(first, low, high, false);
  EXPECT_EQ(dynamic.low.item<double>(), -1);
  EXPECT_EQ(dynamic.high.item<double>(), 2);
  EXPECT_EQ(high.item<double>(), 0);  // evaluation stores nothing

  const ActivationRange set = activation_range(first, low, high, true);
  EXPECT_EQ(set.low.item<double>(), -1);
  EXPECT_EQ(high.item<double>(), 2);
  const ActivationRange moved = activation_range(second, low, high, true);
  EXPECT_NEAR(low.item<double>(), -0.9, 1e-15);  // towards min(0, 3)
  EXPECT_NEAR(high.item<double>(), 2.3, 1e-15);
  EXPECT_EQ(moved.high.item<double>(), high.item<double>());
  EXPECT_EQ(set.high.item<double>(), 2);  // a range that was handed out does not change

  const ActivationRange stored = activation_range(second, low, high, false);
  EXPECT_NEAR(stored.high.item<double>(), 2.3, 1e-15);
}

TEST(Quantization, RefusesOtherNumbersOfBits) {
  const at::Tensor x = values({1}).view({1, 1});
  EXPECT_EQ(throws<UnsupportedError>([&] { fake_quantize_weight(x, 1); }),
            "cannot quantize to 1 bits; write 2 to 8, or 32 for float");
  throws<UnsupportedError>([&] { quantize_weight(x, 9); });
  throws<UnsupportedError>([&] { fake_quantize_activation(x, number(0), number(1), 16); });
  throws<UnsupportedError>([&] { activation_grid(number(0), number(1), 0); });
}

}  // namespace
}  // namespace espalier
