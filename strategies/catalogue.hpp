#pragma once

#include <memory>

#include "core/registry.hpp"
#include "strategies/run_context.hpp"
#include "strategies/strategy.hpp"

namespace espalier {

using StrategyRegistry = Registry<std::unique_ptr<Strategy>(const RunContext&)>;

/// The strategies that a config can name. A value: extend a copy with your own.
StrategyRegistry strategy_registry();

}  // namespace espalier
