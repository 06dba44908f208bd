// What strategies have in common that search a relaxation by its gradient.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <compare>
#include <concepts>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/options.hpp"
#include "nets/supernet.hpp"
#include "strategies/architecture_parameters.hpp"
#include "strategies/expected_cost.hpp"
#include "strategies/relaxed_decisions.hpp"
#include "strategies/weight_sharing_search.hpp"
#include "training/batch.hpp"
#include "training/step_training.hpp"
#include "training/train_loop.hpp"

namespace espalier {

/// How a cost enters the architecture's loss; E is its expectation, T the target.
enum class CostForm { multiplier, hinge, power };

struct CostOptions {
  std::string metric;  ///< of networks: params, macs, storage_bytes, or of a hardware model
  double target = 0;   ///< in the metric's unit, > 0
  CostForm form = CostForm::multiplier;
  std::optional<double> weight = std::nullopt;  ///< > 0; by default 0.01, 1 and 0.6
};
OptionTable<CostOptions> cost_option_table();

/// What all differentiable strategies have.
struct DifferentiableOptions {
  double architecture_learning_rate = 3e-4;  ///< of Adam, for the architecture parameters, > 0
  double architecture_weight_decay = 1e-3;   ///< of Adam, a part of the gradient, >= 0
  double architecture_share = 0.5;           ///< of the training images, [0, 1)
  double warmup = 0;                         ///< share of the epochs in which weights learn alone
  std::optional<bool> none = std::nullopt;   ///< by default where inputs of nodes are searched
  bool normalize_pools = true;
  bool affine_norms = false;   ///< whether norms of operators to be chosen learn factors
  int monitor_batches = 4;     ///< of held-out images, for accuracies before and after deriving
  int eigenvalue_every = 1;    ///< epochs; 0: never
  int architecture_every = 1;  ///< steps of the weights, >= 1
  bool early_stopping = false;
  int derive_samples = 0;  ///< >= 0; 0: the strongest architecture is derived
  std::optional<CostOptions> cost = std::nullopt;
};

/// Adam by a strategy's options.
ArchitectureOptimizer architecture_optimizer(const DifferentiableOptions& options,
                                             double beta1 = 0.5);

/// Adds the common options to a strategy's table.
template <std::derived_from<DifferentiableOptions> T>
OptionTable<T>& add_differentiable_options(OptionTable<T>& table) {
  using Base = DifferentiableOptions;
  const auto number = [](double Base::*member) { return static_cast<double T::*>(member); };
  const auto flag = [](bool Base::*member) { return static_cast<bool T::*>(member); };
  const auto count = [](int Base::*member) { return static_cast<int T::*>(member); };
  return table
      .add("architecture_learning_rate", number(&Base::architecture_learning_rate),
           "of Adam, for the architecture parameters", greater_than(0))
      .add("architecture_weight_decay", number(&Base::architecture_weight_decay),
           "of Adam, as a part of the gradient", at_least(0))
      .add("architecture_share", number(&Base::architecture_share),
           "of the training images, on which the architecture learns and the weights do not; 0: "
           "both learn on all",
           Range{.low = 0, .high = 1, .high_open = true})
      .add("warmup", number(&Base::warmup), "share of the epochs in which weights learn alone",
           Range{.low = 0, .high = 1, .high_open = true})
      .add("none", static_cast<std::optional<bool> T::*>(&Base::none),
           "whether an edge may also be closed in the relaxation, never in an architecture; by "
           "default where the inputs of nodes are searched")
      .add("normalize_pools", flag(&Base::normalize_pools),
           "whether pools are normalized by the batch in the relaxation")
      .add("affine_norms", flag(&Base::affine_norms),
           "whether batch norms of operators to be chosen learn factors and offsets in the search")
      .add("monitor_batches", count(&Base::monitor_batches),
           "of held-out images, for the accuracies before and after deriving", at_least(1))
      .add("eigenvalue_every", count(&Base::eigenvalue_every),
           "epochs, how often the Hessian's largest eigenvalue is measured; 0: never", at_least(0))
      .add("architecture_every", count(&Base::architecture_every),
           "steps of the weights, how often the architecture takes one", at_least(1))
      .add("early_stopping", flag(&Base::early_stopping),
           "ends the search when the eigenvalue grows fast, with the architecture of the epoch "
           "before it grew (not of r_darts, p_darts, sgas and darts_pt)")
      .add("derive_samples", count(&Base::derive_samples),
           "architectures drawn by the weights of their options after each epoch, of which the one "
           "of the highest accuracy on the monitor's images is derived; 0: the strongest one is",
           at_least(0))
      .add("cost", static_cast<std::optional<CostOptions> T::*>(&Base::cost),
           "what the architecture should cost", cost_option_table());
}

/// How architecture parameters begin: normal.
struct InitialParameters {
  double mean = 0, deviation = 1e-3;
};

/// The supernet's relaxation and its architecture parameters learn in turn; after each epoch the
/// architecture that is derived from them is asked for, with the share of the epochs that are over
/// as its fidelity, so that the last one is the result. Its notes tell how far the relaxation is
/// from it and whether the search collapses:
/// - `entropy`: of the options' weights, mean over decisions, as a share of the largest possible;
/// - `skip_share`: see skip_share();
/// - `relaxed_accuracy`, `derived_accuracy`, `discretization_gap`: percent of some held-out images
///   by the relaxation, by the one-hot point of the architecture, and what is between;
/// - `eigenvalue`: the largest one of the Hessian of the loss in the architecture parameters, on a
///   batch that the weights do not learn on.
///
/// With derive_samples, some architectures are drawn by the weights of their options, as
/// draw_architecture() does, and of those that cost what they should the one of the highest
/// accuracy by shared weights, on the images of `derived_accuracy`, is derived; else the strongest
/// one is.
///
/// With early_stopping, the search ends where the eigenvalue, as EigenvalueGrowth has it, has
/// grown, but not before a fifth of the epochs, with the architecture of the epoch before it did;
/// epochs before the architecture first learned do not count.
/// Source: Zela et al., "Understanding and Robustifying Differentiable Architecture Search", ICLR
/// 2020, arXiv 1909.09656, section 4.3.
/// Test: DifferentiableSearch.TheEigenvalueIsThatOfTheWholeHessian.
///
/// A warning follows where, without a cost, more than half of the operators are skips, or the
/// eigenvalue, as EigenvalueGrowth has it, has grown too fast.
///
/// With a `cost`, its expectation E over all architectures (see ExpectedCost), by expected weights,
/// enters the architecture's loss L, with a target T: L + m (E / T - 1), where the multiplier m
/// grows by weight (E / T - 1) with each step (`multiplier`); L + weight max(0, E / T - 1)
/// (`hinge`); or L (E / T)^weight (`power`). An architecture that is derived costs at most 5% more,
/// with a multiplier also at most 5% less, than the target: where the strongest one does not,
/// decisions are changed one by one, those first that are the least likely for what they change of
/// the cost, and to what was dropped last of all; where that does not suffice, so are those of some
/// draws, and a warning says where that does not. Its notes have `expected_cost`. Constraints of
/// the run on what is known without an evaluation are kept alike, before the cost. Source: Wu et
/// al., "FBNet", CVPR 2019, arXiv 1812.03443, section 3.2, and Tan et al., "MnasNet", CVPR 2019,
/// arXiv 1807.11626, equation 2 (powers). Test: DifferentiableSearch.ACostEntersTheLossByItsForm,
/// DifferentiableSearch.TheCostMeetsItsTarget.
///
/// A step: the architecture parameters learn, on images that the weights do not learn from, then
/// the weights do. Deterministic as SharedTraining; snapshots hold everything.
class DifferentiableSearch : public WeightSharingSearch {
 public:
  const ArchitectureParameters& parameters() const { return parameters_; }
  /// The expected weights of all options, >= 0.
  Strengths strengths() const;
  /// The strongest architecture of the moment, see strongest(); where it is not valid, one that no
  /// change of a single decision makes likelier, beginning with the likeliest of a thousand draws.
  /// Then changed to keep the run's constraints, as far as their metrics are known without an
  /// evaluation, and the cost.
  Architecture derive() const { return derived(derivable()); }
  /// One drawn by the weights of its options: where several inputs are picked, one after the other,
  /// by their weights times those of the operators that they end with, zero left out. Then as
  /// derive().
  Architecture draw_architecture(Rng rng) const;

