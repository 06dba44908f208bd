// DARTS against collapse: perturbed weights of operators, stronger weight decay.
#pragma once

#include <deque>

#include "strategies/darts.hpp"
#include "training/tensor_file.hpp"

namespace espalier {

/// How SDARTS perturbs the weights of operators.
enum class Perturbation { random, adversarial };

struct SdartsOptions : DartsSearchOptions {
  Perturbation perturbation = Perturbation::adversarial;
  double first_radius = 0.03;            ///< > 0
  double last_radius = 0.3;              ///< > 0
  std::optional<int> attack_steps = {};  ///< of `adversarial`, >= 1, by default 7
};
OptionTable<SdartsOptions> sdarts_option_table();

/// SDARTS: the shared weights learn with operators' weights that are moved within a radius of what
/// they are, each by itself: at random, or up the gradient of the training loss (projected sign
/// steps from a random start; what does not raise the loss is not taken). The radius grows linearly
/// over the epochs. The architecture learns as in DARTS.
/// Source: Chen, Hsieh, "Stabilizing Differentiable Architecture Search via Perturbation-based
/// Regularization", ICML 2020, arXiv 2002.05283, sections 3.2 and 3.3. As in the authors' code, it
/// is the softmax that is moved and then brought back to weights that sum to 1, and the attack's
/// networks normalize by running statistics (pools, where they are normalized, by the batch).
/// Test: Sdarts.TheAttackIsProjectedSignStepsFromARandomStart,
/// Sdarts.TheAttackRaisesTheLossMoreThanChance,
/// Sdarts.TheRadiusGrows, Sdarts.WeightsLearnAtTheRadiusOfTheEpoch.
class Sdarts : public Darts {
 public:
  /// Throws as Darts, UnsupportedError where of every decision several options are picked, and
  /// ConfigError (/attack_steps) where nothing attacks.
  Sdarts(const RunContext& context, const SdartsOptions& options);

 protected:
  Learned learn_weights(const TrainStep& step) override;
  /// The weights that `perturbation` makes of given ones.
  MixedWeights attacked(const TrainStep& step, const Batch& batch, const MixedWeights& given,
                        double radius);
  double radius(std::int64_t epoch) const;

 private:
  Perturbation perturbation_;
  double first_radius_, last_radius_;
  int attack_steps_;
};

struct RDartsOptions : DartsSearchOptions {
  double weight_decay_factor = 10;  ///< > 1
  double most_weight_decay = 0.03;  ///< > 0
};
OptionTable<RDartsOptions> r_darts_option_table();

/// R-DARTS by an adaptive weight decay, which its authors call DARTS-ADA: where the eigenvalue has
/// grown, see EigenvalueGrowth, the search goes back to the epoch before it did, and on from there
/// with a weight decay of the shared weights that is `weight_decay_factor` times what it was; at
/// most `most_weight_decay`. Each epoch that is trained again is a trial of its own. The trials'
/// notes have the `weight_decay` and, where the search goes back next, `goes_back_to`, the epoch.
/// Copies of the weights and of the optimizer's state are kept in memory and in snapshots: of six
/// epochs for each time that the decay may still grow.
/// Source: Zela et al., "Understanding and Robustifying Differentiable Architecture Search", ICLR
/// 2020, arXiv 1909.09656, section 5.3; factor and limit as in the authors' script, which has the
/// second order and eigenvalues of every other epoch (`order`, `eigenvalue_every`). Differs from
/// the source: what it calls R-DARTS proper is not here, the best of several searches with weight
/// decays (L2), which is a matter of several runs, or with rates of dropped paths (DP) of their
/// own; epochs that are taken back are trained again on the same batches.
/// Test: RDarts.GoesBackToTheEpochBeforeTheGrowthWithMoreWeightDecay.
class RDarts : public Darts {
 public:
  /// Throws as Darts, and ConfigError (/early_stopping) with it, (/eigenvalue_every) without
  /// eigenvalues, (/weight_decay_factor) where the evaluator's training has no weight decay,
  /// (/most_weight_decay) where it may not even be raised once; (/eigenvalue_every) where too few
  /// epochs are measured to see a growth before the last one.
  RDarts(const RunContext& context, const RDartsOptions& options);

 protected:
  void begin_epoch() override;
  bool takes_early_stopping() const override { return false; }
  bool answers_growth() const override;
  void add_notes(Notes& notes) const override;
  Json save_own() const override;
  void load_own(const Json& state) override;
  void save_files(const std::filesystem::path& directory) const override;
  void load_files(const std::filesystem::path& directory) override;

 private:
  /// As an epoch left it.
  struct Kept {
    int epoch;
    TensorFile state;
  };

  double weight_decay() const;
  int raises_left() const;

  double factor_, most_;
  int raises_ = 0;         // of the weight decay
  std::deque<Kept> kept_;  // the last epochs that were measured, as far back as a growth reaches
};

/// Numbers {n} as weights that are not negative and sum to 1: those below 0 become 0, those above 1
/// become 1, and all are divided by their sum; where nothing is left, the largest one is 1.
at::Tensor as_weights(const at::Tensor& numbers);

}  // namespace espalier
