#include "strategies/architecture_parameters.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <utility>

#include "core/error.hpp"

namespace espalier {

ArchitectureParameters::ArchitectureParameters(std::vector<RelaxedDecision> decisions,
                                               std::vector<bool> none,
                                               const ArchitectureOptimizer& optimizer)
    : decisions_(std::move(decisions)), none_(std::move(none)), optimizer_(optimizer) {
  std::int64_t count = 0;
  for (std::size_t d = 0; d < decisions_.size(); ++d) {
    first_.push_back(count);
    count += static_cast<std::int64_t>(decisions_[d].options) + (none_[d] ? 1 : 0);
  }
  first_.push_back(count);
  values_ = at::zeros({count}, at::kDouble).set_requires_grad(true);
  mean_ = at::zeros({count}, at::kDouble);
  square_ = at::zeros({count}, at::kDouble);
  steps_ = at::zeros({count}, at::kDouble);
}

void ArchitectureParameters::reset(const Rng& rng, double mean, double deviation) {
  const at::NoGradGuard no_grad;
  Rng draw = rng;
  double* values = values_.data_ptr<double>();
  for (std::int64_t i = 0; i < first_.back(); ++i) values[i] = mean + deviation * draw.normal();
  mean_.zero_();
  square_.zero_();
  steps_.zero_();
}

at::Tensor ArchitectureParameters::part(const at::Tensor& all, std::size_t d) const {
  return all.narrow(0, first_[d], first_[d + 1] - first_[d]);
}

void ArchitectureParameters::step(const at::Tensor& gradient, const at::Tensor& moves) {
  const at::NoGradGuard no_grad;
  const at::Tensor g = gradient + optimizer_.weight_decay * values_;
  const auto moved = [&](const at::Tensor& before, const at::Tensor& after) {
    return moves.defined() ? at::where(moves != 0, after, before) : after;
  };
  steps_.copy_(moved(steps_, steps_ + 1));
  mean_.copy_(moved(mean_, optimizer_.beta1 * mean_ + (1 - optimizer_.beta1) * g));
  square_.copy_(moved(square_, optimizer_.beta2 * square_ + (1 - optimizer_.beta2) * g * g));
  const at::Tensor first = mean_ / (1 - at::pow(optimizer_.beta1, steps_));
  const at::Tensor second = (square_ / (1 - at::pow(optimizer_.beta2, steps_))).sqrt() + 1e-8;
  at::Tensor values = values_;
  values.copy_(moved(values_, values_ - optimizer_.learning_rate * first / second));
  if (values_.isfinite().all().item<bool>()) return;
  for (std::size_t d = 0; d < decisions_.size(); ++d) {
    if (part(values_, d).isfinite().all().item<bool>()) continue;
    throw NumericalError(
        fmt::format("the architecture parameters of decision '{}' are not finite any more; a lower "
                    "architecture_learning_rate, or a gradient_clip for the weights, may help",
                    decisions_[d].name));
  }
}

std::map<std::string, at::Tensor> ArchitectureParameters::tensors() const {
  return {{"alpha", values_},
          {"alpha.mean", mean_},
          {"alpha.square", square_},
          {"alpha.steps", steps_}};
}

}  // namespace espalier
