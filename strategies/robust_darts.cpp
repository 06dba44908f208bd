#include "strategies/robust_darts.hpp"

#include <torch/torch.h>

#include <utility>

#include "training/losses.hpp"
#include "training/step_training.hpp"

namespace espalier {

OptionTable<SdartsOptions> sdarts_option_table() {
  OptionTable<SdartsOptions> table("SDARTS: DARTS with perturbed weights of operators");
  table
      .add("perturbation", &SdartsOptions::perturbation,
           "what moves them: chance, or the gradient of the training loss",
           named<Perturbation>(
               {{"random", Perturbation::random}, {"adversarial", Perturbation::adversarial}}))
      .add("first_radius", &SdartsOptions::first_radius, "of each weight, in the first epoch",
           greater_than(0))
      .add("last_radius", &SdartsOptions::last_radius, "that the radius grows to", greater_than(0))
      .add("attack_steps", &SdartsOptions::attack_steps, "of the adversarial perturbation",
           at_least(1));
  return add_darts_options(table);
}

Sdarts::Sdarts(const RunContext& context, const SdartsOptions& options)
    : Darts(context, options, "sdarts", architecture_optimizer(options)),
      perturbation_(options.perturbation),
      first_radius_(options.first_radius),
      last_radius_(options.last_radius),
      attack_steps_(options.attack_steps) {
  start();
}

at::Tensor as_weights(const at::Tensor& numbers) {
  const at::Tensor inside = numbers.clamp(0, 1);
  if (inside.sum().item<double>() > 0) return inside / inside.sum();
  at::Tensor largest = at::zeros_like(numbers);
  largest[numbers.argmax(0).item<std::int64_t>()] = 1;
  return largest;
}

MixedWeights Sdarts::attacked(const TrainStep& step, const Batch& batch, const MixedWeights& given,
                              double radius) {
  const std::span<const RelaxedDecision> decisions = parameters().decisions();
  // With that of `none`, so that the weights of what moves sum to 1.
  MixedWeights weights = given;
  for (std::size_t d = 0; d < weights.size(); ++d) {
    if (parameters().none(d)) weights[d] = at::cat({weights[d], 1 - weights[d].sum().view(1)});
  }
  const auto without_none = [&](const MixedWeights& whole) {
    MixedWeights result;
    for (std::size_t d = 0; d < whole.size(); ++d) {
      result.push_back(whole[d].narrow(0, 0, static_cast<std::int64_t>(decisions[d].options)));
    }
    return result;
  };
  const Pass own = pass(step, Part::weights);
  MixedWeights moved = weights;
  for (std::size_t d = 0; d < weights.size(); ++d) {
    if (decisions[d].pick > 1) continue;
    Rng rng = own.rng.fork(d);
    at::Tensor noise = at::empty(weights[d].sizes(), at::kDouble);
    for (std::int64_t i = 0; i < noise.numel(); ++i) {
      noise.data_ptr<double>()[i] = radius * (2 * rng.uniform() - 1);
    }
    // What was dropped stays so.
    moved[d] = as_weights((weights[d] + noise) * (weights[d] > 0));
  }
  if (perturbation_ == Perturbation::random) return without_none(moved);

  const FixedWeights fixed(learning());
  Supernet& supernet = steps().supernet();
  supernet.eval();
  const auto loss_at = [&](const MixedWeights& at) {
    const at::Tensor loss = cross_entropy(forward(batch, without_none(at)), batch.labels,
                                          steps().options().label_smoothing);
    step.value(loss);
    return loss;
  };
  const auto value_at = [&](const MixedWeights& at) {
    const at::NoGradGuard no_grad;
    return loss_at(at).item<double>();
  };
  for (int i = 0; i < attack_steps_; ++i) {
    std::vector<at::Tensor> leaves;
    MixedWeights here;
    for (std::size_t d = 0; d < moved.size(); ++d) {
      const bool moves = decisions[d].pick == 1;
      here.push_back(moves ? moved[d].detach().clone().set_requires_grad(true) : moved[d]);
      if (moves) leaves.push_back(here.back());
    }
    const auto up = torch::autograd::grad({loss_at(here)}, leaves, {}, c10::nullopt, false,
                                          /*allow_unused=*/true);
    const at::NoGradGuard no_grad;
    std::size_t next = 0;
    for (std::size_t d = 0; d < moved.size(); ++d) {
      if (decisions[d].pick > 1) continue;
      const at::Tensor& gradient = up[next++];
      if (!gradient.defined()) continue;
      const at::Tensor further = moved[d] + 2 * radius / attack_steps_ * gradient.sign();
      const at::Tensor within = weights[d] + (further - weights[d]).clamp(-radius, radius);
      moved[d] = as_weights(within * (weights[d] > 0));
    }
  }
  const bool raised = value_at(moved) >= value_at(weights);
  supernet.train();
  return raised ? without_none(moved) : given;
}

Learned Sdarts::learn_weights(const TrainStep& step) {
  const Batch batch = step.batch(input_size());
  MixedWeights weights;
  {
    const at::NoGradGuard no_grad;
    weights = relaxed(pass(step, Part::weights));
  }
  const double radius = first_radius_ + (last_radius_ - first_radius_) *
                                            static_cast<double>(step.epoch()) / training().epochs();
  return DifferentiableSearch::learn_weights(step, batch, attacked(step, batch, weights, radius));
}

}  // namespace espalier
