#include "training/optimizer.hpp"

#include <ATen/ATen.h>

#include <cassert>
#include <cmath>
#include <cstdint>
#include <utility>

namespace espalier {

Optimizer::Optimizer(const NamedTensors& parameters, const TrainOptions& options)
    : kind_(options.optimizer), momentum_(options.momentum), nesterov_(options.nesterov) {
  for (const auto& [name, parameter] : parameters) {
    Slot slot{.parameter = parameter, .weight_decay = 0, .first = {}, .second = {}, .steps = {}};
    const auto add = [&](const std::string& what, at::Tensor value) {
      return state_.emplace(name + what, std::move(value)).first->second;
    };
    const auto zeros = [&] { return at::zeros_like(parameter.detach()); };
    if (kind_ == OptimizerKind::adamw) {
      slot.first = add(".gradient_mean", zeros());
      slot.second = add(".gradient_square_mean", zeros());
      slot.steps = add(".steps", at::zeros({}, at::kLong));
    } else if (momentum_ > 0) {
      slot.first = add(".momentum", zeros());
    }
    slots_.push_back(std::move(slot));
  }
  set_weight_decay(options.weight_decay);
}

void Optimizer::step(double learning_rate) {
  const at::NoGradGuard no_grad;
  for (Slot& slot : slots_) {
    const at::Tensor gradient = slot.parameter.grad();
    if (!gradient.defined()) continue;
    if (kind_ == OptimizerKind::adamw) {
      adapt(slot, gradient, learning_rate);
    } else {
      descend(slot, gradient, learning_rate);
    }
  }
}

void Optimizer::set_weight_decay(double weight_decay) {
  for (Slot& slot : slots_) {
    if (slot.parameter.dim() > 1) slot.weight_decay = weight_decay;
  }
}

at::Tensor Optimizer::direction(std::size_t i, const at::Tensor& gradient) const {
  assert(kind_ == OptimizerKind::sgd);
  const at::NoGradGuard no_grad;
  const Slot& slot = slots_[i];
  at::Tensor direction = gradient;
  if (slot.weight_decay > 0) direction = direction.add(slot.parameter, slot.weight_decay);
  if (momentum_ == 0) return direction;
  const at::Tensor momentum = slot.first.mul(momentum_).add(direction);
  return nesterov_ ? direction.add(momentum, momentum_) : momentum;
}

void Optimizer::descend(Slot& slot, const at::Tensor& gradient, double learning_rate) {
  at::Tensor direction = gradient;
  if (slot.weight_decay > 0) direction = direction.add(slot.parameter, slot.weight_decay);
  if (momentum_ > 0) {
    slot.first.mul_(momentum_).add_(direction);
    direction = nesterov_ ? direction.add(slot.first, momentum_) : slot.first;
  }
  slot.parameter.add_(direction, -learning_rate);
}

void Optimizer::adapt(Slot& slot, const at::Tensor& gradient, double learning_rate) {
  constexpr double eps = 1e-8, square_momentum = 0.999;
  if (slot.weight_decay > 0) slot.parameter.mul_(1 - learning_rate * slot.weight_decay);
  slot.first.mul_(momentum_).add_(gradient, 1 - momentum_);
  slot.second.mul_(square_momentum).addcmul_(gradient, gradient, 1 - square_momentum);
  // The means began at zero; these are the weights that they have gathered since.
  slot.steps.add_(1);
  const double steps = static_cast<double>(slot.steps.item<std::int64_t>());
  const double first_weight = 1 - std::pow(momentum_, steps);
  const double second_weight = 1 - std::pow(square_momentum, steps);
  const at::Tensor deviation = (slot.second.sqrt() / std::sqrt(second_weight)).add_(eps);
  slot.parameter.addcdiv_(slot.first, deviation, -learning_rate / first_weight);
}

void Optimizer::scale_gradients(double factor) {
  const at::NoGradGuard no_grad;
  for (const Slot& slot : slots_) {
    if (slot.parameter.grad().defined()) slot.parameter.mutable_grad().mul_(factor);
  }
}

void Optimizer::clip_gradients(double norm) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> norms;
  for (const Slot& slot : slots_) {
    if (slot.parameter.grad().defined()) norms.push_back(slot.parameter.grad().norm());
  }
  if (norms.empty()) return;
  const double total = at::stack(norms).norm().item<double>();
  if (total > norm) scale_gradients(norm / total);
}

}  // namespace espalier