 protected:
  enum class Part { weights, architecture };
  /// For what a relaxation is drawn.
  struct Pass {
    Part part;
    int epoch, epochs;  ///< from 0, of all of the stage
    Rng rng;
  };
  /// What an epoch's eigenvalue was, and its architecture.
  struct Measured {
    int epoch;  ///< from 1
    double eigenvalue;
    Architecture architecture;
  };
  /// Throws UnsupportedError for a space whose holes have no relaxation; ConfigError for one
  /// without a supergraph or decisions, (/cost) where the run knows no costs, (/cost/metric) for
  /// one without an expectation, (/cost/target) for one that no walk of single changes comes near,
  /// (/early_stopping) without eigenvalues, or with too few of them to see a growth, (/warmup)
  /// where the architecture would never learn; UnsupportedError where the training recomputes
  /// activations.
  DifferentiableSearch(const RunContext& context, const DifferentiableOptions& options,
                       const std::string& name, const ArchitectureOptimizer& optimizer);
  /// At the end of the constructor: checks the relaxation and begins the training. `tensors` are
  /// what steps change beside the parameters; `stage` is the first of several, or all.
  void start(const InitialParameters& initial = {}, std::map<std::string, at::Tensor> tensors = {},
             const TrainingStage& stage = {});
  /// Begins another stage of the training, the `number`th from 0, with new weights and new
  /// parameters; what was dropped stays so.
  void restart(const TrainingStage& stage, int number);

