#include "strategies/policy.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <utility>

#include "core/json.hpp"
#include "strategies/vectors.hpp"

namespace espalier {
namespace {

double logistic(double x) { return 1 / (1 + std::exp(-x)); }

std::size_t logit_count(const DecisionSteps& steps, std::size_t) {
  std::size_t count = 0;
  for (std::size_t t = 0; t < steps.size(); ++t) count += steps[t].options;
  return count;
}

}  // namespace

Policy::Policy(const SearchSpace& space, std::size_t (*count)(const DecisionSteps&, std::size_t),
               std::size_t hidden)
    : steps_(space),
      parameters_(count(steps_, hidden)),
      gradient_(parameters_.size()),
      adam_(parameters_.size()) {
  std::size_t offset = 0;
  for (std::size_t t = 0; t < steps_.size(); ++t) {
    offsets_.push_back(offset);
    offset += steps_[t].options;
  }
  probabilities_.resize(offset);
  completions_.resize(offset);
  slopes_.assign(offset, 1);
}

PolicyDraw Policy::draw(Rng& rng) { return walk(&rng, std::vector<std::uint32_t>(steps_.size())); }

PolicyDraw Policy::recall(const Architecture& a) { return walk(nullptr, steps_.options_of(a)); }

PolicyDraw Policy::walk(Rng* rng, std::vector<std::uint32_t> options) {
  PolicyDraw draw;
  draw.log_probs.assign(steps_.decisions(), 0);
  draw.entropies.assign(steps_.decisions(), 0);
  for (std::size_t t = 0; t < steps_.size(); ++t) {
    const std::uint32_t before = t == 0 ? 0 : options[t - 1];
    const std::span p = std::span(probabilities_).subspan(offset(t), steps_[t].options);
    const std::span completions = std::span(completions_).subspan(offset(t), steps_[t].options);
    forward(t, before, p);
    for (std::size_t j = 0; limit_ && j < p.size(); ++j) {
      const double bent = std::tanh(p[j]);
      slopes_[offset(t) + j] = *limit_ * (1 - bent * bent);
      p[j] = *limit_ * bent;
    }
    steps_.log_completions(t, before, completions);
    double highest = -std::numeric_limits<double>::infinity();
    for (std::size_t j = 0; j < p.size(); ++j) {
      p[j] += completions[j];
      highest = std::max(highest, p[j]);
    }
    double sum = 0;
    for (double& value : p) sum += value = std::exp(value - highest);
    double entropy = 0;
    for (double& value : p) {
      value /= sum;
      if (value > 0) entropy -= value * std::log(value);
    }
    if (rng != nullptr) options[t] = static_cast<std::uint32_t>(rng->weighted(p));
    draw.log_probs[steps_[t].decision] += std::log(p[options[t]]);
    draw.entropies[steps_[t].decision] += entropy;
  }
  draw.architecture = steps_.architecture_of(options);
  return draw;
}

void Policy::add_gradient(const Architecture& a, std::span<const double> log_prob_weights,
                          std::span<const double> entropy_weights) {
  const std::vector<std::uint32_t> options = steps_.options_of(a);
  walk(nullptr, options);
  std::vector<double> logit_gradients(probabilities_.size());
  for (std::size_t t = 0; t < steps_.size(); ++t) {
    const DecisionId d = steps_[t].decision;
    const double* p = probabilities_.data() + offset(t);
    double* gradient = logit_gradients.data() + offset(t);
    double entropy = 0;
    for (std::size_t j = 0; j < steps_[t].options; ++j) {
      if (p[j] > 0) entropy -= p[j] * std::log(p[j]);
    }
    for (std::size_t j = 0; j < steps_[t].options; ++j) {
      gradient[j] = log_prob_weights[d] * ((j == options[t] ? 1 : 0) - p[j]);
      if (p[j] > 0) gradient[j] -= entropy_weights[d] * p[j] * (std::log(p[j]) + entropy);
      gradient[j] *= slopes_[offset(t) + j];
    }
  }
  backward(options, logit_gradients, gradient_);
}

void Policy::ascend(double learning_rate) {
  for (double& value : gradient_) value = -value;
  adam_.descend(parameters_, gradient_, learning_rate);
  std::ranges::fill(gradient_, 0.0);
}

Json Policy::save() const { return {{"parameters", parameters_}, {"adam", adam_.save()}}; }

void Policy::load(const Json& json) {
  json.at("parameters").get_to(parameters_);
  adam_.load(json.at("adam"));
}

IndependentPolicy::IndependentPolicy(const SearchSpace& space) : Policy(space, logit_count, 0) {}

void IndependentPolicy::forward(std::size_t step, std::uint32_t, std::span<double> logits) {
  std::ranges::copy(parameters().subspan(offset(step), logits.size()), logits.begin());
}

void IndependentPolicy::backward(std::span<const std::uint32_t>,
                                 std::span<const double> logit_gradients,
                                 std::span<double> gradient) {
  for (std::size_t i = 0; i < gradient.size(); ++i) gradient[i] += logit_gradients[i];
}

// The parameters: the gates, 2 hidden + 1 rows of 4 hidden (for each value read, each unit, and
// the bias); then for each step the embeddings that it reads and its softmax, hidden + 1 rows of
// its options.
std::size_t LstmPolicy::parameter_count(const DecisionSteps& steps, std::size_t hidden) {
  std::size_t count = (2 * hidden + 1) * 4 * hidden;
  for (std::size_t t = 0; t < steps.size(); ++t) {
    count += (t == 0 ? 1 : steps[t - 1].options) * hidden + (hidden + 1) * steps[t].options;
  }
  return count;
}

LstmPolicy::LstmPolicy(const SearchSpace& space, std::size_t hidden, Rng rng)
    : Policy(space, parameter_count, hidden), hidden_(hidden) {
  std::size_t next = (2 * hidden + 1) * 4 * hidden;
  for (std::size_t t = 0; t < steps().size(); ++t) {
    embeddings_begin_.push_back(next);
    next += (t == 0 ? 1 : steps()[t - 1].options) * hidden;
    heads_begin_.push_back(next);
    next += (hidden + 1) * steps()[t].options;
  }
  assert(next == parameters().size());
  for (double& parameter : parameters()) parameter = 0.2 * rng.uniform() - 0.1;
  gates_.resize(steps().size() * 4 * hidden);
  cells_.resize(steps().size() * hidden);
  units_.resize(steps().size() * hidden);
}

std::size_t LstmPolicy::embedding(std::size_t step, std::uint32_t before) const {
  return embeddings_begin_[step] + (step == 0 ? 0 : before * hidden_);
}

void LstmPolicy::forward(std::size_t step, std::uint32_t before, std::span<double> logits) {
  const std::size_t width = 4 * hidden_;
  const double* weights = parameters().data();
  double* gates = gates_.data() + step * width;
  double* cells = cells_.data() + step * hidden_;
  double* units = units_.data() + step * hidden_;
  const double* read = parameters().data() + embedding(step, before);
  std::copy_n(weights + 2 * hidden_ * width, width, gates);
  for (std::size_t k = 0; k < hidden_; ++k) {
    add_multiple(read[k], weights + k * width, gates, width);
  }
  for (std::size_t k = 0; step > 0 && k < hidden_; ++k) {
    add_multiple((units - hidden_)[k], weights + (hidden_ + k) * width, gates, width);
  }
  for (std::size_t k = 0; k < hidden_; ++k) {
    double& input = gates[k];
    double& forget = gates[hidden_ + k];
    double& output = gates[2 * hidden_ + k];
    double& candidate = gates[3 * hidden_ + k];
    input = logistic(input);
    forget = logistic(forget);
    output = logistic(output);
    candidate = std::tanh(candidate);
    cells[k] = input * candidate + (step > 0 ? forget * (cells - hidden_)[k] : 0);
    units[k] = output * std::tanh(cells[k]);
  }
  const double* head = parameters().data() + heads_begin_[step];
  std::copy_n(head + hidden_ * logits.size(), logits.size(), logits.data());
  for (std::size_t k = 0; k < hidden_; ++k) {
    add_multiple(units[k], head + k * logits.size(), logits.data(), logits.size());
  }
}

void LstmPolicy::backward(std::span<const std::uint32_t> options,
                          std::span<const double> logit_gradients, std::span<double> gradient) {
  const std::size_t width = 4 * hidden_;
  const double* weights = parameters().data();
  // Of the units and the cells, from the steps that come later.
  std::vector<double> d_units(hidden_), d_cells(hidden_), d_gates(width);
  for (std::size_t t = steps().size(); t-- > 0;) {
    const double* gates = gates_.data() + t * width;
    const double* cells = cells_.data() + t * hidden_;
    const double* units = units_.data() + t * hidden_;
    const std::size_t count = steps()[t].options;
    const double* d_logits = logit_gradients.data() + offset(t);
    const double* head = parameters().data() + heads_begin_[t];
    double* d_head = gradient.data() + heads_begin_[t];
    add_multiple(1, d_logits, d_head + hidden_ * count, count);
    for (std::size_t k = 0; k < hidden_; ++k) {
      add_multiple(units[k], d_logits, d_head + k * count, count);
      d_units[k] += dot(head + k * count, d_logits, count);
    }
    for (std::size_t k = 0; k < hidden_; ++k) {
      const double input = gates[k], forget = gates[hidden_ + k];
      const double output = gates[2 * hidden_ + k], candidate = gates[3 * hidden_ + k];
      const double squashed = std::tanh(cells[k]);
      const double d_cell = d_cells[k] + d_units[k] * output * (1 - squashed * squashed);
      const double cell_before = t > 0 ? (cells - hidden_)[k] : 0;
      d_gates[k] = d_cell * candidate * input * (1 - input);
      d_gates[hidden_ + k] = d_cell * cell_before * forget * (1 - forget);
      d_gates[2 * hidden_ + k] = d_units[k] * squashed * output * (1 - output);
      d_gates[3 * hidden_ + k] = d_cell * input * (1 - candidate * candidate);
      d_cells[k] = d_cell * forget;
    }
    const std::size_t read = embedding(t, t == 0 ? 0 : options[t - 1]);
    add_multiple(1, d_gates.data(), gradient.data() + 2 * hidden_ * width, width);
    for (std::size_t k = 0; k < hidden_; ++k) {
      add_multiple(parameters()[read + k], d_gates.data(), gradient.data() + k * width, width);
      gradient[read + k] += dot(weights + k * width, d_gates.data(), width);
    }
    for (std::size_t k = 0; t > 0 && k < hidden_; ++k) {
      const std::size_t row = (hidden_ + k) * width;
      add_multiple((units - hidden_)[k], d_gates.data(), gradient.data() + row, width);
      d_units[k] = dot(weights + row, d_gates.data(), width);
    }
  }
}

std::unique_ptr<Policy> make_policy(PolicyKind kind, const SearchSpace& space, std::size_t hidden,
                                    Rng rng) {
  if (kind == PolicyKind::independent) return std::make_unique<IndependentPolicy>(space);
  return std::make_unique<LstmPolicy>(space, hidden, rng);
}

}  // namespace espalier
