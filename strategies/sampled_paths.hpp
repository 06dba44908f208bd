// Differentiable strategies that draw options: GDAS, SNAS, FBNet, DSNAS, ProxylessNAS.
#pragma once

#include "strategies/differentiable_search.hpp"

namespace espalier {

/// A draw of weights {n} from the concrete distribution of these logits {n} at a temperature:
/// softmax((log p + g) / t) with Gumbel noise g.
/// Source: C. Maddison, A. Mnih, Y. W. Teh: The concrete distribution, ICLR 2017, arXiv 1611.00712;
/// E. Jang, S. Gu, B. Poole: Categorical reparameterization with Gumbel-softmax, ICLR 2017, arXiv
/// 1611.01144. Test: SampledPaths.ConcreteDrawsHaveTheirProbabilities.
at::Tensor draw_concrete(const at::Tensor& logits, double temperature, Rng& rng);

struct GdasOptions : DifferentiableOptions {
  double first_temperature = 10;  ///< > 0
  double last_temperature = 0.1;  ///< > 0
};
OptionTable<GdasOptions> gdas_option_table();

/// GDAS: in each pass, a decision has the option of the largest concrete weight alone, with its
/// weight's gradient (straight-through), so that only sampled operators are computed. The
/// temperature falls linearly over the epochs. An option that was not sampled learns through the
/// sampled one's weight only.
/// Source: X. Dong, Y. Yang: Searching for a robust neural architecture in four GPU hours, CVPR
/// 2019, arXiv 1910.04465, section 3.2. Differs from the source: nothing known; the authors' code
/// for NAS-Bench-201 adds the weights that were not sampled to the output, as if their operators
/// gave ones, and lets the weights learn before the architecture in each step.
/// Test: Gdas.OnlyTheSampledOptionIsComputedAndItsWeightHasTheConcreteGradient.
class Gdas : public DifferentiableSearch {
 public:
  Gdas(const RunContext& context, const GdasOptions& options);

 protected:
  at::Tensor relax(const at::Tensor& logits, const RelaxedDecision& decision, Pass& pass) override;

 private:
  double first_, last_;
};

/// Where one loss teaches the weights and the architecture, by one pass over the same images.
class JointSearch : public DifferentiableSearch {
 protected:
  using DifferentiableSearch::DifferentiableSearch;
  void learn_architecture(const TrainStep&) override {}
  Learned learn_weights(const TrainStep& step) override;
  /// After a pass: the loss's gradient {count} in the parameters, which may be undefined.
  virtual at::Tensor gradient_of_pass() const { return parameters().values().grad(); }

 private:
  double loss_ = 0;      // of the step's batches so far, and
  at::Tensor gradient_;  // its gradient
};

struct SnasOptions : DifferentiableOptions {
  SnasOptions() { architecture_share = 0; }
  double first_temperature = 1;    ///< > 0
  double last_temperature = 0.03;  ///< > 0
};
OptionTable<SnasOptions> snas_option_table();

/// SNAS: the options' weights are drawn from the concrete distribution, whose temperature falls
/// linearly over the epochs; weights and architecture learn by one loss on all training images.
/// Source: Xie et al., "SNAS: Stochastic Neural Architecture Search", ICLR 2019, arXiv 1812.09926,
/// sections 2.2 and 2.3; temperatures as in the authors' code. Differs from the source: the
/// architecture's optimizer has a weight decay as in the authors' code; edges are chosen by the
/// space's own rule.
/// Test: Snas.OneLossTeachesBothOnTheSameImages, Snas.TheTemperatureFallsAlongALine.
class Snas : public JointSearch {
 public:
  /// Throws as DifferentiableSearch, and ConfigError (/architecture_share) where it is not 0.
  Snas(const RunContext& context, const SnasOptions& options);

 protected:
  at::Tensor relax(const at::Tensor& logits, const RelaxedDecision& decision, Pass& pass) override;

 private:
  double first_, last_;
};

struct FbnetSearchOptions : DifferentiableOptions {
  FbnetSearchOptions() {
    architecture_learning_rate = 0.01;
    architecture_weight_decay = 5e-4;
    architecture_share = 0.2;
    architecture_every = 4;
    warmup = 1.0 / 9;
    normalize_pools = false;
  }
  double first_temperature = 5;      ///< > 0
  double temperature_decay = 0.956;  ///< by epoch, (0, 1]
};
OptionTable<FbnetSearchOptions> fbnet_option_table();

/// FBNet: the options' weights are drawn from the concrete distribution at a temperature that falls
/// by a factor from epoch to epoch; the architecture learns on a fifth of the images.
/// Source: Wu et al., "FBNet: Hardware-Aware Efficient ConvNet Design via Differentiable Neural
/// Architecture Search", CVPR 2019, arXiv 1812.03443, sections 3.2 and 3.3. Differs from the
/// source: the architecture's steps lie between the weights', one after every four, not all at an
/// epoch's end; the strongest option of each decision is derived by default, and of several sampled
/// networks (`derive_samples`) the best by shared weights, where the source trains them; a
/// `cost` enters by its own forms, of its expectation, where the source multiplies the loss by a
/// power of the logarithm of the drawn weights' latency.
/// Test: Fbnet.TheTemperatureFallsByAFactor.
class Fbnet : public DifferentiableSearch {
 public:
  Fbnet(const RunContext& context, const FbnetSearchOptions& options);

