#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "core/options.hpp"
#include "evaluators/evaluator.hpp"
#include "evaluators/evaluator_context.hpp"
#include "evaluators/held_out_accuracy.hpp"
#include "nets/weight_sharing.hpp"
#include "training/supernet_options.hpp"

namespace espalier {

class SharedWeights;

struct OneShotOptions {
  SupernetOptions supernet = {};
  WeightSharing sharing = {};
  RecalibrationOptions recalibration = {};
  std::optional<TrainOptions> fine_tune = {};  ///< of each candidate; empty: none
};
OptionTable<OneShotOptions> one_shot_option_table();

/// Trains the weights that all architectures share once, before the search, and gives `accuracy`,
/// in percent, of a candidate's part of them on the held-out images, with batch norm statistics of
/// its own. The training goes on from epoch to epoch when a run is resumed. With fine_tune, the
/// candidate's weights are first trained on by at_fidelity() of these options; without, the
/// fidelity does not matter. Accuracies depend on the architecture (and the fidelity) only and are
/// kept. With the rule `strategy`, the strategy trains the weights instead, see SharedTraining, and
/// an accuracy is that by the weights of the moment.
/// Source: Bender et al., "Understanding and Simplifying One-Shot Architecture Search", ICML 2018;
/// Guo et al., "Single Path One-Shot", ECCV 2020, arXiv 1904.00420 (batch norm statistics of each
/// architecture).
/// Test: OneShot.GivesTheAccuracyOfTheExtractedWeights.
class OneShotEvaluator : public Evaluator {
 public:
  /// Throws ConfigError for a space without a supergraph, without data or held-out images, and as
  /// check_train_options does with a pointer below "/train", for a rule that the space
  /// cannot serve, for fewer epochs than the rule needs, and for weights that the space's
  /// architectures cannot share so.
  OneShotEvaluator(const EvaluatorContext& context, const OneShotOptions& options);
  ~OneShotEvaluator() override;

  const std::vector<MetricInfo>& metrics() const override { return metrics_; }
  /// Trains, or continues the training in the directory; not what the strategy trains. Throws as
  /// train_supernet().
  void prepare(const PrepareContext& context) override;
  /// Throws Error before prepare() has come to its end.
  std::vector<double> evaluate(const Candidate& candidate, const Network& network,
                               Rng& rng) override;

  std::shared_ptr<SharedTraining> shared_training() override { return by_strategy_; }

  /// What was trained.
  const SharedWeights& weights() const { return *weights_; }

 private:
  std::shared_ptr<const SearchSpace> space_;
  std::shared_ptr<const Dataset> data_;
  SupernetOptions options_;
  std::vector<MetricInfo> metrics_;
  std::unique_ptr<SharedWeights> weights_;
  std::shared_ptr<SharedTraining> by_strategy_;  // of weights_, with the rule `strategy`
  std::unique_ptr<HeldOutAccuracy> accuracy_;
  Rng rng_{0};
  bool trained_ = false;
};

}  // namespace espalier
