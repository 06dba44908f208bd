#include "study/run_evaluator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/error.hpp"
#include "study/results.hpp"
#include "study/store.hpp"
#include "study/study.hpp"
#include "training/threads.hpp"

namespace espalier {

RunEvaluator::RunEvaluator(std::filesystem::path run, const Catalogue& catalogue)
    : run_(std::move(run)) {
  const Results recorded = read_results(run_, catalogue);
  config_ = read_config(recorded.config, catalogue);
  parts_ = make_run_parts(config_, catalogue);
  if (parts_.evaluator->shared_training()) {
    const bool itself = config_.evaluator.value("type", "") == "one_shot";
    throw ConfigError(itself ? "/evaluator/train/rule" : "/evaluator",
                      "the run's strategy trained the shared weights as it went, and they are not "
                      "there without it; this takes a run with another rule");
  }
  const std::vector<MetricInfo>& metrics = parts_.evaluator->metrics();
  for (const Objective& objective : recorded.goals.objectives()) {
    const auto found = std::ranges::find(metrics, objective.metric, &MetricInfo::name);
    if (found == metrics.end()) continue;
    objective_ = objective;
    metric_ = static_cast<std::size_t>(found - metrics.begin());
    return;
  }
  throw ConfigError("/objectives", "the run's evaluator measures none of them");
}

bool RunEvaluator::prepare(const std::function<bool()>& stop_requested) {
  lock_ = std::make_shared<const RunStore>(RunStore::open(run_, RunStore::Access::write));
  trials_ = lock_->asked().size();
  parts_.evaluator->prepare(prepare_context(config_.seed, run_, stop_requested));
  return !stop_requested || !stop_requested();
}

double RunEvaluator::value(std::uint64_t number, const Architecture& a, Rng& rng) const {
  const TorchThreads threads(config_.compute.threads_per_trial);
  return parts_.evaluator->evaluate({.trial_id = trials_ + number, .architecture = a},
                                    Network(*parts_.space, a), rng)[metric_];
}

}  // namespace espalier
