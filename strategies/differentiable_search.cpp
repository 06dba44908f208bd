#include "strategies/differentiable_search.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/autograd.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "core/error.hpp"
#include "core/json.hpp"
#include "search_spaces/sampling.hpp"
#include "training/losses.hpp"
#include "training/step_training.hpp"
#include "training/threads.hpp"

namespace espalier {
namespace {

constexpr double collapsed_share = 0.5;  // of skips, above which a warning follows
constexpr double earliest_stop = 0.2;    // share of the epochs
constexpr double close_cost = 0.05;      // a cost that meets its target, as a share of it
constexpr int valid_draws = 1000, close_draws = 32, walks_to_target = 32;

const Supergraph& supergraph_of(const RunContext& context, const std::string& name) {
  const Supergraph* const supergraph = context.space->supergraph();
  if (supergraph != nullptr) return *supergraph;
  throw ConfigError("",
                    fmt::format("\"{}\" searches a relaxation of the space, but this one has no "
                                "supergraph; take another space, or a strategy that evaluates "
                                "one architecture at a time",
                                name));
}

std::vector<bool> with_none(std::span<const RelaxedDecision> decisions, std::optional<bool> none) {
  const bool inputs = std::ranges::any_of(decisions, [](const auto& d) { return d.pick > 1; });
  std::vector<bool> result;
  for (const RelaxedDecision& d : decisions) {
    result.push_back(d.pick == 1 && d.term && !d.zero && none.value_or(inputs));
  }
  return result;
}

double& noted(Notes& notes, std::string_view name) {
  return std::ranges::find(notes.numbers, name, &std::pair<std::string, double>::first)->second;
}

std::vector<double> numbers(const at::Tensor& t) {
  const at::Tensor values = t.detach().to(at::kDouble).contiguous();
  return {values.data_ptr<double>(), values.data_ptr<double>() + values.numel()};
}

}  // namespace

ArchitectureOptimizer architecture_optimizer(const DifferentiableOptions& options, double beta1) {
  return {.learning_rate = options.architecture_learning_rate,
          .weight_decay = options.architecture_weight_decay,
          .beta1 = beta1};
}

OptionTable<CostOptions> cost_option_table() {
  return OptionTable<CostOptions>("a cost of networks and its target")
      .add("metric", &CostOptions::metric,
           "params, macs, storage_bytes, or latency_ms@NAME or energy_mj@NAME of a hardware model",
           required())
      .add("target", &CostOptions::target, "in the metric's unit", greater_than(0), required())
      .add(
          "form", &CostOptions::form,
          "how it enters the loss: with a multiplier that is adapted until the target is met, what "
          "is above the target, or as a factor that is a power of cost / target",
          named<CostForm>({{"multiplier", CostForm::multiplier},
                           {"hinge", CostForm::hinge},
                           {"power", CostForm::power}}))
      .add("weight", &CostOptions::weight,
           "of the multiplier's steps, of the hinge, or the exponent; by default 0.01, 1 and 0.6",
           greater_than(0));
}

DifferentiableSearch::DifferentiableSearch(const RunContext& context,
                                           const DifferentiableOptions& options,
                                           const std::string& name,
                                           const ArchitectureOptimizer& optimizer)
    : WeightSharingSearch(context, {}, name),
      name_(name),
      common_(options),
      known_metrics_(context.known_metrics),
      initial_rng_(context.rng.fork("architecture parameters")),
      parameters_([&] {
        std::vector<RelaxedDecision> decisions = relaxed_decisions(supergraph_of(context, name));
        if (decisions.empty()) {
          throw ConfigError("", fmt::format("\"{}\" has nothing to search: this space has no "
                                            "decisions; take \"random\", which evaluates its one "
                                            "architecture",
                                            name));
        }
        std::vector<bool> none = with_none(decisions, options.none);
        mark_told_apart(decisions, none);
        return ArchitectureParameters(std::move(decisions), std::move(none), optimizer);
      }()),
      alive_(at::ones_like(parameters_.values())) {
  if (options.early_stopping && options.eigenvalue_every == 0) {
    throw ConfigError("/early_stopping",
                      "it looks at the eigenvalue, which is not measured; write an "
                      "\"eigenvalue_every\" of 1 or more");
  }
  multiplier_ = at::zeros({1}, at::kDouble);
  if (!options.cost) return;
  const CostOptions& cost = *options.cost;
  try {
    if (!context.cost_parts) throw ConfigError("/cost", "this run knows no costs");
    cost_ = std::make_unique<const ExpectedCost>(*context.space->supergraph(),
                                                 context.cost_parts(cost.metric), cost.metric);
  } catch (const UnsupportedError& error) {
    throw ConfigError("/cost/metric", error.what());
  }
  const ExpectedCost::Bounds bounds = cost_->bounds(*context.space, context.rng.fork("bounds"));
  // What costs less than a hinge's or a power's target is as it should be.
  const bool above =
      cost.form == CostForm::multiplier && cost.target > bounds.most * (1 + close_cost);
  if (cost.target < bounds.least * (1 - close_cost) || above) {
    throw ConfigError(
        "/cost/target",
        fmt::format("no architecture of this space has {} of {:.6g}: they lie between "
                    "{:.6g} and {:.6g}",
                    cost.metric, cost.target, bounds.least, bounds.most));
  }
  // Between those there may be none.
  Rng rng(1);
  Strengths alike;
  for (const RelaxedDecision& d : parameters_.decisions()) alike.emplace_back(d.options, 1.0);
  std::optional<double> nearest;
  for (int i = 0; i < walks_to_target; ++i) {
    const double found = cost_->of(fitted(sample_uniform(space(), rng), alike));
    if (!nearest || off_target(found) < off_target(*nearest)) nearest = found;
  }
  if (off_target(*nearest) > close_cost) {
    throw ConfigError(
        "/cost/target",
        fmt::format("no architecture of this space was found with {} of about {:.6g}; "
                    "the nearest has {:.6g}",
                    cost.metric, cost.target, *nearest));
  }
}

void DifferentiableSearch::start(const InitialParameters& initial,
                                 std::map<std::string, at::Tensor> tensors,
                                 const TrainingStage& stage) {
  if (common_.early_stopping && !takes_early_stopping()) {
    throw ConfigError("/early_stopping",
                      fmt::format("\"{}\" cannot end with the architecture of an earlier epoch; "
                                  "leave it out, or take \"darts\"",
                                  name_));
  }
  if (common_.early_stopping && !growth_can_show(training().epochs())) {
    throw ConfigError("/early_stopping",
                      fmt::format("{} epochs are too few to see the eigenvalue grow; write more{}, "
                                  "or leave it out",
                                  training().epochs(),
                                  common_.eigenvalue_every > 1 ? ", measure it more often" : ""));
  }
  if (steps().options().activations != Activations::kept) {
    throw UnsupportedError(fmt::format(
        "\"{}\" trains a relaxation, whose activations are kept; leave \"activations\" of the "
        "evaluator's training out",
        name_));
  }
  initial_ = initial;
  tensors_ = std::move(tensors);
  parameters_.reset(initial_rng_, initial.mean, initial.deviation);
  Supernet& supernet = steps().supernet();
  const Graph& graph = supernet.supergraph().graph();
  const Shape& input = graph.node(graph.input()).shape;
  if (!input[1].constant() || !input[2].constant()) {
    throw UnsupportedError(
        "an open resolution has no relaxation; give the space one, or take a strategy that runs "
        "one architecture at a time");
  }
  size_ = {input[1].value(), input[2].value()};
  {
    // What has no relaxation is refused before anything is trained.
    const at::NoGradGuard no_grad;
    const at::Tensor images = at::zeros(
        {2, input[0].value(), size_[0], size_[1]},
        at::TensorOptions().dtype(supernet.options().dtype).device(supernet.options().device));
    supernet.eval();
    try {
      supernet.forward_mixed(
          images, relaxed({Part::weights, 0, training().epochs(), initial_rng_.fork("check")}),
          mixed_options());
      // A draw of one option of each has not seen the others.
      supernet.forward_mixed(images, expected_weights(), mixed_options());
    } catch (const UnsupportedError& error) {
      throw UnsupportedError(
          fmt::format("\"{}\" searches a relaxation of the space; {}", name_, error.what()));
    }
  }
  begin_training(stage);
}

void DifferentiableSearch::restart(const TrainingStage& stage, int number) {
  parameters_.reset(initial_rng_.fork("stage").fork(static_cast<std::uint64_t>(number)),
                    initial_.mean, initial_.deviation);
  {
    const at::NoGradGuard no_grad;
    multiplier_.zero_();
  }
  set_restarts(number);
  begin_training(stage);
}

void DifferentiableSearch::begin_training(const TrainingStage& stage) {
  stage_epochs_ = stage.epochs > 0 ? stage.epochs : training().epochs();
  warmup_epochs(stage_epochs_);  // there are others
  std::map<std::string, at::Tensor> tensors = tensors_;
  tensors.merge(parameters_.tensors());
  tensors.emplace("alive", alive_);
  tensors.emplace("cost_multiplier", multiplier_);
  begin({.learn =
             [this](const TrainStep& step) {
               if (step.part() == 0 && architecture_learns(step)) learn_architecture(step);
               return learn_weights(step);
             },
         .tensors = std::move(tensors),
         .second_share = common_.architecture_share},
        stage);
  Supernet& supernet = steps().supernet();
  const Graph& graph = supernet.supergraph().graph();
  learning_.clear();
  fixed_.clear();
  std::map<std::string, bool> optional;  // by parameter: whether only some architectures have it
  for (NodeId id = 0; id < graph.size(); ++id) {
    if (common_.affine_norms || !std::holds_alternative<op::BatchNorm2d>(graph.node(id).op)) {
      continue;
    }
    if (supernet.supergraph().node_active(id) == Dim(1)) continue;
    optional[graph.name(id) + ".weight"] = optional[graph.name(id) + ".bias"] = true;
  }
  for (const auto& parameter : supernet.parameters()) {
    (optional.contains(parameter.first) ? fixed_ : learning_).push_back(parameter);
  }
}

void DifferentiableSearch::FixedWeights::set(bool learn) const {
  for (const auto& [name, tensor] : weights_) {
    at::Tensor weight = tensor;
    weight.set_requires_grad(learn);
  }
}

at::Tensor DifferentiableSearch::relax(const at::Tensor& logits, const RelaxedDecision&, Pass&) {
  return logits.softmax(0);
}
at::Tensor DifferentiableSearch::relax_inputs(const at::Tensor& logits,
                                              const RelaxedDecision& decision, Pass&) {
  return DifferentiableSearch::expected(logits, decision);
}
at::Tensor DifferentiableSearch::expected(const at::Tensor& logits,
                                          const RelaxedDecision& decision) const {
  if (decision.pick == 1) return logits.softmax(0);
  return decision.told_apart ? at::isfinite(logits).to(logits.scalar_type())
                             : decision.pick * logits.softmax(0);
}
MixedOptions DifferentiableSearch::mixed_options() const {
  return {.normalize_pools = common_.normalize_pools};
}

at::Tensor DifferentiableSearch::logits(std::size_t d) const {
  return parameters_.part(parameters_.values(), d)
      .masked_fill(parameters_.part(alive_, d) == 0, -std::numeric_limits<double>::infinity());
}

MixedWeights DifferentiableSearch::relaxed(Pass pass) {
  const std::span<const RelaxedDecision> decisions = parameters_.decisions();
  MixedWeights weights;
  for (std::size_t d = 0; d < decisions.size(); ++d) {
    Pass own = pass;
    own.rng = pass.rng.fork(d);
    const at::Tensor all = decisions[d].pick > 1 ? relax_inputs(logits(d), decisions[d], own)
                                                 : relax(logits(d), decisions[d], own);
    if (!at::isfinite(all).all().item<bool>()) {
      throw NumericalError(
          fmt::format("the weights of decision '{}' are not finite; a lower "
                      "architecture_learning_rate may help",
                      decisions[d].name));
    }
    weights.push_back(all.narrow(0, 0, static_cast<std::int64_t>(decisions[d].options)));
  }
  return weights;
}

Strengths DifferentiableSearch::strengths() const {
  const at::NoGradGuard no_grad;
  Strengths result;
  for (std::size_t d = 0; d < parameters_.decisions().size(); ++d) {
    result.push_back(numbers(expected(logits(d), parameters_.decisions()[d])));
  }
  return result;
}

void DifferentiableSearch::keep(std::size_t d, std::span<const std::size_t> options) {
  const at::NoGradGuard no_grad;
  at::Tensor own = parameters_.part(alive_, d);
  own.zero_();
  for (const std::size_t option : options) own[static_cast<std::int64_t>(option)] = 1;
}

std::vector<std::size_t> DifferentiableSearch::kept(std::size_t d) const {
  const at::Tensor own = parameters_.part(alive_, d);
  std::vector<std::size_t> result;
  for (std::int64_t k = 0; k < own.numel(); ++k) {
    if (own[k].item<double>() != 0) result.push_back(static_cast<std::size_t>(k));
  }
  return result;
}

double DifferentiableSearch::likelihood(std::size_t d, std::uint32_t choice,
                                        const Strengths& strengths) const {
  const RelaxedDecision& decision = parameters_.decisions()[d];
  double sum = 0;
  const auto times = [&](double strength) { sum += std::log(std::max(strength, 1e-30)); };
  for (const std::uint32_t k : picked_options(space().decisions()[d], choice)) {
    times(strengths[d][k]);
    if (decision.pick == 1 || !decision.edges[k]) continue;
    const std::size_t edge = *decision.edges[k];
    double strongest = 0;
    for (std::size_t o = 0; o < parameters_.decisions()[edge].options; ++o) {
      if (parameters_.decisions()[edge].zero != o)
        strongest = std::max(strongest, strengths[edge][o]);
    }
    times(strongest);
  }
  return sum;
}

double DifferentiableSearch::likelihood(const Architecture& a, const Strengths& strengths) const {
  double sum = 0;
  for (std::size_t d = 0; d < a.choices.size(); ++d) sum += likelihood(d, a.choices[d], strengths);
  return sum;
}

DifferentiableSearch::Off DifferentiableSearch::off(const Architecture& a) const {
  Off result;
  if (cost_) {
    result.cost = off_target(cost_->of(a));
    if (result.cost <= close_cost) result.cost = 0;
  }
  if (goals().constraints().empty() || !known_metrics_) return result;
  try {
    const Metrics known = known_metrics_(a);
    for (const Constraint& constraint : goals().constraints()) {
      const std::optional<double> value = known.find(constraint.metric);
      if (value) result.violation += violation(constraint, *value);
    }
  } catch (const UnsupportedError&) {  // its trial would fail
    result.violation = std::numeric_limits<double>::infinity();
  }
  return result;
}

Architecture DifferentiableSearch::drawn(const Strengths& values, Rng& rng) const {
  Architecture a;
  for (std::size_t d = 0; d < values.size(); ++d) {
    const RelaxedDecision& decision = parameters_.decisions()[d];
    std::vector<double> left(values[d].begin(),
                             values[d].begin() + static_cast<std::ptrdiff_t>(decision.options));
    std::vector<std::uint32_t> picked;
    while (picked.size() < static_cast<std::size_t>(decision.pick)) {
      if (std::ranges::max(left) <= 0) {  // nothing that has a weight: any of the others
        for (std::size_t k = 0; k < left.size(); ++k) {
          left[k] = std::ranges::find(picked, k) == picked.end() ? 1 : 0;
        }
      }
      picked.push_back(static_cast<std::uint32_t>(rng.weighted(left)));
      left[picked.back()] = 0;
    }
    std::ranges::sort(picked);
    a.choices.push_back(decision.pick == 1 ? picked[0] : rank_subset(picked));
  }
  return a;
}

Architecture DifferentiableSearch::likely_valid(const Strengths& values, Rng& rng) const {
  std::optional<Architecture> a;
  double highest = 0;
  for (int i = 0; i < valid_draws; ++i) {
    const Architecture next = drawn(values, rng);
    if (!space().valid(next)) continue;
    const double its = likelihood(next, values);
    if (a && its <= highest) continue;
    a = next;
    highest = its;
  }
  if (!a) a = sample_uniform(space(), rng);
  for (bool moved = true; moved;) {
    moved = false;
    for (std::size_t d = 0; d < a->choices.size(); ++d) {
      for (std::uint32_t c = 0; c < space().choice_counts()[d]; ++c) {
        if (likelihood(d, c, values) <= likelihood(d, a->choices[d], values)) continue;
        Architecture next = *a;
        next.choices[d] = c;
        if (!space().valid(next)) continue;
        a = next;
        moved = true;
      }
    }
  }
  return *a;
}

Architecture DifferentiableSearch::derived(const Strengths& values) const {
  Rng rng = initial_rng_.fork("derive");
  Architecture a = strongest(parameters_.decisions(), values);
  if (!space().valid(a)) a = likely_valid(values, rng);
  a = fitted(a, values);
  Off its = off(a);
  if (its == Off()) return space().canonical(a);
  // Where no change of a single decision helps any more: the same from other beginnings.
  double likely = likelihood(a, values);
  for (int i = 0; i < close_draws; ++i) {
    Architecture next = drawn(values, rng);
    if (!space().valid(next)) continue;
    next = fitted(next, values);
    const Off of_next = off(next);
    const double of_it = likelihood(next, values);
    if (of_next > its || (of_next == its && of_it <= likely)) continue;
    a = next;
    its = of_next;
    likely = of_it;
  }
  return space().canonical(a);
}

Architecture DifferentiableSearch::draw_architecture(Rng rng) const {
  // The largest of weights divided by exponential draws belongs to each option with its weight's
  // probability.
  const std::span<const RelaxedDecision> decisions = parameters_.decisions();
  const Strengths weights = derivable();
  Strengths values = weights;
  for (std::vector<double>& of_decision : values) {
    for (double& value : of_decision) {
      value /= std::max(-std::log1p(-rng.uniform()), std::numeric_limits<double>::min());
    }
  }
  // An input's is to be that of the sum of its operators, but derived() takes the strongest one's.
  for (std::size_t d = 0; d < values.size(); ++d) {
    if (decisions[d].pick == 1) continue;
    for (std::size_t k = 0; k < decisions[d].options; ++k) {
      if (!decisions[d].edges[k]) continue;
      const std::size_t edge = *decisions[d].edges[k];
      double sum = 0, strongest = 0;
      for (std::size_t o = 0; o < decisions[edge].options; ++o) {
        if (decisions[edge].zero == o) continue;
        sum += weights[edge][o];
        strongest = std::max(strongest, values[edge][o]);
      }
      values[d][k] *= strongest > 0 ? sum / strongest : 0;
    }
  }
  return derived(values);
}

Architecture DifferentiableSearch::sampled(const Rng& rng) {
  std::optional<Architecture> best;
  // Those that keep what they should first.
  Off least;
  double highest = 0;
  std::set<Architecture> seen;
  for (int i = 0; i < common_.derive_samples; ++i) {
    const Architecture a =
        draw_architecture(rng.fork("derive").fork(static_cast<std::uint64_t>(i)));
    if (!seen.insert(a).second) continue;
    const Off its = off(a);
    if (best && its > least) continue;
    const double accuracy = held_out_accuracy(steps().supernet().one_hot(a), rng);
    if (best && its == least && accuracy <= highest) continue;
    best = a;
    least = its;
    highest = accuracy;
  }
  return *best;
}

double DifferentiableSearch::off_target(double cost) const {
  const double off = cost / common_.cost->target - 1;
  return common_.cost->form == CostForm::multiplier ? std::abs(off) : std::max(0.0, off);
}

Architecture DifferentiableSearch::fitted(Architecture a, const Strengths& strengths) const {
  const auto dropped = [&](std::size_t d, std::uint32_t choice) {
    const at::Tensor alive = parameters_.part(alive_, d);
    return std::ranges::any_of(
        picked_options(space().decisions()[d], choice),
        [&](std::uint32_t k) { return alive[static_cast<std::int64_t>(k)].item<double>() == 0; });
  };
  for (Off its = off(a); its != Off();) {
    // The change that loses the least likelihood for what it comes nearer to the constraints, then
    // to the cost; to what was dropped only where no other one does.
    std::optional<Architecture> best;
    std::tuple<bool, bool, double> least;
    Off of_best;
    for (std::size_t d = 0; d < a.choices.size(); ++d) {
      for (std::uint32_t c = 0; c < space().choice_counts()[d]; ++c) {
        Architecture next = a;
        next.choices[d] = c;
        if (c == a.choices[d] || !space().valid(next)) continue;
        const Off of_next = off(next);
        if (!(of_next < its)) continue;
        const bool of_constraints = of_next.violation < its.violation;
        const double nearer =
            of_constraints ? its.violation - of_next.violation : its.cost - of_next.cost;
        const double lost = likelihood(d, a.choices[d], strengths) - likelihood(d, c, strengths);
        const std::tuple price(!of_constraints, dropped(d, c),
                               std::isfinite(nearer) ? lost / nearer : lost);
        if (best && price >= least) continue;
        best = next;
        least = price;
        of_best = of_next;
      }
    }
    if (!best) break;
    a = *best;
    its = of_best;
  }
  return a;
}

DifferentiableSearch::Pass DifferentiableSearch::pass(const TrainStep& step, Part part) const {
  return {part, static_cast<int>(step.epoch()), stage_epochs_,
          step.rng()
              .fork(part == Part::weights ? "relaxation" : "relaxation for the architecture")
              .fork(static_cast<std::uint64_t>(step.part()))};
}

int DifferentiableSearch::warmup_epochs(int epochs) const {
  constexpr double rounding = 1e-9;
  const int count = static_cast<int>(std::ceil(common_.warmup * epochs - rounding));
  if (count >= epochs) {
    throw ConfigError("/warmup",
                      fmt::format("with a share of {:.3g}, weights would learn alone in all of {} "
                                  "epochs; write a smaller share, or more epochs",
                                  common_.warmup, epochs));
  }
  return count;
}

bool DifferentiableSearch::architecture_learns(const TrainStep& step) const {
  return step.epoch() >= warmup_epochs(stage_epochs_) &&
         step.index() % common_.architecture_every == 0;
}

at::Tensor DifferentiableSearch::forward(const Batch& batch, const MixedWeights& weights) {
  return steps().supernet().forward_mixed(batch.images, weights, mixed_options());
}

at::Tensor DifferentiableSearch::loss(const TrainStep& step, const Batch& batch,
                                      const MixedWeights& weights) {
  const at::Tensor loss = cross_entropy(forward(batch, weights), batch.labels, 0);
  step.value(loss, [] { return "the architecture"; });
  return loss;
}

double DifferentiableSearch::cost_weight() const {
  constexpr std::array defaults{0.01, 1.0, 0.6};
  return common_.cost->weight.value_or(defaults[static_cast<std::size_t>(common_.cost->form)]);
}

at::Tensor DifferentiableSearch::architecture_loss(const at::Tensor& loss,
                                                   const MixedWeights& weights) const {
  const at::Tensor penalty = architecture_penalty();
  const auto with_penalty = [&](const at::Tensor& sum) {
    return penalty.defined() ? sum + penalty : sum;
  };
  if (!cost_) return with_penalty(loss);
  const at::Tensor ratio =
      cost_->of(weights.empty() ? cost_weights() : weights) / common_.cost->target;
  switch (common_.cost->form) {
    case CostForm::multiplier:
      return with_penalty(loss + multiplier_[0] * (ratio - 1));
    case CostForm::hinge:
      return with_penalty(loss + cost_weight() * at::relu(ratio - 1));
    case CostForm::power:
      break;
  }
  // A penalty may be negative, and a product with it would want the cost to grow.
  return with_penalty(loss * ratio.pow(cost_weight()));
}

at::Tensor DifferentiableSearch::architecture_gradient(const at::Tensor& loss,
                                                       const MixedWeights& weights) const {
  const at::Tensor total = architecture_loss(loss, weights);
  // As where every decision drew `none`.
  if (!total.requires_grad()) return at::zeros_like(parameters_.values());
  const at::Tensor found = torch::autograd::grad({total}, {parameters_.values()}, {}, c10::nullopt,
                                                 false, /*allow_unused=*/true)[0];
  return found.defined() ? found : at::zeros_like(parameters_.values());
}

at::Tensor DifferentiableSearch::architecture_gradient(double loss,
                                                       const at::Tensor& gradient) const {
  const at::Tensor value = at::scalar_tensor(loss, at::kDouble).set_requires_grad(true);
  const std::vector<at::Tensor> found =
      torch::autograd::grad({architecture_loss(value)}, {value, parameters_.values()}, {},
                            c10::nullopt, false, /*allow_unused=*/true);
  const at::Tensor through = gradient * found[0];
  return found[1].defined() ? through + found[1] : through;
}

void DifferentiableSearch::descend(const at::Tensor& gradient) {
  parameters_.step(gradient, alive_);
  if (!cost_ || common_.cost->form != CostForm::multiplier) return;
  const at::NoGradGuard no_grad;
  multiplier_ += cost_weight() * (cost_->of(cost_weights()) / common_.cost->target - 1);
}

void DifferentiableSearch::learn_architecture(const TrainStep& step) {
  const FixedWeights fixed(learning_);
  const MixedWeights weights = relaxed(pass(step, Part::architecture));
  descend(architecture_gradient(loss(step, architecture_batch(step), weights)));
}

Learned DifferentiableSearch::learn_weights(const TrainStep& step) {
  MixedWeights weights;
  {
    const at::NoGradGuard no_grad;
    weights = relaxed(pass(step, Part::weights));
  }
  return learn_weights(step, step.batch(size_), weights);
}

Learned DifferentiableSearch::learn_weights(const TrainStep& step, const Batch& batch,
                                            const MixedWeights& weights) {
  const at::Tensor logits = forward(batch, weights);
  const at::Tensor loss = cross_entropy(logits, batch.labels, steps().options().label_smoothing);
  const double value = step.value(loss);
  loss.backward();
  return {value, count_correct(logits.detach(), batch.labels)};
}

std::vector<Candidate> DifferentiableSearch::next_round(const Rng& rng) {
  begin_epoch();
  const FixedWeights norms(fixed_);
  if (!train(1)) return {};
  const TorchThreads threads(steps().options().threads);
  end_epoch(rng.fork("end of epoch"));
  Candidate candidate{.architecture = common_.derive_samples > 0 ? sampled(rng) : derive()};
  candidate.notes = notes_of(candidate.architecture, rng);
  add_notes(candidate.notes);
  candidate.fidelity = static_cast<double>(epoch()) / training().epochs();
  const std::optional<Measured> since = grown_since();
  if (common_.early_stopping && since) {
    end();
    candidate.architecture = since->architecture;
    candidate.fidelity = 1;
    const double derived =
        held_out_accuracy(steps().supernet().one_hot(candidate.architecture), rng);
    double& gap = noted(candidate.notes, "discretization_gap");
    double& accuracy = noted(candidate.notes, "derived_accuracy");
    gap += accuracy - derived;
    accuracy = derived;
    double& skips = noted(candidate.notes, "skip_share");
    skips = skip_share(space(), parameters_.decisions(), candidate.architecture);
    candidate.notes.warning = warning_of(candidate.architecture, since->epoch, skips);
    candidate.notes.numbers.emplace_back("of_epoch", since->epoch);
  }
  return {candidate};
}

MixedWeights DifferentiableSearch::expected_weights() const {
  MixedWeights weights;
  for (std::size_t d = 0; d < parameters_.decisions().size(); ++d) {
    const RelaxedDecision& decision = parameters_.decisions()[d];
    weights.push_back(
        expected(logits(d), decision).narrow(0, 0, static_cast<std::int64_t>(decision.options)));
  }
  return weights;
}

MixedWeights DifferentiableSearch::cost_weights() const {
  MixedWeights weights = expected_weights();
  for (std::size_t d = 0; d < weights.size(); ++d) {
    if (parameters_.decisions()[d].pick == 1) weights[d] = weights[d] / weights[d].sum();
  }
  return weights;
}

namespace {

/// By batch statistics, without learning any: what it holds of batches is put back.
class BatchStatistics {
 public:
  explicit BatchStatistics(Supernet& supernet)
      : supernet_(supernet), training_(supernet.training()) {
    for (const auto& [name, tensor] : supernet.buffers()) before_.push_back(tensor.clone());
    supernet.train();
    supernet.set_activation_ranges(ActivationRanges::fixed);
    supernet.set_dropout(false);
  }
  ~BatchStatistics() {
    const at::NoGradGuard no_grad;
    for (std::size_t i = 0; i < before_.size(); ++i) {
      at::Tensor buffer = supernet_.buffers()[i].second;
      buffer.copy_(before_[i]);
    }
    supernet_.set_dropout(true);
    supernet_.set_activation_ranges(ActivationRanges::learned);
    if (!training_) supernet_.eval();
  }
  BatchStatistics(const BatchStatistics&) = delete;
  BatchStatistics& operator=(const BatchStatistics&) = delete;

