#pragma once

#include <cstddef>
#include <filesystem>
#include <vector>

#include "predictors/learning_curve.hpp"
#include "strategies/early_stopping.hpp"

namespace espalier {

struct CurveStoppingOptions : StartOptions {
  int parts = 10;           ///< equal ones, of a full evaluation, >= 3
  int min_parts = 4;        ///< before an evaluation is stopped, >= 2
  double threshold = 0.05;  ///< of the probability to become the best, in (0, 1)
  double scale = 100;       ///< of the objective: what no value of it exceeds, > 0
  CurveModelOptions curve = {};
};
OptionTable<CurveStoppingOptions> curve_stopping_option_table();

/// Random search whose evaluations go on part by part: see EarlyStopping. From `min_parts` on,
/// forecast_curve() says how probably the first objective will come to more than the best full
/// evaluation has; below `threshold` the evaluation is stopped. Values are shares of `scale` (100:
/// of percent), those of an objective that is minimized what is left of it. Where one is not within
/// [0, 1], the evaluation goes on.
///
/// With several objectives, it is compared with the full evaluations that are as good by all
/// others; constraints come first: one that breaks them by as much after every part, and by more
/// than a full evaluation, is stopped.
///
/// A forecast takes about a second, so snapshots are written. The evaluations must be of parts of
/// one training, of at least as many epochs; their fidelities sum up to (parts + 1) / 2 full
/// evaluations, though they are one.
///
/// Source: T. Domhan, J. Springenberg, F. Hutter: Speeding up automatic hyperparameter optimization
/// of deep neural networks by extrapolation of learning curves, IJCAI 2015, section 4 (predictive
/// termination). Differs from the source: parts are tenths of a training, not epochs;
/// architectures are random; none is stopped before the first full evaluation.
/// Test: CurveStopping.TheProbabilityCountsNotTheMean, CurveStopping.StopsWhatTheForecastSays.
class CurveStopping : public EarlyStopping {
 public:
  /// Throws ConfigError as Start does.
  CurveStopping(const RunContext& context, const CurveStoppingOptions& options);

  bool save(const std::filesystem::path& directory) const override;
  /// Throws IoError for what save() did not write.
  void load(const std::filesystem::path& directory) override;

 protected:
  bool behind(const Curve& curve) override;
  void complete(const Curve& curve) override { full_.push_back(curve.back()); }

 private:
  double share(const Individual& one) const;

  CurveStoppingOptions options_;
  Direction direction_;
  Rng rng_;
  std::vector<Individual> full_;
};

}  // namespace espalier
