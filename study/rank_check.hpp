// How well the evaluator of a run ranks networks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/bootstrap.hpp"
#include "core/json.hpp"
#include "search_spaces/architecture.hpp"
#include "study/catalogue.hpp"

namespace espalier {

/// What a check of a run is made with.
struct RankCheckOptions {
  std::filesystem::path run = {};  ///< the directory of the run whose evaluator is checked
  /// The evaluator's config that says what networks are worth; by default they are trained as the
  /// run's "final" says.
  std::optional<Json> truth = {};
  /// Directory of the run that measures the truth; by default rank_check/ in the run's. A check
  /// goes on there, and finds what is measured already.
  std::filesystem::path out = {};
  int sample = 30;         ///< random architectures, >= 2
  std::uint64_t seed = 1;  ///< of the sample, the truth and the resamples
  std::optional<int> top =
      {};  ///< k of the precision, 1 to `sample`; by default a fifth of the sample
  BootstrapOptions bootstrap = {};
  std::function<bool()> stop_requested = {};
  bool progress = false;  ///< shown on stderr
};

/// One network of the sample.
struct RankedNetwork {
  Architecture architecture;
  double truth = 0;
  std::vector<double> scores = {};  ///< one for each of RankCheck::scores
};

/// How well one score ranks the sample. Estimates are NaN where all values are equal.
struct ScoreRanking {
  std::string score;  ///< "evaluator", "params", "macs"
  Estimate kendall_tau, spearman, precision;
  /// Kendall's tau minus that of params in the same resamples.
  Estimate tau_above_params;
};

struct RankCheck {
  std::string metric;  ///< that both evaluators measure
  int top = 0;
  std::vector<ScoreRanking> scores;
  std::vector<RankedNetwork> networks;  ///< those that both could measure
};

/// Draws random architectures of a run's space, measures what they are worth, and compares the
/// order with that of the run's own evaluator (shared weights, proxies, short trainings), and with
/// those of params and MACs, larger being taken as better. The metric is the first of the run's
/// objectives that the evaluator measures.
///
/// The evaluator is prepared as in the run, in its directory: a supernet that is trained is read, a
/// training that was cut short is continued. The truth is a run of its own, with as many workers as
/// the run has threads. Networks that either cannot measure are left out, with a warning. Nothing
/// when it was stopped; called again it goes on. Throws ConfigError for options out of range, a
/// truth without the metric and an evaluator that measures no objective; Error when
/// fewer than two networks are left; and what run_search, read_results and evaluators throw.
std::optional<RankCheck> rank_check(const RankCheckOptions& options, const Catalogue& catalogue);

}  // namespace espalier
