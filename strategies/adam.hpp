#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "core/json_fwd.hpp"

namespace espalier {

/// Gradient descent with steps that are scaled by running moments of the gradient.
/// Source: D. Kingma, J. Ba: Adam: a method for stochastic optimization, ICLR 2015,
/// arXiv 1412.6980, algorithm 1, with its constants. Test: Adam.IsAlgorithm1.
class Adam {
 public:
  explicit Adam(std::size_t parameters) : first_(parameters), second_(parameters) {}

  /// Takes one step down the gradient. Of equal sizes.
  void descend(std::span<double> parameters, std::span<const double> gradient,
               double learning_rate);

  /// For snapshots, bit by bit. load() throws Json::exception for what save() did not write.
  Json save() const;
  void load(const Json& json);

 private:
  std::vector<double> first_, second_;
  double first_power_ = 1, second_power_ = 1;  // of the decay rates, to the number of steps
};

}  // namespace espalier
