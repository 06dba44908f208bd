#include "objectives/scalarization.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstddef>

#include "core/error.hpp"

namespace espalier {

double weighted_sum(std::span<const double> costs, std::span<const double> weights) {
  assert(costs.size() == weights.size());
  double sum = 0;
  for (std::size_t i = 0; i < costs.size(); ++i) sum += weights[i] * costs[i];
  return sum;
}

double tchebycheff(std::span<const double> costs, std::span<const double> weights,
                   std::span<const double> ideal) {
  assert(costs.size() == weights.size() && costs.size() == ideal.size());
  double largest = 0;
  for (std::size_t i = 0; i < costs.size(); ++i) {
    largest = std::max(largest, weights[i] * std::abs(costs[i] - ideal[i]));
  }
  return largest;
}

double mnasnet_reward(double accuracy, double latency, double target, MnasnetExponents exponents) {
  if (!(latency > 0) || !(target > 0)) {
    throw NumericalError(fmt::format("a reward at latency {} with target {}; both must be positive",
                                     latency, target));
  }
  const double exponent = latency <= target ? exponents.below : exponents.above;
  return accuracy * std::pow(latency / target, exponent);
}

}  // namespace espalier
