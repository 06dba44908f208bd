#pragma once

#include <memory>
#include <vector>

#include "evaluators/evaluator.hpp"

namespace espalier {

/// Several evaluators as one: the metrics of the first, then those of the second, and so on. Each
/// member draws from a generator of its own. A failure of one is a failure of all.
class CompositeEvaluator : public Evaluator {
 public:
  /// Throws ConfigError for a metric that two members declare.
  explicit CompositeEvaluator(std::vector<std::unique_ptr<Evaluator>> members);

  const std::vector<MetricInfo>& metrics() const override { return metrics_; }
  /// Prepares the members in directories "0", "1", ... below the context's.
  void prepare(const PrepareContext& context) override;
  std::vector<double> evaluate(const Candidate& candidate, const Network& network,
                               Rng& rng) override;
  bool thread_safe() const override;
  /// That of the first member that has some.
  std::shared_ptr<SharedTraining> shared_training() override;

 private:
  std::vector<std::unique_ptr<Evaluator>> members_;
  std::vector<MetricInfo> metrics_;
};

}  // namespace espalier
