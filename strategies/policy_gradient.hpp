// How a policy learns from rewards.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "strategies/policy.hpp"

namespace espalier {

/// A moving average of rewards whose early values are not drawn to 0.
class RewardBaseline {
 public:
  /// `momentum` is in [0, 1): the weight of the past.
  explicit RewardBaseline(double momentum) : momentum_(momentum) {}

  void add(double reward) {
    sum_ = momentum_ * sum_ + (1 - momentum_) * reward;
    weight_ = momentum_ * weight_ + (1 - momentum_);
  }
  bool empty() const { return weight_ == 0; }
  /// Not when empty().
  double value() const { return sum_ / weight_; }

  /// For snapshots, as Policy.
  Json save() const;
  void load(const Json& json);

 private:
  double momentum_, sum_ = 0, weight_ = 0;
};

/// How PPO uses a batch.
struct Clipping {
  double range = 0.2;  ///< how far from 1 ratios of probabilities count, > 0
  int epochs = 4;      ///< steps on each batch, >= 1
};

struct PolicyGradientOptions {
  double learning_rate = 0.01;  ///< of Adam, > 0
  double entropy = 0;           ///< weight of the entropy beside the reward, >= 0
  double momentum = 0.9;        ///< of the baseline, in [0, 1)
  std::optional<Clipping> clipping = std::nullopt;  ///< PPO; without it REINFORCE
};

/// What a policy drew and what that was worth.
struct PolicyExperience {
  PolicyDraw draw;
  std::vector<bool> active;  ///< by decision; others are not learned from
  double reward = 0;         ///< the larger the better
};

/// Teaches a policy: with a moving average of the rewards of earlier batches as baseline b (of the
/// first batch, its own mean) and A = reward - b, a step up the mean over the batch of
/// sum_d (A log p_d + entropy H_d), over active decisions d with the probabilities p_d of what was
/// drawn and the entropies H_d of the distributions; with clipping, `epochs` steps up that of
/// sum_d (min(r_d A, clip(r_d) A) + entropy H_d), r_d being p_d as a multiple of what it was in the
/// draw. The gradient of an entropy holds earlier choices fixed.
///
/// Source: R. Williams: Simple statistical gradient-following algorithms for connectionist
/// reinforcement learning, Machine Learning 1992; the baseline: B. Zoph, Q. Le, ICLR 2017, arXiv
/// 1611.01578, section 3.2; clipping: J. Schulman et al.: Proximal policy optimization algorithms,
/// 2017, arXiv 1707.06347, equations 7 and 9, with a moving average for the value function, as in
/// B. Zoph et al., CVPR 2018, arXiv 1707.07012, appendix A. Differs from the sources: inactive
/// decisions are left out, though with an LSTM they are read by what comes later.
/// Test: PolicyGradient.AStepIsUpTheClippedObjective.
class PolicyGradient {
 public:
  /// The policy is not null.
  PolicyGradient(std::unique_ptr<Policy> policy, const PolicyGradientOptions& options)
      : policy_(std::move(policy)), options_(options), baseline_(options.momentum) {}

  Policy& policy() { return *policy_; }
  const RewardBaseline& baseline() const { return baseline_; }

  /// Learns from a batch of one or more.
  void update(std::span<const PolicyExperience> batch);

  /// Policy and baseline, for snapshots, as Policy.
  Json save() const;
  void load(const Json& json);

 private:
  void step(std::span<const PolicyExperience> batch, double baseline);

  std::unique_ptr<Policy> policy_;
  PolicyGradientOptions options_;
  RewardBaseline baseline_;
};

}  // namespace espalier
