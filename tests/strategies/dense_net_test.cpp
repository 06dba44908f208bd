#include "strategies/dense_net.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace espalier {
namespace {

std::vector<double> inputs(std::size_t count) {
  Rng rng(4);
  std::vector<double> values;
  for (std::size_t i = 0; i < count; ++i) values.push_back(rng.normal());
  return values;
}

TEST(DenseNet, IsARowOfLayers) {
  DenseNet net({2, 2}, DenseOutput::linear, Rng(1));
  // Weights input by input, then biases.
  const std::vector<double> parameters{1, -1, 2, 3, 0.5, -1, 2, 10, 0.25};
  std::ranges::copy(parameters, net.parameters().begin());
  // (1, -1) -> (1 - 2 + 0.5, -1 - 3 - 1) -> ReLU (0, 0); (1, 1) -> (3.5, 1)
  EXPECT_EQ(net.forward(std::vector<double>{1, -1, 1, 1}, 2), (std::vector<double>{0.25, 17.25}));
}

TEST(DenseNet, FirstParametersAreWithinTheirBounds) {
  DenseNet net({16, 4}, DenseOutput::linear, Rng(1));
  double largest = 0;
  for (std::size_t i = 0; i < 17 * 4; ++i) {
    largest = std::max(largest, std::abs(net.parameters()[i]));
  }
  EXPECT_LE(largest, 0.25);
  EXPECT_GT(largest, 0.2);
}

TEST(DenseNet, GradientsAreThoseOfFiniteDifferences) {
  for (const DenseOutput output : {DenseOutput::linear, DenseOutput::sigmoid}) {
    DenseNet net({3, 6, 5}, output, Rng(2));
    std::vector<double> in = inputs(4 * 3);
    const std::vector<double> weights{0.3, -1, 2, 0.7};
    const auto objective = [&] {
      const std::vector<double> out = net.forward(in, 4);
      double sum = 0;
      for (std::size_t i = 0; i < 4; ++i) sum += weights[i] * out[i];
      return sum;
    };
    objective();
    std::vector<double> gradient(net.parameters().size());
    const std::vector<double> by_inputs = net.backward(weights, gradient);
    const auto slope = [&](double& value) {
      const double kept = value, step = 1e-6;
      value = kept + step;
      const double above = objective();
      value = kept - step;
      const double below = objective();
      value = kept;
      return (above - below) / (2 * step);
    };
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      EXPECT_NEAR(gradient[i], slope(net.parameters()[i]), 1e-7) << i;
    }
    for (std::size_t i = 0; i < in.size(); ++i) {
      EXPECT_NEAR(by_inputs[i], slope(in[i]), 1e-7) << i;
    }
  }
}

}  // namespace
}  // namespace espalier
