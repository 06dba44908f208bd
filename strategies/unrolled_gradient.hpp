// The gradient of a loss after a step of the weights, in what the step depends on.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

namespace espalier {

/// Weights that one loss teaches, and numbers that another one does.
struct Bilevel {
  std::vector<at::Tensor> weights;  ///< leaves with gradients
  at::Tensor parameters;            ///< a leaf with gradients
  /// Losses at the weights and parameters of the moment; differentiable in both.
  std::function<at::Tensor()> training_loss, validation_loss;
  /// What a step of the optimizer takes from the weights, by learning rate and the gradients of the
  /// training loss; of equal sizes.
  std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>& gradients)> step;
  double slope = 1;  ///< how fast what it takes changes with a gradient
  double learning_rate = 0;
};

/// d/dp of validation_loss(w'(p), p), where w' are the weights after one step: the second
/// derivatives of the training loss by central differences of its gradient in p along the gradient
/// of the validation loss, 0.01 long. The weights are what they were at the end.
/// Source: Liu et al., "DARTS", ICLR 2019, arXiv 1806.09055, equations 7 and 8. As in the authors'
/// code, the step is that of the optimizer, with momentum (by Nesterov, too) and weight decay.
/// Test: UnrolledGradient.IsTheImplicitTermOfAQuadraticProblem.
at::Tensor unrolled_gradient(const Bilevel& problem);

}  // namespace espalier
