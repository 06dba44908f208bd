// DARTS and its kin: all options at once, weighed by functions of the architecture parameters.
#pragma once

#include "strategies/differentiable_search.hpp"

namespace espalier {

/// How the architecture's gradient takes the weights.
enum class DartsOrder { first, second };

struct DartsSearchOptions : DifferentiableOptions {
  DartsOrder order = DartsOrder::first;
};
OptionTable<DartsSearchOptions> darts_option_table();
/// Adds the options of DARTS to a variant's table.
template <std::derived_from<DartsSearchOptions> T>
OptionTable<T>& add_darts_options(OptionTable<T>& table) {
  table.add("order", static_cast<DartsOrder T::*>(&DartsSearchOptions::order),
            "whether the architecture's gradient takes the weights as they are, or as they would "
            "be after one more step",
            named<DartsOrder>({{"first", DartsOrder::first}, {"second", DartsOrder::second}}));
  return add_differentiable_options(table);
}

/// DARTS: an edge is the sum of its operators by the softmax of its numbers, a node the sum of all
/// its edges. `first` takes the weights as they are, `second` as they would be after one more step,
/// see unrolled_gradient(), which needs the optimizer `sgd`.
/// Source: Liu et al., "DARTS: Differentiable Architecture Search", ICLR 2019, arXiv 1806.09055,
/// section 2; numbers as in the authors' search on CIFAR-10. Differs from the source: the learning
/// rate of the weights is that of the evaluator's training; both kinds of image are augmented alike
/// as there, but the images of the two are the first and the last of the training images.
/// Test: Darts.TheSecondOrderTakesTheWeightsAStepFurther,
/// Darts.TheSecondOrderUnrollsTheStepThatIsTaken,
/// UnrolledGradient.IsTheImplicitTermOfAQuadraticProblem,
/// Darts.TheArchitectureLearnsOnImagesOfItsOwn.
class Darts : public DifferentiableSearch {
 public:
  /// Throws as DifferentiableSearch; ConfigError (/order) for `second` with another optimizer.
  Darts(const RunContext& context, const DartsSearchOptions& options);

 protected:
  /// For a variant; it calls start() itself.
  Darts(const RunContext& context, const DartsSearchOptions& options, const std::string& name,
        const ArchitectureOptimizer& optimizer);
  void learn_architecture(const TrainStep& step) override;

 private:
  DartsOrder order_;
  std::vector<std::size_t> places_;  // of what learns, among all parameters
};

struct PcDartsOptions : DartsSearchOptions {
  PcDartsOptions() {
    architecture_learning_rate = 6e-4;
    warmup = 0.3;
  }
  int channel_share = 4;  ///< K, >= 2
};
OptionTable<PcDartsOptions> pc_darts_option_table();

/// PC-DARTS: operators see a share of 1/K of the channels, and the inputs of a node are weighed by
/// a softmax of numbers of their own. An edge is as strong as its operator's weight times its own.
/// The weights of the other channels learn nothing, so that accuracies of whole networks with
/// shared weights say little: train what was found.
/// Source: Xu et al., "PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture
/// Search", ICLR 2020, arXiv 1907.05737, section 3; numbers as in the authors' search on CIFAR-10
/// (15 of 50 epochs of warm-up). Differs from the source: the first channels, not a random part, as
/// in the authors' code, and shuffled; where all inputs of a node count (all of NAS-Bench-201, the
/// first node of a cell of the space "darts"), edges have no numbers of their own and are summed.
/// Test: PcDarts.OperatorsSeeAShareAndEdgesAreNormalized.
class PcDarts : public Darts {
 public:
  /// Throws as Darts, and UnsupportedError where the space cannot share its channels.
  PcDarts(const RunContext& context, const PcDartsOptions& options);

 protected:
  at::Tensor relax_inputs(const at::Tensor& logits, const RelaxedDecision& decision,
                          Pass& pass) override;
  at::Tensor expected(const at::Tensor& logits, const RelaxedDecision& decision) const override;
  MixedOptions mixed_options() const override;