 private:
  Supernet& supernet_;
  bool training_;
  std::vector<at::Tensor> before_;
};

}  // namespace

double DifferentiableSearch::accuracy(const MixedWeights& weights, StepTraining::Images images,
                                      int batches, const Rng& rng) {
  const at::NoGradGuard no_grad;
  const BatchStatistics statistics(steps().supernet());
  std::int64_t correct = 0, all = 0;
  for (int i = 0; i < batches; ++i) {
    const Batch batch = steps().draw(images, size_, rng.fork(static_cast<std::uint64_t>(i)));
    correct += count_correct(forward(batch, weights), batch.labels);
    all += batch.labels.size(0);
  }
  return percent(correct, all);
}

double DifferentiableSearch::held_out_accuracy(const MixedWeights& weights, const Rng& rng) {
  return accuracy(weights, StepTraining::Images::held_out, common_.monitor_batches,
                  rng.fork("held out"));
}

StepTraining::Images DifferentiableSearch::unlearned_images() const {
  return common_.architecture_share > 0 ? StepTraining::Images::second
                                        : StepTraining::Images::held_out;
}

double DifferentiableSearch::largest_eigenvalue(const Rng& rng) {
  const FixedWeights fixed(learning_);
  const BatchStatistics statistics(steps().supernet());
  const Batch batch = steps().draw(unlearned_images(), size_, rng.fork("batch"));
  const at::Tensor& alpha = parameters_.values();
  const at::Tensor loss = cross_entropy(forward(batch, trained_weights()), batch.labels, 0);
  const at::Tensor gradient = torch::autograd::grad({loss}, {alpha}, {}, true, true)[0];
  const auto product = [&](const at::Tensor& v) {
    return torch::autograd::grad({(gradient * v).sum()}, {alpha}, {}, /*retain_graph=*/true)[0]
        .detach();
  };
  return espalier::largest_eigenvalue(product, alpha.numel(), rng.fork("start"));
}

std::string DifferentiableSearch::remedy() const {
  std::string stop;
  const bool possible = takes_early_stopping() && growth_can_show(training().epochs());
  if (possible && !common_.early_stopping) stop = "write \"early_stopping\": true, or ";
  std::string others;
  for (const std::string other : {"sdarts", "darts_minus"}) {
    if (other != name_) others += (others.empty() ? "" : " or ") + other;
  }
  return stop + "try another strategy, such as " + others;
}

Notes DifferentiableSearch::notes_of(const Architecture& a, const Rng& rng) {
  Notes notes;
  const auto add = [&](const char* name, double value) { notes.numbers.emplace_back(name, value); };
  double entropy = 0;
  std::size_t counted = 0;
  const Strengths values = strengths();
  for (std::size_t d = 0; d < values.size(); ++d) {
    if (parameters_.decisions()[d].pick > 1 || values[d].size() < 2) continue;
    const double sum = std::accumulate(values[d].begin(), values[d].end(), 0.0);
    double own = 0;
    for (const double value : values[d]) own -= value > 0 ? value / sum * std::log(value / sum) : 0;
    entropy += own / std::log(static_cast<double>(values[d].size()));
    ++counted;
  }
  add("entropy", counted == 0 ? 0 : entropy / static_cast<double>(counted));
  const double skips = skip_share(space(), parameters_.decisions(), a);
  add("skip_share", skips);
  if (cost_) {
    const at::NoGradGuard no_grad;
    add("expected_cost", cost_->of(cost_weights()).item<double>());
  }
  const double relaxed = held_out_accuracy(trained_weights(), rng);
  const double derived = held_out_accuracy(steps().supernet().one_hot(a), rng);
  add("relaxed_accuracy", relaxed);
  add("derived_accuracy", derived);
  add("discretization_gap", relaxed - derived);
  const bool due = common_.eigenvalue_every > 0 &&
                   (epoch() % common_.eigenvalue_every == 0 || epoch() == training().epochs());
  if (due) {
    const double eigenvalue = largest_eigenvalue(rng.fork("eigenvalue"));
    add("eigenvalue", eigenvalue);
    // While weights learn alone it says nothing of the search.
    if (architecture_has_learned()) measured_.push_back({epoch(), eigenvalue, a});
  }
  notes.warning = warning_of(a, epoch(), skips);
  return notes;
}

std::string DifferentiableSearch::warning_of(const Architecture& a, int epoch, double skips) const {
  const Off its = off(a);
  if (its.violation > 0) {
    return fmt::format(
        "the architecture of epoch {} does not keep the constraints, and neither did any that was "
        "drawn by the weights of the options; a \"cost\" leads the search itself there",
        epoch);
  }
  if (its.cost > 0) {
    return fmt::format(
        "the architecture of epoch {} has {} of {:.6g}, not of {:.6g}, and none that was drawn by "
        "the weights of the options comes near it: try another target",
        epoch, common_.cost->metric, cost_->of(a), common_.cost->target);
  }
  // A cost may want them, and before the architecture has learned they say nothing.
  if (skips > collapsed_share && !cost_ && architecture_has_learned()) {
    return fmt::format(
        "the search has collapsed: {:.0f}% of the operators of epoch {}'s architecture are skip "
        "connections; {}",
        100 * skips, epoch, remedy());
  }
  if (const auto since = grown_since(); since && !answers_growth()) {
    return fmt::format(
        "the architecture's loss has become sharp: the Hessian's largest eigenvalue, a mean of "
        "some epochs, has grown by more than a factor of {:.3g} since epoch {}, after which "
        "networks are often worse; {}",
        EigenvalueGrowth().factor, since->epoch, remedy());
  }
  return "";
}

bool DifferentiableSearch::architecture_has_learned() const {
  return parameters_.tensors().at("alpha.steps").max().item<double>() > 0;
}

bool DifferentiableSearch::growth_can_show(int epochs) const {
  const int every = common_.eigenvalue_every, all = training().epochs();
  if (every == 0) return false;
  // Those before the architecture learns do not count; the last epoch of all is always measured.
  const int before = warmup_epochs(all) / every;
  const int measurements = epochs / every + (epochs == all && epochs % every > 0 ? 1 : 0) - before;
  const int since = (before + measurements - EigenvalueGrowth().first() + 1) * every;
  return measurements >= EigenvalueGrowth().first() && since >= earliest_stop * all;
}

std::optional<DifferentiableSearch::Measured> DifferentiableSearch::grown_since() const {
  std::vector<double> values;
  for (const Measured& one : measured_) values.push_back(one.eigenvalue);
  for (std::size_t count = 1; count <= values.size(); ++count) {
    const auto since = EigenvalueGrowth().found(std::span(values).first(count));
    if (since && measured_[*since].epoch >= earliest_stop * training().epochs()) {
      return measured_[*since];
    }
  }
  return std::nullopt;
}

void DifferentiableSearch::forget_after(int epoch) {
  std::erase_if(measured_, [&](const Measured& one) { return one.epoch > epoch; });
}

Json DifferentiableSearch::save_state() const {
  Json measured = Json::array();
  for (const Measured& one : measured_) {
    measured.push_back({one.epoch, one.eigenvalue, one.architecture.choices});
  }
  return {{"measured", std::move(measured)}, {"own", save_own()}};
}

void DifferentiableSearch::load_state(const Json& state) {
  measured_.clear();
  for (const Json& one : state.at("measured")) {
    Measured& measured = measured_.emplace_back();
    one.at(0).get_to(measured.epoch);
    one.at(1).get_to(measured.eigenvalue);
    one.at(2).get_to(measured.architecture.choices);
  }
  load_own(state.at("own"));
}

double largest_eigenvalue(const std::function<at::Tensor(const at::Tensor&)>& product,
                          std::int64_t size, Rng rng) {
  constexpr int most_products = 50;
  constexpr double precise = 1e-4, mixed = 0.1;
  struct Found {
    double value = 0, norm = 0;
  };
  const auto power = [&](double shift) {
    std::vector<double> start(static_cast<std::size_t>(size));
    rng.fill_normal(start);
    at::Tensor v = at::tensor(start, at::kDouble);
    v /= v.norm();
    Found found;
    for (int i = 0; i < most_products; ++i) {
      const at::Tensor next = product(v) - shift * v;
      const double before = found.value;
      found = {.value = (v * next).sum().item<double>(), .norm = next.norm().item<double>()};
      if (!std::isfinite(found.norm)) {
        throw NumericalError(
            "the Hessian of the architecture's loss is not finite; a lower learning_rate or a "
            "gradient_clip may help, or an \"eigenvalue_every\" of 0, by which it is not measured");
      }
      if (found.norm == 0) return Found{};
      v = next / found.norm;
      if (i > 0 && std::abs(found.value - before) <= precise * std::abs(found.value)) break;
    }
    return found;
  };
  const auto [value, norm] = power(0);
  // Two eigenvalues of about this size, one of them below 0, keep v between their vectors.
  if (norm * norm - value * value > mixed * mixed * norm * norm) return power(-norm).value - norm;
  return value >= 0 ? value : value + power(value).value;
}

std::optional<std::size_t> EigenvalueGrowth::found(std::span<const double> values) const {
  const auto full = static_cast<std::size_t>(window), back = static_cast<std::size_t>(lag);
  const std::size_t half = full / 2;
  if (values.size() < back + half + 1) return std::nullopt;
  const auto mean_to = [&](std::size_t last) {
    const std::size_t count = std::min(full, last + 1);
    const auto own = values.subspan(last + 1 - count, count);
    return std::accumulate(own.begin(), own.end(), 0.0) / static_cast<double>(count);
  };
  const std::size_t last = values.size() - 1;
  const double before = mean_to(last - back);
  if (before <= 0 || mean_to(last) <= factor * before) return std::nullopt;
  return last - back - half;
}

}  // namespace espalier
