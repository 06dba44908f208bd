#pragma once

#include <memory>
#include <span>
#include <vector>

#include "core/options.hpp"
#include "core/rng.hpp"
#include "predictors/predictor.hpp"

namespace espalier {

/// Whether this build has XGBoost.
bool has_xgboost();

/// What the trees learn: the values, or the order of each two networks.
enum class BoostingObjective { squared_error, pairwise_rank };

struct XgBoostOptions {
  BoostingObjective objective = BoostingObjective::squared_error;
  int rounds = 300;             ///< trees, >= 1
  double learning_rate = 0.05;  ///< (0, 1]
  int depth = 6;                ///< of each tree, 1 to 30
  double subsample = 0.8;       ///< share of the networks that each tree learns from, (0, 1]
  double columns = 0.5;         ///< share of the numbers that each tree looks at, (0, 1]
};
OptionTable<XgBoostOptions> xgboost_option_table();

/// Gradient boosted trees on dense features, by XGBoost, on one thread. The variance is 0: it does
/// not say; an Ensemble of it does. `squared_error` learns the values in standard deviations from
/// their mean. What `pairwise_rank` predicts is an order; it is stretched to the mean and the
/// deviation of the values that it learned from.
/// Source: T. Chen, C. Guestrin: XGBoost: a scalable tree boosting system, KDD 2016, arXiv
/// 1603.02754.
/// Test: XgBoost.EachRoundLearnsWhatIsLeft.
class XgBoost : public Predictor {
 public:
  /// Throws UnsupportedError in a build without XGBoost.
  XgBoost(const XgBoostOptions& options, const Rng& rng);
  ~XgBoost() override;

  void fit(std::span<const Features> networks, std::span<const double> values) override;
  std::vector<Prediction> predict(std::span<const Features> networks) const override;

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace espalier
