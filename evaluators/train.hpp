#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/options.hpp"
#include "evaluators/evaluator.hpp"
#include "evaluators/evaluator_context.hpp"
#include "training/train_options.hpp"

namespace espalier {

struct TrainEvaluatorOptions {
  TrainOptions train;
};
OptionTable<TrainEvaluatorOptions> train_evaluator_option_table();

/// Trains each candidate alone from random weights and gives `accuracy`, in percent, on the
/// held-out images after the last epoch. At fidelity f it trains with the options at_fidelity(f).
/// Quantized operators are trained quantization-aware. A training is not cut short: the first
/// Ctrl-C of a search waits for those in flight.
class TrainEvaluator : public Evaluator {
 public:
  /// Throws ConfigError without data or without held-out images, and as check_train_options does
  /// with a pointer below "/train".
  TrainEvaluator(const EvaluatorContext& context, const TrainEvaluatorOptions& options);

  const std::vector<MetricInfo>& metrics() const override { return metrics_; }
  /// Throws as train() does.
  std::vector<double> evaluate(const Candidate& candidate, const Network& network,
                               Rng& rng) override;

 private:
  std::shared_ptr<const Dataset> data_;
  TrainOptions options_;
  std::string device_;
  std::vector<MetricInfo> metrics_;
};

}  // namespace espalier
