#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "core/options.hpp"
#include "evaluators/evaluator.hpp"
#include "evaluators/evaluator_context.hpp"
#include "evaluators/held_out_accuracy.hpp"
#include "nets/hypernetwork_options.hpp"
#include "training/train_options.hpp"

namespace espalier {

class HyperNetwork;

struct HyperNetworkEvaluatorOptions {
  HyperNetworkOptions hypernetwork = {};
  TrainOptions train = {};  ///< of the hypernetwork, without patience and validate_every
  RecalibrationOptions recalibration = {};
  std::optional<TrainOptions> fine_tune = {};  ///< of each candidate; empty: none
};
OptionTable<HyperNetworkEvaluatorOptions> hypernetwork_evaluator_option_table();

/// Trains a network that generates weights once, before the search, and gives `accuracy`, in
/// percent, of what it generates for a candidate on the held-out images, with batch norm statistics
/// of the candidate's own. Training, fine_tune and fidelities are as in OneShotEvaluator.
/// Source: Zhang et al., "Graph HyperNetworks for Neural Architecture Search", ICLR 2019, arXiv
/// 1810.05749; Brock et al., "SMASH", ICLR 2018, arXiv 1708.05344. Differs from the source: batch
/// norms have the statistics of training images, not of the batch that is evaluated.
/// Test: HyperNetworkEvaluator.GivesTheAccuracyOfTheGeneratedWeights.
class HyperNetworkEvaluator : public Evaluator {
 public:
  /// Throws ConfigError without data or held-out images, as check_hypernetwork_training does with a
  /// pointer below "/train", and for a space whose largest network has weights that cannot be
  /// generated.
  HyperNetworkEvaluator(const EvaluatorContext& context,
                        const HyperNetworkEvaluatorOptions& options);
  ~HyperNetworkEvaluator() override;

  const std::vector<MetricInfo>& metrics() const override { return metrics_; }
  /// Trains, or continues the training in the directory. Throws as train_hypernetwork().
  void prepare(const PrepareContext& context) override;
  /// Throws Error before prepare() has come to its end.
  std::vector<double> evaluate(const Candidate& candidate, const Network& network,
                               Rng& rng) override;

  /// What was trained.
  const HyperNetwork& hypernetwork() const { return *net_; }

 private:
  std::shared_ptr<const SearchSpace> space_;
  std::shared_ptr<const Dataset> data_;
  TrainOptions train_;
  std::vector<MetricInfo> metrics_;
  std::unique_ptr<HyperNetwork> net_;
  std::unique_ptr<HeldOutAccuracy> accuracy_;
  Rng rng_{0};
  bool trained_ = false;
};

}  // namespace espalier
