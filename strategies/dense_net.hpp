#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "core/rng.hpp"

namespace espalier {

/// What a dense network's only output goes through.
enum class DenseOutput { linear, sigmoid };

/// A row of dense layers with one output; ReLU lies between them. Weights and biases of a layer
/// with n inputs are drawn from [-n^-1/2, n^-1/2) at first. Not thread-safe.
class DenseNet {
 public:
  /// `widths`: of the input and of the hidden layers.
  DenseNet(std::vector<std::size_t> widths, DenseOutput output, Rng rng);

  std::span<double> parameters() { return parameters_; }
  std::span<const double> parameters() const { return parameters_; }

  /// The outputs for `count` inputs, one after the other in one array.
  std::vector<double> forward(std::span<const double> inputs, std::size_t count);
  /// After forward(): adds to the gradient, of the size of parameters(), that of
  /// sum_i output_gradients[i] output_i, and returns the gradient by the inputs.
  std::vector<double> backward(std::span<const double> output_gradients,
                               std::span<double> gradient);

 private:
  std::vector<std::size_t> widths_;  // of all layers, the output's 1 included
  DenseOutput output_;
  std::vector<double> parameters_;  // of each layer its weights, input by input, and its biases
  std::vector<std::vector<double>> values_;  // of each layer, of the last forward()
};

}  // namespace espalier
