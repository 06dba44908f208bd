#include "strategies/unrolled_gradient.hpp"

#include <ATen/ATen.h>
#include <torch/autograd.h>

#include <cmath>

namespace espalier {
namespace {

constexpr double length = 0.01;

/// Puts weights back, also after an exception.
class Restored {
 public:
  explicit Restored(const std::vector<at::Tensor>& weights) : weights_(weights) {
    const at::NoGradGuard no_grad;
    for (const at::Tensor& w : weights) before_.push_back(w.detach().clone());
  }
  ~Restored() { move({}, 0); }
  Restored(const Restored&) = delete;
  Restored& operator=(const Restored&) = delete;

  /// The weights as they were, plus `factor` times directions; none for nothing.
  void move(const std::vector<at::Tensor>& directions, double factor) {
    const at::NoGradGuard no_grad;
    for (std::size_t i = 0; i < weights_.size(); ++i) {
      at::Tensor w = weights_[i];
      w.copy_(before_[i]);
      if (i < directions.size() && directions[i].defined()) w.add_(directions[i], factor);
    }
  }

 private:
  std::vector<at::Tensor> weights_, before_;
};

std::vector<at::Tensor> gradients(const at::Tensor& loss, const std::vector<at::Tensor>& of) {
  return torch::autograd::grad({loss}, of, {}, c10::nullopt, false, /*allow_unused=*/true);
}

}  // namespace

at::Tensor unrolled_gradient(const Bilevel& problem) {
  const std::vector<at::Tensor> own = gradients(problem.training_loss(), problem.weights);
  Restored weights(problem.weights);
  weights.move(problem.step(own), -problem.learning_rate);

  std::vector<at::Tensor> all = problem.weights;
  all.push_back(problem.parameters);
  std::vector<at::Tensor> direction = gradients(problem.validation_loss(), all);
  const at::Tensor direct = direction.back();
  direction.pop_back();
  double squares = 0;
  for (const at::Tensor& v : direction) {
    if (v.defined()) squares += v.square().sum().item<double>();
  }
  const at::Tensor zero = at::zeros_like(problem.parameters);
  at::Tensor result = direct.defined() ? direct : zero;
  if (squares == 0) return result;
  const double epsilon = length / std::sqrt(squares);
  const auto of_training = [&](double factor) {
    weights.move(direction, factor);
    const at::Tensor found = gradients(problem.training_loss(), {problem.parameters})[0];
    return found.defined() ? found : zero;
  };
  const at::Tensor second = (of_training(epsilon) - of_training(-epsilon)) / (2 * epsilon);
  return result - problem.learning_rate * problem.slope * second;
}

}  // namespace espalier
