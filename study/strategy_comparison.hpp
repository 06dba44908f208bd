// Strategies beside each other, on a problem whose best is known.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/bootstrap.hpp"
#include "core/json.hpp"
#include "study/catalogue.hpp"
#include "study/config.hpp"

namespace espalier {

/// One of the strategies that are compared.
struct ComparedStrategy {
  std::string name;     ///< letters, digits, "_", "-" and "."
  Json config;          ///< resolved
  std::string pointer;  ///< where the config has it
};

/// A run's config without its strategy, and strategies that search it. What a config says of the
/// end of a run does not count here: minutes, baseline, final.
struct Problem {
  std::string name;
  RunConfig config;  ///< with the first strategy
  std::vector<ComparedStrategy> strategies;
};

/// Reads a run's config that has "strategies", {name: strategy, ...}, in the place of "strategy". A
/// config with "strategy" is a problem with that one, named by its type. Throws ConfigError.
Problem read_problem(const Json& json, const std::string& name, const Catalogue& catalogue);

/// What a search had found after so many full evaluations: since then it found nothing better.
struct SearchStep {
  double evaluations = 0;        ///< the sum of the fidelities of its trials so far, > 0
  double value = 0;              ///< see StrategyComparison::value
  std::vector<double> reported;  ///< of that trial, with one objective; NaN where it has none
  friend bool operator==(const SearchStep&, const SearchStep&) = default;
};

/// All searches of one strategy.
struct StrategySearches {
  std::string name;
  std::vector<std::vector<SearchStep>> seeds;  ///< for each seed, those that found something
  double seconds = 0;                          ///< of the threads that ran them, in all
  std::uint64_t failed = 0;                    ///< trials
  std::string first_error;  ///< of the first seed's first failed trial; "" where there is none
};

/// What came of a problem.
struct StrategyComparison {
  std::string problem;
  /// Of full evaluations only. With one objective its metric: the best value that keeps the
  /// constraints. With several,
  /// "hypervolume": of what was found, as a share of that of the true front, towards a point a
  /// tenth of the range beyond the worst values of all that keep the constraints.
  std::string value;
  bool higher_is_better = true;
  std::optional<double> optimum = {};      ///< the best value of the space, where it is known
  std::vector<std::string> reported = {};  ///< metrics for reports only
  double budget = 0;                       ///< full evaluations of each search, at most
  std::vector<StrategySearches> strategies = {};

  /// The last step of a search within so many evaluations; null when it found nothing.
  static const SearchStep* step_at(const std::vector<SearchStep>& search, double evaluations);
  /// Whether a value is within `distance` of the optimum, which must be known.
  bool reaches(double found, double distance) const;
  /// The evaluations after which a search first is within `distance` of the optimum, or nothing.
  std::optional<double> evaluations_to(const std::vector<SearchStep>& search,
                                       double distance) const;
};

struct StrategyComparisonOptions {
  std::size_t seeds = 20;          ///< 1, 2, ..., >= 1
  std::size_t threads = 1;         ///< searches at a time, >= 1; results do not depend on it
  std::filesystem::path out = {};  ///< where searches are kept, to go on; empty: nowhere
  std::function<bool()> stop_requested = {};
  bool progress = false;  ///< shown on stderr
};

/// Runs each strategy with each seed on the problem, in memory. The evaluator is prepared once,
/// with the seed of the config, and shared; where it is a table of a space of at most 2^20 choices,
/// all of that space gives the optimum and the true front. Nothing when it was stopped.
///
/// In `out`, problem/strategy.json holds the searches of a strategy that are done; a later call
/// goes on from there, with as many seeds as it asks for. A file of another problem or strategy, or
/// of another version of the program, is refused; that a file that the config names has changed is
/// seen only where it changes the optimum. A function of the problem and the seeds.
///
/// Throws ConfigError as make_run_parts() and Study do, for a budget of minutes alone, for several
/// objectives where the true front is not known, and IoError; what ends a search names the strategy
/// and the seed.
std::optional<StrategyComparison> compare_strategies(const Problem& problem,
                                                     const Catalogue& catalogue,
                                                     const StrategyComparisonOptions& options);

/// 1, 2 and 5 times powers of ten from 10 to the budget, and the budget, rounded up.
std::vector<std::uint64_t> usual_checkpoints(double budget);

/// A page with the chart of each problem: the median and the quartiles of the distance from the
/// optimum (of the value where that is not known) against evaluations. On the logarithmic axis, the
/// optimum itself lies at a third of the least distance above 0.
std::string comparison_html(const std::vector<StrategyComparison>& comparisons);

}  // namespace espalier