  /// The weights of a decision's options, {options, or one more for `none`}, from its logits, in
  /// which those that were dropped are minus infinity. Differentiable. Default: softmax.
  virtual at::Tensor relax(const at::Tensor& logits, const RelaxedDecision& decision, Pass& pass);
  /// Those of the inputs of which several are picked. Default: 1 each where their operators tell
  /// them apart (`told_apart`); else their softmax times how many are picked.
  virtual at::Tensor relax_inputs(const at::Tensor& logits, const RelaxedDecision& decision,
                                  Pass& pass);
  /// The expected weights, for deriving. Default: softmax, of inputs as relax_inputs().
  virtual at::Tensor expected(const at::Tensor& logits, const RelaxedDecision& decision) const;
  virtual MixedOptions mixed_options() const;
  /// What is added to the architecture's loss. Undefined for nothing.
  virtual at::Tensor architecture_penalty() const { return {}; }
  /// One step of the architecture parameters. Default: down the gradient of the loss at the
  /// weights of the moment.
  virtual void learn_architecture(const TrainStep& step);
  /// Adds the gradients of the weights. Default: at the relaxed weights of the moment.
  virtual Learned learn_weights(const TrainStep& step);
  /// The same by a batch and given weights of the options; what these depend on gets gradients,
  /// too.
  Learned learn_weights(const TrainStep& step, const Batch& batch, const MixedWeights& weights);
  /// Before an epoch's training.
  virtual void begin_epoch() {}
  /// After an epoch's training, before an architecture is derived.
  virtual void end_epoch(const Rng&) {}
  /// Whether it may be told to stop early: not where what an architecture is derived from comes
  /// to be only by the last epoch. Default: yes.
  virtual bool takes_early_stopping() const { return true; }
  /// Whether the search itself does something about an eigenvalue that grows, so that no warning
  /// follows.
  virtual bool answers_growth() const { return false; }
  /// What a strategy adds to the notes of a candidate.
  virtual void add_notes(Notes&) const {}

