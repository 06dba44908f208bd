// What a config's run is made of.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "evaluators/evaluator.hpp"
#include "evaluators/evaluator_context.hpp"
#include "hw_models/hardware_model.hpp"
#include "objectives/constraint.hpp"
#include "objectives/objective.hpp"
#include "search_spaces/search_space.hpp"
#include "strategies/run_context.hpp"
#include "study/catalogue.hpp"
#include "study/config.hpp"
#include "study/network_metrics.hpp"
#include "training/dataset.hpp"

namespace espalier {

/// The parts of a run, but for its strategy, which the study makes.
struct RunParts {
  std::shared_ptr<const SearchSpace> space;
  std::shared_ptr<const Dataset> data;  ///< where the config has some
  std::vector<std::shared_ptr<const HardwareModel>> hardware;
  std::shared_ptr<Evaluator> evaluator;
  std::vector<NetworkMetric> network_metrics;
};

/// Makes them. Throws ConfigError where they do not fit together, IoError for files.
RunParts make_run_parts(const RunConfig& config, const Catalogue& catalogue);

/// What evaluators of the run are made from.
EvaluatorContext evaluator_context(const RunConfig& config, const Catalogue& catalogue,
                                   const RunParts& parts);

/// The objectives, with the directions that the config leaves to the metrics. Throws ConfigError
/// (/objectives/N/goal) where a metric has none.
std::vector<Objective> objectives(const RunConfig& config, const RunParts& parts);
std::vector<Constraint> constraints(const RunConfig& config);

/// The other depths of a config's space, where it has an option for its depth.
std::optional<SpaceDepths> space_depths(const RunConfig& config, const Catalogue& catalogue);

/// A zero-cost proxy as a screen; it refers to nothing but what it is made of. Throws ConfigError
/// (/screen/metrics) for an unknown one.
Screen proxy_screen(const std::string& metric, const RunConfig& config, const Catalogue& catalogue,
                    const RunParts& parts);

}  // namespace espalier