 private:
  int channel_share_;
};

struct FairDartsOptions : DartsSearchOptions {
  FairDartsOptions() {
    architecture_learning_rate = 3e-3;
    none = false;
  }
  double zero_one_weight = 10;  ///< of the loss that draws weights to 0 or 1, >= 0
  double threshold = 0.85;      ///< below which an edge is closed, where one can be, in [0, 1]
};
OptionTable<FairDartsOptions> fair_darts_option_table();

/// FairDARTS: the weight of an operator is the sigmoid of its number, so that options do not
/// compete, and a loss of minus the mean of (weight - 1/2)^2 draws them to 0 or 1.
/// Source: Chu et al., "Fair DARTS: Eliminating Unfair Advantages in Differentiable Architecture
/// Search", ECCV 2020, arXiv 1911.12126, sections 3.2 and 3.3; numbers as in the authors' code.
/// Differs from the source: an architecture has as many edges as its space says: those of the space
/// "darts" always two a node, and an edge whose operators are all below the threshold is closed
/// where it has the option "none". By a `cost`, which the source does not have, options count by
/// their weights as shares of the sum of these.
/// Test: FairDarts.OptionsDoNotCompete, FairDarts.WeightsAreDrawnToZeroOrOne.
class FairDarts : public Darts {
 public:
  /// Throws as Darts, and UnsupportedError, naming it, for a decision on a number: its options
  /// share one weight of 1.
  FairDarts(const RunContext& context, const FairDartsOptions& options);

 protected:
  at::Tensor relax(const at::Tensor& logits, const RelaxedDecision& decision, Pass& pass) override;
  at::Tensor expected(const at::Tensor& logits, const RelaxedDecision& decision) const override;
  at::Tensor architecture_penalty() const override;
  Strengths derivable() const override;

 private:
  double zero_one_weight_, threshold_;
};

struct DrNasOptions : DartsSearchOptions {
  DrNasOptions() { none = false; }
  double kl_weight = 0;  ///< of the divergence from the flat distribution, >= 0
};
OptionTable<DrNasOptions> dr_nas_option_table();

/// DrNAS: the weights of an edge's options are drawn from a Dirichlet distribution with the
/// concentrations elu(number) + 1, whose gradient goes through the draw. The weight decay draws
/// them to the flat distribution; `kl_weight` adds the divergence from it to the loss. Options
/// count by the distribution's mean.
/// Source: Chen et al., "DrNAS: Dirichlet Neural Architecture Search", ICLR 2021, arXiv 2006.10355,
/// sections 2.2 and 2.3. Differs from the source: no progressive stages on parts of the channels
/// (section 2.4), each of which begins with epochs of the weights alone; the authors' code ranks a
/// node's edges by the softmax of the numbers, here they too are ranked by the mean.
/// Test: DrNas.TheGradientGoesThroughTheDraw, DrNas.OptionsCountByTheMeanOfTheirDraws,
/// DrNas.TheDivergenceIsThatFromTheFlatDistribution.
class DrNas : public Darts {
 public:
  DrNas(const RunContext& context, const DrNasOptions& options);

 protected:
  at::Tensor relax(const at::Tensor& logits, const RelaxedDecision& decision, Pass& pass) override;
  at::Tensor expected(const at::Tensor& logits, const RelaxedDecision& decision) const override;
  at::Tensor architecture_penalty() const override;

 private:
  double kl_weight_;
};

/// A draw {n} from the Dirichlet distribution with these concentrations {n}, all of them positive,
/// in float64. Differentiable in them.
/// Source: M. Figurnov, S. Mohamed, A. Mnih: Implicit reparameterization gradients, NeurIPS 2018,
/// arXiv 1805.08498, as LibTorch has it.
/// Test: DrNas.TheGradientGoesThroughTheDraw.
at::Tensor draw_dirichlet(const at::Tensor& concentrations, Rng& rng);

struct DartsMinusOptions : DartsSearchOptions {
  double auxiliary = 1;  ///< weight of the auxiliary skips at first, > 0
};
OptionTable<DartsMinusOptions> darts_minus_option_table();

/// DARTS-: each edge that may skip has an auxiliary skip connection, whose weight falls linearly to
/// 0 over the epochs, beside its operators; architectures are derived without it, and what is noted
/// of the relaxed network is noted with that of the last epoch.
/// Source: Chu et al., "DARTS-: Robustly Stepping out of Performance Collapse Without Indicators",
/// ICLR 2021, arXiv 2009.01027, section 3.2. Differs from the source: where the skip of an edge has
/// weights (stride 2), the auxiliary one shares them.
/// Test: DartsMinus.TheAuxiliarySkipFades.
class DartsMinus : public Darts {
 public:
  /// Throws as Darts, and UnsupportedError where no decision has a skip.
  DartsMinus(const RunContext& context, const DartsMinusOptions& options);

 protected:
  at::Tensor relax(const at::Tensor& logits, const RelaxedDecision& decision, Pass& pass) override;
  MixedWeights trained_weights() const override;

 private:
  at::Tensor with_auxiliary(const at::Tensor& weights, const RelaxedDecision& decision, int epoch,
                            int epochs) const;

  double auxiliary_;
};

}  // namespace espalier
