#include "strategies/darts.hpp"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "strategies/unrolled_gradient.hpp"
#include "training/losses.hpp"
#include "training/step_training.hpp"

namespace espalier {
namespace {

/// 1 for what may still be chosen.
at::Tensor open(const at::Tensor& logits) { return at::isfinite(logits).to(logits.scalar_type()); }

at::Tensor concentrations(const at::Tensor& logits) { return at::elu(logits) + 1; }

}  // namespace

// ---- DARTS

OptionTable<DartsSearchOptions> darts_option_table() {
  OptionTable<DartsSearchOptions> table("DARTS: all operators at once, weighed by a softmax");
  return add_darts_options(table);
}

Darts::Darts(const RunContext& context, const DartsSearchOptions& options)
    : Darts(context, options, "darts", architecture_optimizer(options)) {
  start();
}

Darts::Darts(const RunContext& context, const DartsSearchOptions& options, const std::string& name,
             const ArchitectureOptimizer& optimizer)
    : DifferentiableSearch(context, options, name, optimizer), order_(options.order) {
  if (order_ == DartsOrder::second && steps().options().optimizer != OptimizerKind::sgd) {
    throw ConfigError("/order",
                      "the second order unrolls a step of \"sgd\"; write that as the optimizer of "
                      "the evaluator's training, or \"first\"");
  }
}

void Darts::learn_architecture(const TrainStep& step) {
  if (order_ == DartsOrder::first) return DifferentiableSearch::learn_architecture(step);
  if (places_.empty()) {
    const NamedTensors& all = steps().supernet().parameters();
    for (const auto& [name, tensor] : learning()) {
      const auto found = std::ranges::find(all, name, &NamedTensors::value_type::first);
      places_.push_back(static_cast<std::size_t>(found - all.begin()));
    }
  }
  const Pass own = pass(step, Part::architecture);
  const Batch learned = step.batch(input_size()), held = architecture_batch(step);
  Bilevel problem;
  for (const auto& [name, tensor] : learning()) problem.weights.push_back(tensor);
  problem.parameters = parameters().values();
  problem.training_loss = [&] {
    const at::Tensor value = cross_entropy(forward(learned, relaxed(own)), learned.labels,
                                           steps().options().label_smoothing);
    step.value(value);
    return value;
  };
  problem.validation_loss = [&] { return architecture_loss(loss(step, held, relaxed(own))); };
  problem.step = [&](const std::vector<at::Tensor>& gradients) {
    std::vector<at::Tensor> directions;
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      directions.push_back(gradients[i].defined()
                               ? step.optimizer().direction(places_[i], gradients[i])
                               : at::Tensor());
    }
    return directions;
  };
  const TrainOptions& options = steps().options();
  problem.slope = options.nesterov ? 1 + options.momentum : 1;
  problem.learning_rate = step.learning_rate();
  descend(unrolled_gradient(problem));
}

// ---- PC-DARTS

OptionTable<PcDartsOptions> pc_darts_option_table() {
  OptionTable<PcDartsOptions> table("PC-DARTS: operators see a part of the channels");
  table.add("channel_share", &PcDartsOptions::channel_share,
            "K: operators see the first 1/K of the channels", at_least(2));
  return add_darts_options(table);
}

PcDarts::PcDarts(const RunContext& context, const PcDartsOptions& options)
    : Darts(context, options, "pc_darts", architecture_optimizer(options)),
      channel_share_(options.channel_share) {
  start();
}

at::Tensor PcDarts::relax_inputs(const at::Tensor& logits, const RelaxedDecision&, Pass&) {
  return logits.softmax(0);
}
at::Tensor PcDarts::expected(const at::Tensor& logits, const RelaxedDecision&) const {
  return logits.softmax(0);
}
MixedOptions PcDarts::mixed_options() const {
  MixedOptions options = Darts::mixed_options();
  options.channel_share = channel_share_;
  return options;
}

// ---- FairDARTS

OptionTable<FairDartsOptions> fair_darts_option_table() {
  OptionTable<FairDartsOptions> table("FairDARTS: operators do not compete, by sigmoids");
  table
      .add("zero_one_weight", &FairDartsOptions::zero_one_weight,
           "of the loss that draws weights to 0 or 1", at_least(0))
      .add("threshold", &FairDartsOptions::threshold,
           "below which an edge is closed, where one can be", between(0, 1));
  return add_darts_options(table);
}

FairDarts::FairDarts(const RunContext& context, const FairDartsOptions& options)
    : Darts(context, options, "fair_darts", architecture_optimizer(options, 0.9)),
      zero_one_weight_(options.zero_one_weight),
      threshold_(options.threshold) {
  for (const RelaxedDecision& d : parameters().decisions()) {
    if (d.operators || d.pick > 1) continue;
    throw UnsupportedError(
        fmt::format("\"fair_darts\" weighs options by sigmoids, but decision '{}' is on a number, "
                    "whose options share a weight of 1; take \"darts\"",
                    d.name));
  }
  start({.mean = 0, .deviation = 0});
}

at::Tensor FairDarts::relax(const at::Tensor& logits, const RelaxedDecision&, Pass&) {
  return logits.sigmoid();
}
at::Tensor FairDarts::expected(const at::Tensor& logits, const RelaxedDecision& decision) const {
  return decision.pick > 1 ? Darts::expected(logits, decision) : logits.sigmoid();
}