  std::vector<Candidate> next_round(const Rng& rng) final;
  Json save_state() const final;
  void load_state(const Json& state) final;
  /// What a strategy has beside its tensors, for snapshots.
  virtual Json save_own() const { return nullptr; }
  virtual void load_own(const Json&) {}

  /// The relaxed weights of all decisions.
  MixedWeights relaxed(Pass pass);
  at::Tensor forward(const Batch& batch, const MixedWeights& weights);
  /// Their mean cross entropy; checked to be finite.
  at::Tensor loss(const TrainStep& step, const Batch& batch, const MixedWeights& weights);
  /// The options' probabilities, by which a cost is expected: expected_weights(), where one is
  /// picked as shares of their sum, since no architecture has `none`.
  MixedWeights cost_weights() const;
  /// The weights of what is trained, by which its accuracy and its eigenvalue are noted. Default:
  /// expected_weights().
  virtual MixedWeights trained_weights() const { return expected_weights(); }
  /// A loss with the penalty and the cost that these weights expect, by default cost_weights().
  at::Tensor architecture_loss(const at::Tensor& loss, const MixedWeights& weights = {}) const;
  /// The gradient of architecture_loss() in the architecture parameters, {count}.
  at::Tensor architecture_gradient(const at::Tensor& loss, const MixedWeights& weights = {}) const;
  /// The same where a loss of this value has this gradient {count}.
  at::Tensor architecture_gradient(double loss, const at::Tensor& gradient) const;
  /// A step down a gradient {count}.
  void descend(const at::Tensor& gradient);
  Pass pass(const TrainStep& step, Part part) const;
  Batch architecture_batch(const TrainStep& step) const { return step.second_batch(size_); }
  ArchitectureParameters& parameters() { return parameters_; }
  /// Those that the weights do not learn from: the architecture's, or those held out.
  StepTraining::Images unlearned_images() const;
  /// Which numbers are still searched, {count}: 1 or 0.
  const at::Tensor& alive() const { return alive_; }
  at::Tensor logits(std::size_t d) const;
  int epoch() const { return training().trained_epochs(); }
  std::array<std::int64_t, 2> input_size() const { return size_; }
  /// The options of a decision, `none` the last, that are searched from now on.
  void keep(std::size_t d, std::span<const std::size_t> options);
  std::vector<std::size_t> kept(std::size_t d) const;
  /// By what architectures are derived and drawn. Default: strengths().
  virtual Strengths derivable() const { return strengths(); }
  /// As derive(), by given strengths.
  virtual Architecture derived(const Strengths& strengths) const;
  /// The best of `derive_samples` draws.
  Architecture sampled(const Rng& rng);
  /// The weights that learn.
  const NamedTensors& learning() const { return learning_; }

  /// The expected weights, without `none`.
  MixedWeights expected_weights() const;
  /// Percent of some batches of images, by batch statistics; what a network keeps of batches is
  /// what it was at the end.
  double accuracy(const MixedWeights& weights, StepTraining::Images images, int batches,
                  const Rng& rng);
  /// Of so many epochs, those in which weights learn alone. Throws ConfigError (/warmup) where
  /// these are all.
  int warmup_epochs(int epochs) const;
  /// Whether the architecture learns in a step, by `warmup` and `architecture_every`.
  bool architecture_learns(const TrainStep& step) const;
  /// In the order of epochs, from the first one on in which the architecture learned.
  std::span<const Measured> measured() const { return measured_; }
  /// Whether what is measured in the first `epochs` epochs could show a growth.
  bool growth_can_show(int epochs) const;
  /// The measurement before the eigenvalue first grew, of those that are not forgotten.
  std::optional<Measured> grown_since() const;
  /// Forgets what was measured after an epoch.
  void forget_after(int epoch);

