// What a training that was seen in part comes to.
#pragma once

#include <span>
#include <vector>

#include "core/options.hpp"
#include "core/rng.hpp"
#include "predictors/predictor.hpp"

namespace espalier {

/// What was measured after a part of a training.
struct CurvePoint {
  double fidelity = 1;  ///< in (0, 1]
  double value = 0;     ///< more is better, in [0, 1]: an accuracy as a share
};

/// How a curve may end: a mixture of normal distributions.
class CurveForecast {
 public:
  /// Equally likely means, at least 1, each with its own deviation.
  CurveForecast(std::vector<double> means, std::vector<double> deviations);
  /// The mixture's mean and variance.
  Prediction value() const;
  /// The probability that the value at fidelity 1 is at least `value`.
  double probability_above(double value) const;

 private:
  std::vector<double> means_, deviations_;
};

struct CurveModelOptions {
  int walkers = 100;  ///< Markov chains that move together, even, >= 98
  int burn_in = 500;  ///< moves of each that are thrown away, >= 0
  int samples = 500;  ///< moves after these, >= 1
};
OptionTable<CurveModelOptions> curve_model_option_table();

/// The parametric families of learning curves, functions of x >= 1 and their parameters.
struct CurveFamily {
  const char* name;
  int parameters;
  double (*value)(double x, const double* parameters);
};
std::span<const CurveFamily> curve_families();

/// Forecasts a learning curve as a weighted sum of eleven families of growing curves with normal
/// noise, whose parameters, weights and noise are drawn from their posterior by Markov chain Monte
/// Carlo. `points` are in ascending order of fidelity, at least 2; x is the fidelity in units of
/// the first one. Chains begin near the fit of least squares of each family and equal weights.
/// Where nothing that grows is found there, the last value is the forecast, with the deviation of
/// the values. So few moves leave traces of the beginning: of curves that have become flat, ends
/// are a few hundredths too high. A function of its arguments. Takes the number of moves times
/// points: about a second. Throws NumericalError for values that are not finite, Error for fewer
/// points, and for fidelities that do not ascend or are not within (0, 1].
///
/// Source: T. Domhan, J. Springenberg, F. Hutter: Speeding up automatic hyperparameter optimization
/// of deep neural networks by extrapolation of learning curves, IJCAI 2015, sections 3.1 to 3.3;
/// the sampler: stretch_walkers(). Differs from the source: ends outside of [0, 1] and deviations
/// of 1 or more are left out, too, x counts in units of the first point instead of epochs, families
/// are fitted by the simplex method of Nelder and Mead, and fewer samples.
/// Test: CurveModel.ExtrapolatesBeyondTheLastValue.
CurveForecast forecast_curve(std::span<const CurvePoint> points, const CurveModelOptions& options,
                             Rng rng);

}  // namespace espalier
