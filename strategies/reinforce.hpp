#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "strategies/episodic_search.hpp"
#include "strategies/policy_gradient.hpp"

namespace espalier {

/// What a search with a policy needs, however the policy learns.
struct PolicySearchOptions {
  PolicyKind policy = PolicyKind::lstm;
  int hidden = 32;  ///< units of the LSTM, >= 1
  int batch = 10;   ///< candidates of an update, >= 1
  PolicyGradientOptions gradient;
  RewardKind reward = RewardKind::rank;
};

/// Draws architectures from a policy and teaches it by PolicyGradient: an update as soon as `batch`
/// of those drawn are told, those that were told before counted in.
///
/// A draw and what is learned from it take O(steps) with independent softmaxes, O(steps hidden^2)
/// with an LSTM: microseconds, so that a resumed run is replayed.
class PolicySearch : public EpisodicSearch {
 public:
  /// Throws ConfigError as EpisodicSearch does.
  PolicySearch(const RunContext& context, const StartOptions& start,
               const PolicySearchOptions& options);

  Policy& policy() { return gradient_.policy(); }

 protected:
  Episode draw(Rng& rng) override;
  Episode recall(const Architecture& a) override;
  void learn(const Episode& episode, std::uint64_t trial_id) override;

 private:
  std::size_t batch_;
  PolicyGradient gradient_;
  std::vector<PolicyExperience> experience_;  // of the batch to come
  std::vector<std::uint64_t> trials_;         // of the experience
};

struct ReinforceOptions : StartOptions {
  PolicyKind policy = PolicyKind::lstm;
  int hidden = 32;
  int batch = 1;
  std::optional<double> learning_rate = std::nullopt;  ///< > 0; by default the policy's own
  double entropy = 0.05;                               ///< >= 0
  double baseline = 0.9;                               ///< in [0, 1)
  RewardKind reward = RewardKind::rank;
};
OptionTable<ReinforceOptions> reinforce_option_table();

/// REINFORCE: PolicySearch without clipping.
/// Source: B. Zoph, Q. Le: Neural architecture search with reinforcement learning, ICLR 2017,
/// arXiv 1611.01578, section 3.2; with independent softmaxes: C. Ying et al., ICML 2019,
/// arXiv 1902.09635, supplement S3, and X. Dong, Y. Yang: NAS-Bench-201, ICLR 2020,
/// arXiv 2001.00326, section 5 (REINFORCE). Differs from the sources: rewards are ranks by default,
/// there is an entropy bonus, nothing is evaluated twice, known and random architectures count as
/// if drawn, and learning rates that suit hundreds of trials, not thousands.
/// Test: Reinforce.LearnsWhatRewardsSay.
std::unique_ptr<Strategy> reinforce(const RunContext& context, const ReinforceOptions& options);

struct PpoOptions : StartOptions {
  PolicyKind policy = PolicyKind::lstm;
  int hidden = 32;
  int batch = 10;
  std::optional<double> learning_rate = std::nullopt;  ///< > 0; by default the policy's own
  double clip = 0.2;                                   ///< > 0
  int epochs = 4;                                      ///< >= 1
  double entropy = 0.05;                               ///< >= 0
  double baseline = 0.9;                               ///< in [0, 1)
  RewardKind reward = RewardKind::rank;
};
OptionTable<PpoOptions> ppo_option_table();

/// Proximal policy optimization: PolicySearch with clipping.
/// Source: J. Schulman et al.: Proximal policy optimization algorithms, 2017, arXiv 1707.06347;
/// for architectures: B. Zoph et al.: Learning transferable architectures for scalable image
/// recognition, CVPR 2018, arXiv 1707.07012, appendix A. Differs from the sources: as reinforce().
/// Test: Ppo.UsesEachBatchSeveralTimesAndClips.
std::unique_ptr<Strategy> ppo(const RunContext& context, const PpoOptions& options);

}  // namespace espalier
