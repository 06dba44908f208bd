#pragma once

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/options.hpp"
#include "evaluators/evaluator.hpp"
#include "evaluators/evaluator_context.hpp"

namespace espalier {

struct ZeroCostOptions {
  std::vector<std::string> proxies{"synflow"};  ///< names of the catalogue; the metrics' names
  int batch_size = 128;                         ///< images, for the proxies that need data, >= 2
};
OptionTable<ZeroCostOptions> zero_cost_option_table();

/// Scores of untrained networks; proxies that read the same passes through a network share them
/// (evaluators/proxies/passes.hpp). Images are the first ones of the data's training split, the
/// same for all candidates; weights are drawn anew from the trial's generator.
class ZeroCostEvaluator : public Evaluator {
 public:
  /// Throws ConfigError, with a pointer into the options, for a proxy that is unknown or named
  /// twice, one that needs data where there is none, and a batch larger than the training split.
  ZeroCostEvaluator(const EvaluatorContext& context, const ZeroCostOptions& options);

  const std::vector<MetricInfo>& metrics() const override { return metrics_; }
  /// Throws what the proxies throw; NumericalError naming a proxy whose score is not finite.
  std::vector<double> evaluate(const Candidate& candidate, const Network& network,
                               Rng& rng) override;

 private:
  std::vector<Proxy> proxies_;  // as the metrics
  std::set<ProxyPass> passes_;  // of all of them
  std::vector<MetricInfo> metrics_;
  std::shared_ptr<const Dataset> data_;  // empty where no proxy needs it
  int batch_size_;
  int threads_;
  std::string device_;
};

}  // namespace espalier