  /// Weights get no gradients until the end of the scope.
  class FixedWeights {
   public:
    explicit FixedWeights(const NamedTensors& weights) : weights_(weights) { set(false); }
    ~FixedWeights() { set(true); }
    FixedWeights(const FixedWeights&) = delete;
    FixedWeights& operator=(const FixedWeights&) = delete;

   private:
    void set(bool learn) const;
    const NamedTensors& weights_;
  };

 private:
  /// What a warning says to do.
  std::string remedy() const;
  /// What to warn of about an epoch's architecture, which has this share of skips; "" for nothing.
  std::string warning_of(const Architecture& a, int epoch, double skips) const;
  /// The weights that learn, and those that do not; then their training.
  void begin_training(const TrainingStage& stage);
  bool architecture_has_learned() const;
  Notes notes_of(const Architecture& a, const Rng& rng);
  double held_out_accuracy(const MixedWeights& weights, const Rng& rng);
  double largest_eigenvalue(const Rng& rng);

  /// The logarithm of the product of the weights of what a decision picks, or all do.
  double likelihood(std::size_t d, std::uint32_t choice, const Strengths& strengths) const;
  double likelihood(const Architecture& a, const Strengths& strengths) const;
  /// One whose options are drawn by their strengths, each decision by itself.
  Architecture drawn(const Strengths& strengths, Rng& rng) const;
  /// How far a valid architecture is from what it should keep: the run's constraints, as far as
  /// their metrics are known without an evaluation, then the cost; 0 where it is kept.
  struct Off {
    double violation = 0, cost = 0;
    auto operator<=>(const Off&) const = default;
  };
  Off off(const Architecture& a) const;
  /// One that no change of a single decision makes likelier, beginning with the likeliest of a
  /// thousand draws.
  Architecture likely_valid(const Strengths& strengths, Rng& rng) const;
  /// How far a cost is from what it should be, as a share of that.
  double off_target(double cost) const;
  /// An architecture near this one that keeps what it should, or as near as it comes.
  Architecture fitted(Architecture a, const Strengths& strengths) const;
  double cost_weight() const;

  std::string name_;
  DifferentiableOptions common_;
  std::function<Metrics(const Architecture&)> known_metrics_;
  std::unique_ptr<const ExpectedCost> cost_;
  at::Tensor multiplier_;  // {1}
  Rng initial_rng_;
  InitialParameters initial_;
  std::map<std::string, at::Tensor> tensors_;  // of start()
  int stage_epochs_ = 0;
  ArchitectureParameters parameters_;
  at::Tensor alive_;
  std::array<std::int64_t, 2> size_{};
  NamedTensors learning_, fixed_;
  std::vector<Measured> measured_;
};

/// The largest eigenvalue of a symmetric matrix, given by its products with vectors {size}, by
/// power iteration; by a second one, shifted, where that of the largest magnitude is negative or
/// one below 0 is about as large.
double largest_eigenvalue(const std::function<at::Tensor(const at::Tensor&)>& product,
                          std::int64_t size, Rng rng);

/// Whether eigenvalues grow as they do before a search by them fails: the mean of the last ones,
/// up to `window` of them, is more than `factor` times that of as many measured `lag`
/// measurements before.
/// Source: Zela et al., as above, section 4.3; numbers as in the authors' code.
/// Test: EigenvalueGrowth.AsInTheAuthorsCode.
struct EigenvalueGrowth {
  int window = 5;
  int lag = 4;
  double factor = 1.3;

  /// How many values it takes to see one.
  int first() const { return lag + window / 2 + 1; }
  /// The position, in `values`, of the middle of the window before the growth; nothing where there
  /// is none.
  std::optional<std::size_t> found(std::span<const double> values) const;
};

}  // namespace espalier
