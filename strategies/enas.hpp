#pragma once

#include <optional>
#include <vector>

#include "strategies/policy_gradient.hpp"
#include "strategies/rewards.hpp"
#include "strategies/weight_sharing_search.hpp"

namespace espalier {

struct EnasSearchOptions : StartOptions {
  PolicyKind policy = PolicyKind::lstm;
  int hidden = 64;                                  ///< units of the LSTM, >= 1
  double logit_limit = 1.1;                         ///< of Policy::limit_logits(), > 0
  int updates = 30;                                 ///< of the policy after each epoch, >= 1
  int batch = 10;                                   ///< architectures of an update, >= 1
  int candidates = 10;                              ///< trials after each epoch, >= 1
  double learning_rate = 0.0035;                    ///< of Adam, > 0
  double entropy = 1e-4;                            ///< >= 0
  double baseline = 0.99;                           ///< in [0, 1)
  std::optional<RewardKind> reward = std::nullopt;  ///< by default `value` for one objective
};
OptionTable<EnasSearchOptions> enas_option_table();

/// ENAS: a policy and shared weights learn in turn. For an epoch, the weights learn with an
/// architecture for each step that the policy draws; then the policy takes `updates` steps of
/// REINFORCE, each by `batch` architectures that it draws, whose reward is the accuracy on a batch
/// of held-out images; then `candidates` different ones that it draws are evaluated.
///
/// With `value`, a reward is the accuracy as a share, divided by 1 + v where an architecture breaks
/// constraints by v in all, 0 where it cannot be measured; with `rank`, its rank within the update
/// by all objectives. Both need metrics that are known without an evaluation, but for the accuracy.
///
/// Source: H. Pham et al.: Efficient neural architecture search via parameter sharing, ICML 2018,
/// arXiv 1802.03268, sections 2.2 and 2.3; numbers as in the authors' search of cells on CIFAR-10.
/// Differs from the source: connections are decisions like others, without attention over nodes;
/// the entropy is an objective beside the reward, not a part of it; the limit of logits is one for
/// all decisions, and there are no biases against options; no penalty on skip connections; Adam has
/// its usual constants, where the authors have no momentum and an epsilon of 1e-3, and the baseline
/// is that of PolicyGradient. Of the
/// architectures of each epoch, not of the last one alone, some are evaluated, on all held-out
/// images.
/// Test: Enas.ThePolicyLearnsFromBatchesByTheWeightsOfItsEpoch,
/// Enas.LearnsFromWhatWasDrawnAlsoWhereThatIsNotActive.
class Enas : public WeightSharingSearch {
 public:
  /// Throws ConfigError as WeightSharingSearch and Rewards do, and (/objectives, /constraints) for
  /// a metric that only an evaluation gives.
  Enas(const RunContext& context, const EnasSearchOptions& options);

  Policy& policy() { return gradient_.policy(); }

 protected:
  std::vector<Candidate> next_round(const Rng& rng) override;
  Json save_state() const override { return gradient_.save(); }
  void load_state(const Json& state) override { gradient_.load(state); }

 private:
  PolicyDraw draw(Rng& rng);
  Architecture draw_architecture(Rng& rng);
  void update(const Rng& rng);
  void measure(Trial& trial, const Rng& images);

  EnasSearchOptions options_;
  RewardKind reward_;
  std::function<Metrics(const Architecture&)> known_metrics_;
  PolicyGradient gradient_;
};

}  // namespace espalier
