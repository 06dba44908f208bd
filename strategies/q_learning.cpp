#include "strategies/q_learning.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace espalier {
namespace {

// What cannot be picked has no value.
void set_possible(std::vector<double>& values, double to) {
  for (double& value : values) value = std::isinf(value) ? value : to;
}

}  // namespace

OptionTable<QLearningOptions> q_learning_option_table() {
  using Options = QLearningOptions;
  OptionTable<Options> table("Q-learning: values of options, explored ever less");
  table.add("models", &Options::models, "trials until exploration is at its least", at_least(1))
      .add("learning_rate", &Options::learning_rate, "by which values move",
           Range{.low = 0, .high = 1, .low_open = true})
      .add("replay", &Options::replay, "told episodes learned from after each one", at_least(1))
      .add("reward", &Options::reward,
           "the rank among all trials, or the value of the only objective", reward_kinds());
  return add_start_options(table);
}

double exploration(std::uint64_t told, std::uint64_t models) {
  // In 54ths, half models of the paper's 27 hundreds.
  const double part = 54 * static_cast<double>(told) / static_cast<double>(models);
  if (part < 30) return 1;
  if (part < 36) return 0.9 - 0.1 * std::floor((part - 30) / 2);
  return std::max(0.1, 0.6 - 0.1 * std::floor((part - 36) / 3));
}

QLearning::QLearning(const RunContext& context, const QLearningOptions& options)
    : EpisodicSearch(context, options, options.reward),
      options_(options),
      steps_(*context.space),
      replay_rng_(context.rng.fork("replay")),
      values_(steps_.size()) {}

std::vector<double> QLearning::values(std::size_t step, std::span<const std::uint32_t> options) {
  return state(step, options);
}

std::vector<double>& QLearning::state(std::size_t step, std::span<const std::uint32_t> options) {
  const std::size_t own = steps_.first(steps_[step].decision);
  const std::size_t begin = own == 0 ? 0 : steps_.first(steps_[own - 1].decision);
  const auto [found, added] =
      values_[step].try_emplace({options.begin() + static_cast<std::ptrdiff_t>(begin),
                                 options.begin() + static_cast<std::ptrdiff_t>(step)});
  if (added) {
    std::vector<double>& values = found->second;
    values.resize(steps_[step].options);
    steps_.log_completions(step, step == 0 ? 0 : options[step - 1], values);
    set_possible(values, first_value_);
  }
  return found->second;
}

Episode QLearning::draw(Rng& rng) {
  const double random = exploration(rewards().size(), static_cast<std::uint64_t>(options_.models));
  std::vector<std::uint32_t> options(steps_.size());
  for (std::size_t t = 0; t < steps_.size(); ++t) {
    std::vector<double> weights(steps_[t].options);
    if (rng.bernoulli(random)) {
      steps_.log_completions(t, t == 0 ? 0 : options[t - 1], weights);
      const double highest = std::ranges::max(weights);
      for (double& weight : weights) weight = std::exp(weight - highest);
    } else {
      const std::vector<double>& values = state(t, options);
      const double best = std::ranges::max(values);
      std::ranges::transform(values, weights.begin(), [&](double v) { return v == best ? 1 : 0; });
    }
    options[t] = static_cast<std::uint32_t>(rng.weighted(weights));
  }
  return {.drawn = steps_.architecture_of(options)};
}

void QLearning::learn(const Episode& episode, std::uint64_t trial_id) {
  if (trial_id == told_.size()) {  // else it was told before
    if (options_.reward == RewardKind::value && !known_value_ && !rewards().failed(trial_id)) {
      known_value_ = true;
      first_value_ = rewards().of(trial_id);
      for (auto& states : values_) {
        for (auto& [options, values] : states) {
          set_possible(values, first_value_);
        }
      }
    }
    const std::vector<std::uint32_t> options = steps_.options_of(episode.drawn);
    Told told{.steps = {}, .trial_id = trial_id};
    for (std::size_t t = 0; t < steps_.size(); ++t) {
      if (!space().active(episode.canonical, steps_[t].decision)) continue;
      told.steps.emplace_back(&state(t, options), options[t]);
    }
    told_.push_back(std::move(told));
  }
  for (int i = 0; i < options_.replay; ++i) update(told_[replay_rng_.below(told_.size())]);
}

void QLearning::update(const Told& told) {
  double target = rewards().of(told.trial_id);
  for (auto step = told.steps.rbegin(); step != told.steps.rend(); ++step) {
    std::vector<double>& values = *step->first;
    double& value = values[step->second];
    value += options_.learning_rate * (target - value);
    target = std::ranges::max(values);
  }
}

}  // namespace espalier
