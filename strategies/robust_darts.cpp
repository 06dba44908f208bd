#include "strategies/robust_darts.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/autograd.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

#include "core/error.hpp"
#include "core/json.hpp"
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
      .add("attack_steps", &SdartsOptions::attack_steps,
           "of the adversarial perturbation, by default 7", at_least(1));
  return add_darts_options(table);
}

Sdarts::Sdarts(const RunContext& context, const SdartsOptions& options)
    : Darts(context, options, "sdarts", architecture_optimizer(options)),
      perturbation_(options.perturbation),
      first_radius_(options.first_radius),
      last_radius_(options.last_radius),
      attack_steps_(options.attack_steps.value_or(7)) {
  if (options.attack_steps && perturbation_ != Perturbation::adversarial) {
    throw ConfigError("/attack_steps",
                      "what moves at random has no attack; write \"adversarial\", or leave it out");
  }
  const auto several = [](const RelaxedDecision& d) { return d.pick > 1; };
  if (std::ranges::all_of(parameters().decisions(), several)) {
    throw UnsupportedError(
        "\"sdarts\" moves the weights of options of which one is picked, but of every decision of "
        "this space several are; take \"darts\"");
  }
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
  return DifferentiableSearch::learn_weights(step, batch,
                                             attacked(step, batch, weights, radius(step.epoch())));
}

double Sdarts::radius(std::int64_t epoch) const {
  return first_radius_ +
         (last_radius_ - first_radius_) * static_cast<double>(epoch) / training().epochs();
}

// ---- R-DARTS

OptionTable<RDartsOptions> r_darts_option_table() {
  OptionTable<RDartsOptions> table(
      "R-DARTS: goes back and decays weights more where the loss has become sharp");
  table
      .add("weight_decay_factor", &RDartsOptions::weight_decay_factor,
           "what the weight decay of the shared weights is multiplied by, each time",
           greater_than(1))
      .add("most_weight_decay", &RDartsOptions::most_weight_decay, "above which it does not grow",
           greater_than(0));
  return add_darts_options(table);
}

RDarts::RDarts(const RunContext& context, const RDartsOptions& options)
    : Darts(context, options, "r_darts", architecture_optimizer(options)),
      factor_(options.weight_decay_factor),
      most_(options.most_weight_decay) {
  if (options.eigenvalue_every == 0) {
    throw ConfigError("/eigenvalue_every",
                      "\"r_darts\" looks at the eigenvalue; write how often it is measured");
  }
  if (steps().options().weight_decay == 0) {
    throw ConfigError("/weight_decay_factor",
                      "the weight decay of the evaluator's training is 0, which no factor raises; "
                      "write one, such as 3e-4");
  }
  if (raises_left() == 0) {
    throw ConfigError("/most_weight_decay",
                      fmt::format("a weight decay of {} cannot be raised to {} times that, above "
                                  "{}; write a larger limit or a smaller weight decay",
                                  weight_decay(), factor_, most_));
  }
  if (!growth_can_show(training().epochs() - 1)) {
    throw ConfigError(
        "/eigenvalue_every",
        fmt::format("{} epochs are too few to see the eigenvalue grow before the "
                    "last one; write more{}",
                    training().epochs(),
                    options.eigenvalue_every > 1 ? ", or measure it more often" : ""));
  }
  start();
}

void RDarts::begin_epoch() {
  if (raises_left() == 0 || measured().empty() || measured().back().epoch != epoch()) return;
  kept_.push_back({epoch(), steps().state()});
  if (const auto since = grown_since()) {
    const auto then = std::ranges::find(kept_, since->epoch, &Kept::epoch);
    assert(then != kept_.end());
    steps().restore(then->state);
    ++raises_;
    steps().set_weight_decay(weight_decay());
    set_restarts(raises_);
    forget_after(since->epoch);
    kept_.erase(then + 1, kept_.end());
  }
  // Each raise may go so far back from the measurement that comes next.
  const EigenvalueGrowth growth;
  const auto reach = static_cast<std::size_t>(raises_left() * (growth.first() - 1));
  while (kept_.size() > reach) kept_.pop_front();
}

double RDarts::weight_decay() const {
  return steps().options().weight_decay * std::pow(factor_, raises_);
}

int RDarts::raises_left() const {
  constexpr double rounding = 1e-9;
  const double left = std::log(most_ * (1 + rounding) / weight_decay()) / std::log(factor_);
  return static_cast<int>(std::clamp(left, 0.0, 1000.0));
}

bool RDarts::answers_growth() const { return raises_left() > 0 && epoch() < training().epochs(); }

void RDarts::add_notes(Notes& notes) const {
  notes.numbers.emplace_back("weight_decay", weight_decay());
  if (const auto since = grown_since(); since && answers_growth()) {
    notes.numbers.emplace_back("goes_back_to", since->epoch);
  }
}

namespace {

std::filesystem::path file_of(const std::filesystem::path& directory, int epoch) {
  return directory / fmt::format("epoch-{}.safetensors", epoch);
}

}  // namespace

Json RDarts::save_own() const {
  Json epochs = Json::array();
  for (const Kept& one : kept_) epochs.push_back(one.epoch);
  return {{"raises", raises_}, {"kept", std::move(epochs)}};
}

void RDarts::load_own(const Json& state) {
  state.at("raises").get_to(raises_);
  kept_.clear();
  for (const Json& epoch : state.at("kept")) kept_.push_back({epoch.get<int>(), {}});
  set_restarts(raises_);
  steps().set_weight_decay(weight_decay());
}

void RDarts::save_files(const std::filesystem::path& directory) const {
  for (const Kept& one : kept_) write_tensors(file_of(directory, one.epoch), one.state);
}

void RDarts::load_files(const std::filesystem::path& directory) {
  for (Kept& one : kept_) one.state = read_tensors(file_of(directory, one.epoch));
}

}  // namespace espalier
