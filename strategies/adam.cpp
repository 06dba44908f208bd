#include "strategies/adam.hpp"

#include <cassert>
#include <cmath>

#include "core/json.hpp"

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

Json Adam::save() const {
  return {{"first", first_},
          {"second", second_},
          {"first_power", first_power_},
          {"second_power", second_power_}};
}

void Adam::load(const Json& json) {
  json.at("first").get_to(first_);
  json.at("second").get_to(second_);
  json.at("first_power").get_to(first_power_);
  json.at("second_power").get_to(second_power_);
}

}  // namespace espalier
