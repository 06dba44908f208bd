// Predictors that learn from networks whose metrics are known.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/json.hpp"
#include "predictors/encoding.hpp"
#include "predictors/predictor.hpp"
#include "search_spaces/search_space.hpp"
#include "study/catalogue.hpp"

namespace espalier {

/// Different networks of a space, and one metric of each.
struct KnownNetworks {
  std::shared_ptr<const SearchSpace> space;
  std::string metric;
  std::vector<Architecture> architectures;
  std::vector<double> values;  ///< finite
  Scores scores = {};          ///< of the proxies that were asked for
};

/// Reads them from the directory of a run: its trials that did not fail, of the highest fidelity,
/// of each network the first one; or from a config whose evaluator is a table (it may have
/// "strategies"): all of it that have the metric, in the order of the space. The metric is one of
/// the trials, of the table, or a cost; by default the first objective. `proxies` become scores, by
/// the config's data and seed. Throws ConfigError for an unknown metric or proxy and another
/// evaluator, Error for fewer than 2 networks, and as read_results() and make_run_parts() do.
KnownNetworks read_known_networks(const std::filesystem::path& source,
                                  const std::optional<std::string>& metric,
                                  std::span<const std::string> proxies, const Catalogue& catalogue);

/// A predictor's config and what results call it.
struct NamedPredictor {
  std::string name;
  Json config;
};

struct PredictionCheckOptions {
  std::vector<std::size_t> train = {};  ///< networks to learn from; each >= 1
  std::size_t splits = 20;              ///< >= 1
  std::size_t held_out = 1000;          ///< networks of each split to predict, at most; >= 2
  std::uint64_t seed = 1;
  EncodingOptions features = {};
  std::size_t threads = 1;  ///< splits at a time, >= 1; results do not depend on it
  std::function<bool()> stop_requested = {};
  bool progress = false;  ///< shown on stderr
};

/// How well a predictor that learned from so many networks predicts others, split by split.
struct PredictorCheck {
  std::string predictor;
  std::size_t train = 0, held_out = 0;
  std::vector<double> kendall_tau = {},
                      spearman = {};  ///< 0 where all predictions or values are equal
  std::vector<double> rmse = {};      ///< root of the mean square error
  double seconds = 0;                 ///< of the threads, in all
};

/// Checks each predictor on random splits: of a split's random order, the first networks are
/// learned from and the last ones held out, so that all predictors see the same, and what is
/// learned from fewer networks is a part of what is learned from more. `done` is told of each check
/// once it is done, in the order of `predictors` and `train`. False when it was stopped. A function
/// of its arguments but for `seconds`. Throws ConfigError for a predictor, Error where fewer than 2
/// networks are left to be held out; what ends a check names the predictor and the split.
bool check_predictors(const KnownNetworks& known, std::span<const NamedPredictor> predictors,
                      const PredictionCheckOptions& options, const Catalogue& catalogue,
                      const std::function<void(const PredictorCheck&)>& done);

/// What a predictor says of networks, from at most `most` known ones, random where there are more.
/// Throws ConfigError for the predictor.
std::vector<Prediction> predict_networks(const KnownNetworks& known,
                                         const NamedPredictor& predictor,
                                         std::span<const Architecture> networks, std::size_t most,
                                         std::uint64_t seed, const EncodingOptions& features,
                                         const Catalogue& catalogue);

}  // namespace espalier
