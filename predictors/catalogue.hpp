#pragma once

#include <memory>

#include "core/registry.hpp"
#include "core/rng.hpp"
#include "predictors/predictor.hpp"

namespace espalier {

/// What a predictor is made from.
struct PredictorContext {
  Rng rng;  ///< its own
};

using PredictorRegistry = Registry<std::unique_ptr<Predictor>(const PredictorContext&)>;

/// The predictors that a config can name. All take "values": "normal_scores" learns these instead
/// of the values themselves (see NormalScored). A value: extend a copy with your own.
PredictorRegistry predictor_registry();

/// Adds `ensemble` to a registry, or replaces it: its members are the registry's present entries.
/// To be called again after an extension that may be a member.
void add_ensemble(PredictorRegistry& registry);

}  // namespace espalier
