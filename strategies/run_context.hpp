#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/rng.hpp"
#include "objectives/goals.hpp"
#include "objectives/metric.hpp"
#include "search_spaces/search_space.hpp"

namespace espalier {

/// Rates architectures by one cheap metric before they are evaluated: how proxies and predictors
/// reach a strategy.
struct Screen {
  /// One value per architecture. A pure function: equal architectures have equal values. NaN where
  /// the metric cannot be had; such an architecture is the worst.
  std::function<std::vector<double>(std::span<const Architecture>)> score;
  /// Which values are better, where the metric says so.
  std::optional<Direction> direction = std::nullopt;
};

/// What a strategy is made from.
struct RunContext {
  std::shared_ptr<const SearchSpace> space;
  /// Bound to the metrics of the trials that the strategy is told of.
  Goals goals;
  /// The strategy's own generator.
  Rng rng;
  /// Makes the screen for a metric. Throws ConfigError for a metric that it does not know. Empty
  /// when the run has no screens.
  std::function<Screen(const std::string& metric)> screen = {};
};

}  // namespace espalier
