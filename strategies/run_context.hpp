#pragma once

#include <filesystem>
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

class SharedTraining;

/// What a scope of a network adds to one of its metrics.
struct CostPart {
  ScopeId scope = no_scope;
  double value = 0;
  bool whole = false;  ///< of all that is in the scope, not of the nodes in it alone
};
/// The parts that a metric of a concrete graph is the sum of.
using CostParts = std::function<std::vector<CostPart>(const Graph&)>;

/// How work in ask() is done that takes long.
struct LongWork {
  std::filesystem::path directory = {};       ///< where it may be kept meanwhile; empty: nowhere
  std::function<bool()> stop_requested = {};  ///< polled; when true, ask() ends, empty and unusable
  bool progress = false;                      ///< whether it is shown
};

/// The spaces that differ from a run's in their depth alone.
struct SpaceDepths {
  int own = 1;  ///< the run's: cells, or cells in each stage
  /// Throws ConfigError for a depth that the space cannot have.
  std::function<std::shared_ptr<const SearchSpace>(int depth)> make;
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
  /// What is known of an architecture's metrics without an evaluation: those of its network. The
  /// others are NaN. Throws UnsupportedError as the metrics do. Empty when there are none.
  std::function<Metrics(const Architecture&)> known_metrics = {};
  /// The parts of a metric, params, macs, storage_bytes or one of a hardware model. Throws
  /// ConfigError for a metric that it does not know, UnsupportedError for one that is no sum. Empty
  /// when there are none.
  std::function<CostParts(const std::string& metric)> cost_parts = {};
  /// The weights that evaluations use, where the strategy is to train them. It calls begin() when
  /// it is made. They change while no candidate is in flight only, so that workers do not matter.
  std::shared_ptr<SharedTraining> shared_training = {};
  /// Empty where the run's space has no depth to choose.
  std::optional<SpaceDepths> depths = std::nullopt;
  LongWork long_work = {};
};

}  // namespace espalier