 protected:
  at::Tensor relax(const at::Tensor& logits, const RelaxedDecision& decision, Pass& pass) override;

 private:
  double first_, decay_;
};

struct DsnasOptions : DifferentiableOptions {
  DsnasOptions() {
    architecture_learning_rate = 1e-3;
    architecture_weight_decay = 0;
    architecture_share = 0;
    normalize_pools = false;
  }
};
OptionTable<DsnasOptions> dsnas_option_table();

/// DSNAS: one option of each decision is drawn by its probability; weights and architecture learn
/// by one loss on all training images, the architecture down the gradient of log p(option) times
/// the derivative of the loss in a factor of 1 at the option's output; inputs of which several are
/// picked are weighed beside each other.
/// Source: Hu et al., "DSNAS: Direct Neural Architecture Search without Parameter Retraining", CVPR
/// 2020, arXiv 2002.09128, section 3.2. Differs from the source: no early fixing of decisions
/// (section 3.3), and what is found is trained by the evaluator as after any search.
/// Test: Dsnas.TheGradientIsTheFactorsDerivativeTimesThatOfTheLogProbability,
/// SampledPaths.OptionsAreDrawnByTheirProbabilities,
/// SampledPaths.InputsThatAreWeighedLearnByThePass.
class Dsnas : public JointSearch {
 public:
  /// Throws as Snas.
  Dsnas(const RunContext& context, const DsnasOptions& options);

 protected:
  at::Tensor relax(const at::Tensor& logits, const RelaxedDecision& decision, Pass& pass) override;
  Learned learn_weights(const TrainStep& step) override;
  at::Tensor gradient_of_pass() const override;

 private:
  std::vector<at::Tensor> drawn_, logits_;  // of the pass: weights of 1 or 0, and logits
};

/// How ProxylessNAS learns its architecture.
enum class ProxylessGradient { two_paths, reinforce };

struct ProxylessOptions : DifferentiableOptions {
  ProxylessOptions() {
    architecture_learning_rate = 1e-3;
    architecture_weight_decay = 0;
    architecture_share = 0.1;
    architecture_every = 5;
    warmup = 0.25;
    normalize_pools = false;
  }
  ProxylessGradient gradient = ProxylessGradient::two_paths;
  std::optional<int> samples = {};  ///< of `reinforce`: networks of a step, >= 1, by default 10
  /// Of `reinforce`: weight of the past in the mean reward, [0, 1), by default 0.01.
  std::optional<double> baseline = {};
};
OptionTable<ProxylessOptions> proxyless_option_table();

/// ProxylessNAS: the weights learn with one option of each decision, drawn by its probability.
/// `two_paths`: the architecture learns with two options of each decision, drawn without
/// replacement, of which one is active; both learn by what the loss would change with their gates,
/// and are then moved alike so that the probabilities of all others stay what they were. Inputs of
/// which several are picked are weighed beside each other.
/// `reinforce`: it learns from the accuracies, as shares, of some drawn networks on a batch, less
/// their running mean.
/// Source: Cai et al., "ProxylessNAS: Direct Neural Architecture Search on Target Task and
/// Hardware", ICLR 2019, arXiv 1812.00332, sections 3.2 and 3.3.2; the baseline as in the authors'
/// code. Differs from the source: where the active option gives zeros, the pair learns by what the
/// other one would change, where the authors' code leaves the decision out of the step; a `cost`
/// enters `reinforce` by its expectation, not by each network's reward.
/// Test: Proxyless.TwoPathsLearnByTheirGates, Proxyless.TwoPathsLeaveTheOthersProbabilities,
/// Proxyless.ReinforceFollowsTheScoreFunction, SampledPaths.OptionsAreDrawnByTheirProbabilities,
/// SampledPaths.InputsThatAreWeighedLearnByThePass.
class Proxyless : public DifferentiableSearch {
 public:
  /// Throws as DifferentiableSearch, and ConfigError (/gradient) for `reinforce` where several
  /// inputs are picked that their operators do not tell apart.
  Proxyless(const RunContext& context, const ProxylessOptions& options);

 protected:
  at::Tensor relax(const at::Tensor& logits, const RelaxedDecision& decision, Pass& pass) override;
  MixedOptions mixed_options() const override;
  void learn_architecture(const TrainStep& step) override;

 private:
  void learn_two_paths(const TrainStep& step);
  void learn_by_rewards(const TrainStep& step);

  ProxylessGradient gradient_;
  int samples_;
  double baseline_;
  std::vector<std::vector<bool>> also_computed_;  // of the pass
  at::Tensor mean_reward_;                        // {2}: it, and whether there is one
};

}  // namespace espalier
