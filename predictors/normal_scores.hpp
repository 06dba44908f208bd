// Values by their ranks, on the scale of the normal distribution.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "predictors/predictor.hpp"

namespace espalier {

/// The quantiles of the standard normal distribution at (rank - 1/2) / n for the ranks of n values;
/// equal values have equal ones. Throws NumericalError for NaN. O(n log n).
/// Source: G. Blom: Statistical estimates and transformed beta-variables, Wiley 1958, chapter 6
/// (the normal scores, with the offset of Hazen).
/// Test: NormalScores.AreTheQuantilesAtTheRanks.
std::vector<double> normal_scores(std::span<const double> values);

/// Brings values to their normal scores and back: straight lines between those of given values,
/// beyond them the straight line through the outermost and the one in the middle. Where all given
/// values are equal, every score is 0 and belongs to that value; without any, values are their own
/// scores.
class NormalScale {
 public:
  /// Of finite values.
  explicit NormalScale(std::span<const double> values);
  /// Of the given values, in their order.
  const std::vector<double>& scores() const { return scores_; }
  double score(double value) const;
  /// The same, but of values beyond those given the score of the outermost, and 0 without any: a
  /// place among those given.
  double rank_score(double value) const;
  double value(double score) const;

 private:
  std::vector<double> scores_;
  std::vector<std::pair<double, double>> knots_;  // values, their scores; both ascending
};

/// A predictor that learns the normal scores of values and predicts values: of networks of which a
/// few hardly learn, the values tell apart little else than these. The mean is the value at the
/// mean score, the deviation half the distance of the values a deviation of the score away from it
/// on either side.
class NormalScored : public Predictor {
 public:
  explicit NormalScored(std::unique_ptr<Predictor> inner) : inner_(std::move(inner)) {}
  void fit(std::span<const Features> networks, std::span<const double> values) override;
  std::vector<Prediction> predict(std::span<const Features> networks) const override;

 private:
  std::unique_ptr<Predictor> inner_;
  std::optional<NormalScale> scale_;
};

}  // namespace espalier
