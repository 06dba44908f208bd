// Models of what a strategy has been told.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "core/json_fwd.hpp"
#include "predictors/encoding.hpp"
#include "predictors/normal_scores.hpp"
#include "predictors/predictor.hpp"
#include "strategies/individual.hpp"
#include "strategies/run_context.hpp"

namespace espalier {

/// How the models are made and what they learn from.
struct SurrogateOptions {
  EncodingOptions features = {};  ///< what they compare networks by
  /// Makes a model of one metric, with a generator of its own; empty: there are no models.
  std::function<std::unique_ptr<Predictor>(const Rng&)> make = {};
  /// Whether each fit makes its models anew, so that they know nothing of earlier fits.
  bool anew = true;
  /// Whether candidates in flight count as told, with the values that are predicted for them:
  /// models learn these, and it is these, too, that there is to improve on.
  bool believes = false;
};

/// A model of each objective and of each metric that a constraint bounds, fitted to the trials that
/// did not fail. They learn normal scores, the quantiles of the normal distribution at the ranks of
/// the values (of objectives: the better, the larger): a few networks that hardly learn would
/// otherwise be all that they tell apart. Bounds are brought to the same scale.
class Surrogate {
 public:
  Surrogate(const RunContext& context, SurrogateOptions options);

  void tell(const Trial& trial);
  /// Whether there is enough to learn from: two trials that did not fail.
  bool ready() const { return told_.size() >= 2; }
  /// How many trials did not fail.
  std::size_t size() const { return told_.size(); }
  /// Learns from all told. Candidates in flight in the order asked.
  void fit(std::span<const Architecture> in_flight, const Rng& rng);

  /// What each architecture promises, the more the better, as fitted: its expected improvement,
  /// times the probability that it keeps the constraints. While nothing told keeps them,
  /// whatever is believed, that probability alone counts. With several objectives: by how much the
  /// hypervolume of the front so far grows with values drawn from the predictions, all independent,
  /// towards a point a tenth of the front's range beyond its worst; equal architectures have equal
  /// draws.
  std::vector<double> expected_improvements(const std::vector<Architecture>& architectures,
                                            const Rng& draws);
  /// Individuals with the predicted means as costs, and the violation of predicted metrics. Costs
  /// are normal scores of what was told, the smaller the better.
  std::vector<Individual> predicted(const std::vector<Architecture>& architectures);
  /// The same with values drawn from the predictions, all independent: equal architectures have
  /// equal draws.
  std::vector<Individual> drawn(const std::vector<Architecture>& architectures, const Rng& draws);

  /// The best told, at most `count`, the best first, by rank_and_crowding().
  std::vector<Individual> best(std::size_t count) const;

  /// What was told, for snapshots. load() replaces it.
  Json save() const;
  void load(const Json& json);

 private:
  struct Told {
    Individual individual;
    std::vector<double> bounded;  // the metrics that constraints bound
  };
  std::vector<std::vector<Prediction>> predictions(const std::vector<Architecture>& architectures);
  std::vector<Individual> individuals(const std::vector<Architecture>& architectures,
                                      const std::function<double(const Prediction&, Rng&)>& value,
                                      const Rng& draws);
  void note_front(const std::vector<std::vector<double>>& believed);

  Goals goals_;
  SurrogateOptions options_;
  Encoder encoder_;
  std::vector<Told> told_;                          // those that did not fail
  std::vector<std::unique_ptr<Predictor>> models_;  // of objectives, then of constraints
  // Of the last fit:
  std::optional<double> best_value_;  // with one objective, where something keeps the constraints
  std::vector<double> front_, reference_;  // with several
  std::vector<NormalScale> scales_;        // of the costs, then of what constraints bound
};

}  // namespace espalier
