#include "strategies/sampled_paths.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/autograd.h>

#include <cmath>
#include <limits>

#include "core/error.hpp"
#include "core/json.hpp"
#include "training/losses.hpp"
#include "training/step_training.hpp"

namespace espalier {
namespace {

/// From the first value to the last one over the epochs.
double line(double first, double last, int epoch, int epochs) {
  return epochs == 1 ? first : first + (last - first) * epoch / (epochs - 1);
}

std::vector<double> probabilities(const at::Tensor& logits) {
  const at::Tensor p = logits.detach().softmax(0).contiguous();
  return {p.data_ptr<double>(), p.data_ptr<double>() + p.numel()};
}

at::Tensor one_hot(std::int64_t n, std::size_t option) {
  at::Tensor result = at::zeros({n}, at::kDouble);
  result[static_cast<std::int64_t>(option)] = 1;
  return result;
}

void require_no_share(const DifferentiableOptions& options, const std::string& name) {
  if (options.architecture_share == 0) return;
  throw ConfigError("/architecture_share",
                    fmt::format("\"{}\" teaches weights and architecture by one loss on the same "
                                "images; write 0, or leave it out",
                                name));
}

template <class T>
OptionTable<T>& add_temperatures(OptionTable<T>& table) {
  return table
      .add("first_temperature", &T::first_temperature, "in the first epoch", greater_than(0))
      .add("last_temperature", &T::last_temperature, "in the last epoch", greater_than(0));
}

}  // namespace

at::Tensor draw_concrete(const at::Tensor& logits, double temperature, Rng& rng) {
  at::Tensor noise = at::empty(logits.sizes(), at::kDouble);
  double* to = noise.data_ptr<double>();
  for (std::int64_t i = 0; i < noise.numel(); ++i) {
    // A uniform number above 0: the middle of the step that it stands for.
    to[i] = -std::log(-std::log(rng.uniform() + 0x1.0p-54));
  }
  return ((logits.log_softmax(0) + noise) / temperature).softmax(0);
}

// ---- GDAS

OptionTable<GdasOptions> gdas_option_table() {
  OptionTable<GdasOptions> table(
      "GDAS: one operator an edge in each pass, drawn by Gumbel-softmax");
  add_temperatures(table);
  return add_differentiable_options(table);
}

Gdas::Gdas(const RunContext& context, const GdasOptions& options)
    : DifferentiableSearch(context, options, "gdas", architecture_optimizer(options)),
      first_(options.first_temperature),
      last_(options.last_temperature) {
  start();
}

at::Tensor Gdas::relax(const at::Tensor& logits, const RelaxedDecision&, Pass& pass) {
  const at::Tensor soft =
      draw_concrete(logits, line(first_, last_, pass.epoch, pass.epochs), pass.rng);
  const auto option = static_cast<std::size_t>(soft.argmax(0).item<std::int64_t>());
  return one_hot(soft.numel(), option) - soft.detach() + soft;
}

// ---- one loss for both

Learned JointSearch::learn_weights(const TrainStep& step) {
  at::Tensor values = parameters().values();
  values.mutable_grad().reset();
  const Learned learned = DifferentiableSearch::learn_weights(step, step.batch(input_size()),
                                                              relaxed(pass(step, Part::weights)));
  const at::Tensor own = gradient_of_pass();
  if (step.part() == 0) {
    loss_ = 0;
    gradient_ = at::zeros_like(values.detach());
  }
  const int parts = steps().options().accumulate;
  loss_ += learned.loss / parts;
  if (own.defined()) gradient_ += own / parts;
  values.mutable_grad().reset();
  if (step.part() + 1 == parts && architecture_learns(step)) {
    descend(architecture_gradient(loss_, gradient_));
  }
  return learned;
}

// ---- SNAS

OptionTable<SnasOptions> snas_option_table() {
  OptionTable<SnasOptions> table("SNAS: weights of operators from the concrete distribution");
  add_temperatures(table);
  return add_differentiable_options(table);
}

Snas::Snas(const RunContext& context, const SnasOptions& options)
    : JointSearch(context, options, "snas", architecture_optimizer(options)),
      first_(options.first_temperature),
      last_(options.last_temperature) {
  require_no_share(options, "snas");
  start();
}

at::Tensor Snas::relax(const at::Tensor& logits, const RelaxedDecision&, Pass& pass) {
  return draw_concrete(logits, line(first_, last_, pass.epoch, pass.epochs), pass.rng);
}

// ---- FBNet

OptionTable<FbnetSearchOptions> fbnet_option_table() {
  OptionTable<FbnetSearchOptions> table(
      "FBNet: Gumbel-softmax weights at a temperature that falls");
  table
      .add("first_temperature", &FbnetSearchOptions::first_temperature, "in the first epoch",
           greater_than(0))
      .add("temperature_decay", &FbnetSearchOptions::temperature_decay,
           "what the temperature is multiplied by after each epoch",
           Range{.low = 0, .high = 1, .low_open = true});
  return add_differentiable_options(table);
}

Fbnet::Fbnet(const RunContext& context, const FbnetSearchOptions& options)
    : DifferentiableSearch(context, options, "fbnet", architecture_optimizer(options, 0.9)),
      first_(options.first_temperature),
      decay_(options.temperature_decay) {
  start({.mean = 0, .deviation = 0});
}

at::Tensor Fbnet::relax(const at::Tensor& logits, const RelaxedDecision&, Pass& pass) {
  return draw_concrete(logits, first_ * std::pow(decay_, pass.epoch), pass.rng);
}

// ---- DSNAS

OptionTable<DsnasOptions> dsnas_option_table() {
  OptionTable<DsnasOptions> table("DSNAS: one sampled network teaches weights and architecture");
  return add_differentiable_options(table);
}

Dsnas::Dsnas(const RunContext& context, const DsnasOptions& options)
    : JointSearch(context, options, "dsnas", architecture_optimizer(options)) {
  require_no_share(options, "dsnas");
  start({.mean = 0, .deviation = 0.01});
}

at::Tensor Dsnas::relax(const at::Tensor& logits, const RelaxedDecision&, Pass& pass) {
  const std::size_t option = pass.rng.weighted(probabilities(logits));
  drawn_.push_back(one_hot(logits.numel(), option).set_requires_grad(true));
  logits_.push_back(logits);
  return drawn_.back();
}

Learned Dsnas::learn_weights(const TrainStep& step) {
  drawn_.clear();
  logits_.clear();
  return JointSearch::learn_weights(step);
}

at::Tensor Dsnas::gradient_of_pass() const {
  at::Tensor sum = at::zeros({}, at::kDouble);
  for (std::size_t i = 0; i < drawn_.size(); ++i) {
    if (!drawn_[i].grad().defined()) continue;
    const std::int64_t option = drawn_[i].detach().argmax(0).item<std::int64_t>();
    sum = sum + logits_[i].log_softmax(0)[option] * drawn_[i].grad()[option];
  }
  // Inputs that are weighed beside each other learn by the pass itself.
  const at::Tensor own = JointSearch::gradient_of_pass();
  if (!sum.requires_grad()) return own;
  const at::Tensor of_draws = torch::autograd::grad({sum}, {parameters().values()})[0];
  return own.defined() ? own + of_draws : of_draws;
}

// ---- ProxylessNAS

OptionTable<ProxylessOptions> proxyless_option_table() {
  OptionTable<ProxylessOptions> table("ProxylessNAS: binary gates of one or two paths");
  table
      .add("gradient", &ProxylessOptions::gradient,
           "how the architecture learns: by two paths of each decision, or by accuracies",
           named<ProxylessGradient>({{"two_paths", ProxylessGradient::two_paths},
                                     {"reinforce", ProxylessGradient::reinforce}}))
      .add("samples", &ProxylessOptions::samples, "of reinforce: networks of a step, by default 10",
           at_least(1))
      .add("baseline", &ProxylessOptions::baseline,
           "of reinforce: weight of the past in the mean reward, by default 0.01",
           Range{.low = 0, .high = 1, .high_open = true});
  return add_differentiable_options(table);
}

Proxyless::Proxyless(const RunContext& context, const ProxylessOptions& options)
    : DifferentiableSearch(context, options, "proxyless", architecture_optimizer(options, 0)),
      gradient_(options.gradient),
      samples_(options.samples.value_or(10)),
      baseline_(options.baseline.value_or(0.01)),
      mean_reward_(at::zeros({2}, at::kDouble)) {
  if ((options.samples || options.baseline) && gradient_ != ProxylessGradient::reinforce) {
    throw ConfigError(options.samples ? "/samples" : "/baseline",
                      "\"two_paths\" learns from no rewards; write \"reinforce\", or leave it out");
  }
  for (const RelaxedDecision& d : parameters().decisions()) {
    if (gradient_ != ProxylessGradient::reinforce || d.pick == 1 || d.told_apart) continue;
    throw ConfigError("/gradient",
                      fmt::format("\"reinforce\" learns from draws of single options, but {} of "
                                  "decision '{}' are picked, and not by their operators alone; "
                                  "write \"two_paths\"",
                                  d.pick, d.name));
  }
  start({.mean = 0, .deviation = 1e-3}, {{"mean_reward", mean_reward_}});
}

at::Tensor Proxyless::relax(const at::Tensor& logits, const RelaxedDecision&, Pass& pass) {
  return one_hot(logits.numel(), pass.rng.weighted(probabilities(logits)));
}

MixedOptions Proxyless::mixed_options() const {
  MixedOptions options = DifferentiableSearch::mixed_options();
  options.also_computed = also_computed_;
  return options;
}

void Proxyless::learn_architecture(const TrainStep& step) {
  if (gradient_ == ProxylessGradient::two_paths) {
    learn_two_paths(step);
  } else {
    learn_by_rewards(step);
  }
}

void Proxyless::learn_two_paths(const TrainStep& step) {
  const FixedWeights fixed(learning());
  const std::span<const RelaxedDecision> decisions = parameters().decisions();
  Pass own = pass(step, Part::architecture);
  MixedWeights gates;
  std::vector<std::vector<std::size_t>> pairs(decisions.size());
  also_computed_.clear();
  for (std::size_t d = 0; d < decisions.size(); ++d) {
    Rng rng = own.rng.fork(d);
    const auto options = static_cast<std::int64_t>(decisions[d].options);
    also_computed_.emplace_back(decisions[d].options, false);
    if (decisions[d].pick > 1) {
      Pass inputs = own;
      gates.push_back(relax_inputs(logits(d), decisions[d], inputs).narrow(0, 0, options));
      continue;
    }
    std::vector<double> p = probabilities(logits(d));
    std::vector<std::size_t>& pair = pairs[d];
    pair.push_back(rng.weighted(p));
    const double first = p[pair[0]];
    p[pair[0]] = 0;
    if (std::ranges::any_of(p, [](double value) { return value > 0; })) {
      pair.push_back(rng.weighted(p));
    }
    const bool second = pair.size() == 2 && !rng.bernoulli(first / (first + p[pair[1]]));
    at::Tensor gate = one_hot(parameters().part(parameters().values(), d).numel(), pair[second]);
    gates.push_back(gate.narrow(0, 0, options).clone().set_requires_grad(true));
    for (const std::size_t option : pair) {
      if (option < decisions[d].options) also_computed_.back()[option] = true;
    }
  }
  const at::Tensor value = loss(step, architecture_batch(step), gates);
  also_computed_.clear();
  // Of the gates; of inputs that are weighed beside each other, the parameters' own.
  std::vector<at::Tensor> leaves{parameters().values()};
  for (std::size_t d = 0; d < decisions.size(); ++d) {
    if (!pairs[d].empty()) leaves.push_back(gates[d]);
  }
  std::vector<at::Tensor> found(leaves.size());
  if (value.requires_grad()) {
    found = torch::autograd::grad({value}, leaves, {}, c10::nullopt, false, /*allow_unused=*/true);
  }

  // By the chain rule through the pair's probabilities, which the cost is expected with, too: what
  // the others have is not to change.
  at::Tensor sum = at::zeros({}, at::kDouble);
  if (found[0].defined()) sum = (parameters().values() * found[0]).sum();
  MixedWeights of_pairs;
  std::size_t next = 1;
  for (std::size_t d = 0; d < decisions.size(); ++d) {
    if (pairs[d].empty()) {
      of_pairs.push_back(expected(logits(d), decisions[d])
                             .narrow(0, 0, static_cast<std::int64_t>(decisions[d].options)));
      continue;
    }
    of_pairs.push_back(gates[d].detach());
    const at::Tensor& gradient = found[next++];
    if (pairs[d].size() < 2) continue;
    const at::Tensor places = at::tensor(
        {static_cast<std::int64_t>(pairs[d][0]), static_cast<std::int64_t>(pairs[d][1])});
    const at::Tensor all = logits(d);
    const at::Tensor both = all.index_select(0, places).softmax(0);
    of_pairs.back() = at::zeros_like(all.detach())
                          .index_add(0, places, both)
                          .narrow(0, 0, static_cast<std::int64_t>(decisions[d].options));
    // No architecture has `none`.
    of_pairs.back() = of_pairs.back() / of_pairs.back().sum();
    for (std::size_t i = 0; i < 2 && gradient.defined(); ++i) {
      if (pairs[d][i] >= decisions[d].options) continue;  // `none`, which changes nothing
      sum = sum + both[static_cast<std::int64_t>(i)] *
                      gradient[static_cast<std::int64_t>(pairs[d][i])].detach();
    }
  }
  const at::Tensor before = parameters().values().detach().clone();
  // The loss's value with this gradient.
  descend(architecture_gradient(value.detach() + sum - sum.detach(), of_pairs));
  const at::NoGradGuard no_grad;
  for (std::size_t d = 0; d < decisions.size(); ++d) {
    if (pairs[d].size() < 2) continue;
    const at::Tensor places = at::tensor(
        {static_cast<std::int64_t>(pairs[d][0]), static_cast<std::int64_t>(pairs[d][1])});
    at::Tensor now = parameters().part(parameters().values(), d);
    const at::Tensor change = now.index_select(0, places).logsumexp(0) -
                              parameters().part(before, d).index_select(0, places).logsumexp(0);
    now.index_add_(0, places, (-change).expand({2}));
  }
}

void Proxyless::learn_by_rewards(const TrainStep& step) {
  const std::span<const RelaxedDecision> decisions = parameters().decisions();
  const Batch batch = architecture_batch(step);
  std::vector<double> rewards;
  std::vector<at::Tensor> likelihoods;
  for (int i = 0; i < samples_; ++i) {
    Pass own = pass(step, Part::architecture);
    own.rng = own.rng.fork(static_cast<std::uint64_t>(i));
    MixedWeights gates = relaxed(own);
    at::Tensor likelihood = at::zeros({}, at::kDouble);
    for (std::size_t d = 0; d < decisions.size(); ++d) {
      if (decisions[d].pick > 1) continue;
      const at::Tensor all = logits(d).log_softmax(0);
      // A gate of zeros alone is that of `none`.
      const bool none = gates[d].sum().item<double>() == 0;
      likelihood =
          likelihood + all[none ? all.numel() - 1 : gates[d].argmax(0).item<std::int64_t>()];
    }
    likelihoods.push_back(likelihood);
    const at::NoGradGuard no_grad;
    rewards.push_back(static_cast<double>(count_correct(forward(batch, gates), batch.labels)) /
                      static_cast<double>(batch.labels.size(0)));
  }
  double mean = 0;
  for (const double reward : rewards) mean += reward / samples_;
  double* running = mean_reward_.data_ptr<double>();
  running[0] = running[1] == 0 ? mean : baseline_ * running[0] + (1 - baseline_) * mean;
  running[1] = 1;
  at::Tensor sum = at::zeros({}, at::kDouble);
  for (std::size_t i = 0; i < rewards.size(); ++i) {
    sum = sum - likelihoods[i] * ((rewards[i] - running[0]) / samples_);
  }
  descend(architecture_gradient(1 - mean + sum - sum.detach()));
}

}  // namespace espalier
