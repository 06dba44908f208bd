#pragma once

#include <memory>

#include "core/registry.hpp"
#include "evaluators/evaluator.hpp"
#include "evaluators/evaluator_context.hpp"

namespace espalier {

using EvaluatorRegistry = Registry<std::unique_ptr<Evaluator>(const EvaluatorContext&)>;

/// The evaluators that a config can name: table, zero_cost, train, one_shot, hypernetwork,
/// hardware, command, composite. A value: extend a copy with your own.
EvaluatorRegistry evaluator_registry();

/// Adds `composite` to a registry, or replaces it: its members are the registry's present entries.
/// To be called again after an extension whose evaluators may be members.
void add_composite(EvaluatorRegistry& registry);

}  // namespace espalier
