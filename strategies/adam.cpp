#include "strategies/adam.hpp"

#include <cassert>
#include <cmath>

namespace espalier {
namespace {

constexpr double first_decay = 0.9, second_decay = 0.999, epsilon = 1e-8;

}  // namespace

void Adam::descend(std::span<double> parameters, std::span<const double> gradient,
                   double learning_rate) {
  assert(parameters.size() == first_.size() && gradient.size() == first_.size());
  first_power_ *= first_decay;
  second_power_ *= second_decay;
  const double rate = learning_rate / (1 - first_power_);
  const double scale = 1 / (1 - second_power_);
  for (std::size_t i = 0; i < first_.size(); ++i) {
    first_[i] = first_decay * first_[i] + (1 - first_decay) * gradient[i];
    second_[i] = second_decay * second_[i] + (1 - second_decay) * gradient[i] * gradient[i];
    parameters[i] -= rate * first_[i] / (std::sqrt(scale * second_[i]) + epsilon);
  }
}

}  // namespace espalier
