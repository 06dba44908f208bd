// DARTS against collapse: perturbed weights of operators.
#pragma once

#include "strategies/darts.hpp"

namespace espalier {

/// How SDARTS perturbs the weights of operators.
enum class Perturbation { random, adversarial };

struct SdartsOptions : DartsSearchOptions {
  Perturbation perturbation = Perturbation::adversarial;
  double first_radius = 0.03;  ///< > 0
  double last_radius = 0.3;    ///< > 0
  int attack_steps = 7;        ///< of `adversarial`, >= 1
};
OptionTable<SdartsOptions> sdarts_option_table();

/// SDARTS: the shared weights learn with operators' weights that are moved within a radius of what
/// they are, each by itself: at random, or up the gradient of the training loss (projected sign
/// steps from a random start; what does not raise the loss is not taken). The radius grows linearly
/// over the epochs. The architecture learns as in DARTS.
/// Source: Chen, Hsieh, "Stabilizing Differentiable Architecture Search via Perturbation-based
/// Regularization", ICML 2020, arXiv 2002.05283, sections 3.2 and 3.3. As in the authors' code, it
/// is the softmax that is moved and then brought back to weights that sum to 1, and the attack's
/// networks normalize by running statistics.
/// Test: Sdarts.TheAttackRaisesTheLossWithinTheRadius.
class Sdarts : public Darts {
 public:
  Sdarts(const RunContext& context, const SdartsOptions& options);

 protected:
  Learned learn_weights(const TrainStep& step) override;
  /// The weights that `perturbation` makes of given ones.
  MixedWeights attacked(const TrainStep& step, const Batch& batch, const MixedWeights& given,
                        double radius);

 private:
  Perturbation perturbation_;
  double first_radius_, last_radius_;
  int attack_steps_;
};

/// Numbers {n} as weights that are not negative and sum to 1: those below 0 become 0, those above 1
/// become 1, and all are divided by their sum; where nothing is left, the largest one is 1.
at::Tensor as_weights(const at::Tensor& numbers);

}  // namespace espalier
