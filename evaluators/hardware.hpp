#pragma once

#include <memory>
#include <vector>

#include "evaluators/evaluator.hpp"
#include "hw_models/hardware_model.hpp"

namespace espalier {

/// What hardware models predict for a candidate at batch size 1, as latency_ms@NAME,
/// energy_mj@NAME.
class HardwareEvaluator : public Evaluator {
 public:
  /// Throws ConfigError for two models of one name.
  explicit HardwareEvaluator(std::vector<std::shared_ptr<const HardwareModel>> models);

  const std::vector<MetricInfo>& metrics() const override { return metrics_; }
  /// Throws as HardwareModel::estimate does.
  std::vector<double> evaluate(const Candidate& candidate, const Network& network,
                               Rng& rng) override;

 private:
  std::vector<std::shared_ptr<const HardwareModel>> models_;
  std::vector<MetricInfo> metrics_;
};

}  // namespace espalier
