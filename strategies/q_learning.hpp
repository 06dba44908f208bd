#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "strategies/decision_steps.hpp"
#include "strategies/episodic_search.hpp"

namespace espalier {

struct QLearningOptions : StartOptions {
  int models = 50;             ///< told until exploration is at its least, >= 1
  double learning_rate = 0.2;  ///< in (0, 1]
  int replay = 100;            ///< episodes learned from after each one, >= 1
  RewardKind reward = RewardKind::rank;
};
OptionTable<QLearningOptions> q_learning_option_table();

/// The share of random steps after `told` of `models` models: 1 for the first 15/27 of them, 0.9,
/// 0.8 and 0.7 for 1/27 each, 0.6 to 0.1 for 1.5/27 each, and 0.1 from then on.
double exploration(std::uint64_t told, std::uint64_t models);

/// Q-learning: one step after the other takes the option of the largest value (of equals, a random
/// one), or, with probability exploration(), a random one. The value of an option belongs to the
/// step, the choice of the decision before, and of a subset the members so far. After each episode
/// `replay` of all told episodes are drawn, with replacement, and for each the values of its steps,
/// the last one first, move towards the reward (of the last step) or the largest value of the next
/// step by the learning rate; there is no discount. Values are 0.5 at first, or with `reward:
/// value` the first reward.
///
/// The steps are those of DecisionSteps; a random step is one towards a random subset. Steps of
/// inactive decisions are left out when learned from.
///
/// After each episode O(replay steps options) operations.
///
/// Source: B. Baker et al.: Designing neural network architectures using reinforcement learning
/// (MetaQNN), ICLR 2017, arXiv 1611.02167, equation 3, algorithms 1 to 3, section 4.3 and table 2
/// (2700 models). Differs from the source: a state is the step and the decision before it, not a
/// layer with its depth and its size; rewards are ranks by default; `models` and the learning
/// rate suit hundreds of trials (2700 and 0.01 there). Test: QLearning.UpdatesFromTheLastStepBack.
class QLearning : public EpisodicSearch {
 public:
  /// Throws ConfigError as EpisodicSearch does.
  QLearning(const RunContext& context, const QLearningOptions& options);

  /// The values of a step's options, given those taken at the steps before (others are not read).
  std::vector<double> values(std::size_t step, std::span<const std::uint32_t> options);

 protected:
  Episode draw(Rng& rng) override;
  Episode recall(const Architecture& a) override { return {.drawn = a}; }
  void learn(const Episode& episode, std::uint64_t trial_id) override;

 private:
  // An episode: of each step whose decision is active the values of its state, and what was taken.
  struct Told {
    std::vector<std::pair<std::vector<double>*, std::uint32_t>> steps;
    std::uint64_t trial_id;
  };
  std::vector<double>& state(std::size_t step, std::span<const std::uint32_t> options);
  void update(const Told& told);

  QLearningOptions options_;
  DecisionSteps steps_;
  Rng replay_rng_;
  // Of each step, by what its state holds; references stay valid.
  std::vector<std::map<std::vector<std::uint32_t>, std::vector<double>>> values_;
  double first_value_ = 0.5;
  bool known_value_ = false;  // that of the first trial that did not fail
  std::vector<Told> told_;
};

}  // namespace espalier