at::Tensor FairDarts::architecture_penalty() const {
  at::Tensor sum = at::zeros({}, at::kDouble);
  std::int64_t count = 0;
  for (std::size_t d = 0; d < parameters().decisions().size(); ++d) {
    if (parameters().decisions()[d].pick > 1) continue;
    const at::Tensor weights = logits(d).sigmoid();
    sum = sum + (weights - 0.5).square().sum();
    count += weights.numel();
  }
  return -zero_one_weight_ * sum / static_cast<double>(std::max<std::int64_t>(1, count));
}

Strengths FairDarts::derivable() const {
  const std::span<const RelaxedDecision> decisions = parameters().decisions();
  Strengths values = strengths();
  for (std::size_t d = 0; d < decisions.size(); ++d) {
    if (!decisions[d].zero) continue;
    double& zero = values[d][*decisions[d].zero];
    zero = 0;  // it has no weight of its own, but is what is left
    if (std::ranges::max(values[d]) < threshold_) zero = 1;
  }
  return values;
}

// ---- DrNAS

OptionTable<DrNasOptions> dr_nas_option_table() {
  OptionTable<DrNasOptions> table("DrNAS: weights of operators drawn from Dirichlet distributions");
  table.add("kl_weight", &DrNasOptions::kl_weight, "of the divergence from the flat distribution",
            at_least(0));
  return add_darts_options(table);
}

DrNas::DrNas(const RunContext& context, const DrNasOptions& options)
    : Darts(context, options, "dr_nas", architecture_optimizer(options)),
      kl_weight_(options.kl_weight) {
  start();
}

at::Tensor DrNas::relax(const at::Tensor& logits, const RelaxedDecision&, Pass& pass) {
  // By the distribution's properties, what is left of a draw without the dropped options is a draw
  // of the others.
  const at::Tensor left = open(logits);
  const at::Tensor draw =
      draw_dirichlet(concentrations(logits.masked_fill(left == 0, 0)), pass.rng) * left;
  return draw / draw.sum();
}

at::Tensor DrNas::expected(const at::Tensor& logits, const RelaxedDecision& decision) const {
  if (decision.pick > 1) return Darts::expected(logits, decision);
  const at::Tensor left = open(logits);
  const at::Tensor c = concentrations(logits.masked_fill(left == 0, 0)) * left;
  return c / c.sum();
}

at::Tensor DrNas::architecture_penalty() const {
  if (kl_weight_ == 0) return {};
  at::Tensor sum = at::zeros({}, at::kDouble);
  for (std::size_t d = 0; d < parameters().decisions().size(); ++d) {
    if (parameters().decisions()[d].pick > 1) continue;
    const at::Tensor all = logits(d);
    const at::Tensor c = concentrations(all.masked_select(at::isfinite(all)));
    const at::Tensor total = c.sum();
    // From the flat one, whose concentrations are 1.
    sum = sum + at::lgamma(total) - at::lgamma(c).sum() -
          std::lgamma(static_cast<double>(c.numel())) +
          ((c - 1) * (at::digamma(c) - at::digamma(total))).sum();
  }
  return kl_weight_ * sum;
}

at::Tensor draw_dirichlet(const at::Tensor& concentrations, Rng& rng) {
  at::Tensor draw, slope;
  const at::Tensor c = concentrations.detach();
  {
    const at::NoGradGuard no_grad;
    draw = at::_sample_dirichlet(c, at::make_generator<at::CPUGeneratorImpl>(rng.next()));
    slope = at::_dirichlet_grad(draw, c, c.sum().expand_as(c));
  }
  // Equal to the draw; the derivative of draw i by concentration j is slope_j (i == j) less
  // draw_i slope_j.
  const at::Tensor change = slope * (concentrations - c);
  return draw + change - draw * change.sum();
}

// ---- DARTS-

OptionTable<DartsMinusOptions> darts_minus_option_table() {
  OptionTable<DartsMinusOptions> table("DARTS-: with auxiliary skip connections that fade");
  table.add("auxiliary", &DartsMinusOptions::auxiliary,
            "weight of the auxiliary skip connections at first", greater_than(0));
  return add_darts_options(table);
}

DartsMinus::DartsMinus(const RunContext& context, const DartsMinusOptions& options)
    : Darts(context, options, "darts_minus", architecture_optimizer(options)),
      auxiliary_(options.auxiliary) {
  const auto skips = [](const RelaxedDecision& d) { return d.skip.has_value(); };
  if (std::ranges::none_of(parameters().decisions(), skips)) {
    throw UnsupportedError(
        "\"darts_minus\" adds to skip connections, but no decision of this space has one; take "
        "\"darts\"");
  }
  start();
}

at::Tensor DartsMinus::with_auxiliary(const at::Tensor& weights, const RelaxedDecision& decision,
                                      int epoch, int epochs) const {
  if (!decision.skip || !decision.operators) return weights;
  at::Tensor skip = at::zeros_like(weights);
  skip[static_cast<std::int64_t>(*decision.skip)] =
      auxiliary_ * (1 - static_cast<double>(epoch) / epochs);
  return weights + skip;
}

at::Tensor DartsMinus::relax(const at::Tensor& logits, const RelaxedDecision& decision,
                             Pass& pass) {
  return with_auxiliary(Darts::relax(logits, decision, pass), decision, pass.epoch, pass.epochs);
}

MixedWeights DartsMinus::trained_weights() const {
  MixedWeights weights = expected_weights();
  for (std::size_t d = 0; d < weights.size(); ++d) {
    weights[d] = with_auxiliary(weights[d], parameters().decisions()[d], std::max(0, epoch() - 1),
                                training().epochs());
  }
  return weights;
}

}  // namespace espalier
