#include "strategies/adam.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace espalier {
namespace {

TEST(Adam, IsAlgorithm1) {
  const double gradients[3][2] = {{1, -0.1}, {-2, -0.1}, {0.5, 3}};
  std::vector<double> parameters{1, 2};
  Adam adam(2);
  double m[2] = {0, 0}, v[2] = {0, 0}, theta[2] = {1, 2};
  for (int t = 1; t <= 3; ++t) {
    const double* g = gradients[t - 1];
    adam.descend(parameters, std::span(g, 2), 0.05);
    for (int i = 0; i < 2; ++i) {
      m[i] = 0.9 * m[i] + 0.1 * g[i];
      v[i] = 0.999 * v[i] + 0.001 * g[i] * g[i];
      theta[i] -= 0.05 * (m[i] / (1 - std::pow(0.9, t))) /
                  (std::sqrt(v[i] / (1 - std::pow(0.999, t))) + 1e-8);
      EXPECT_NEAR(parameters[static_cast<std::size_t>(i)], theta[i], 1e-12) << t;
    }
  }
}

}  // namespace
}  // namespace espalier
