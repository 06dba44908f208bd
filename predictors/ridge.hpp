#pragma once

#include <memory>
#include <span>
#include <vector>

#include "predictors/predictor.hpp"

namespace espalier {

/// Ridge regression on standardized dense features: the line of least squares plus `penalty` times
/// the squares of its weights. The penalty is the one of 61, from 1e-4 to 1e8 times the sum of the
/// squares of the features' singular values over n, whose squares of leave-one-out residuals add up
/// to the least; these take no refits. The variance is that of a new value: of the noise, plus that
/// of the line where the network is; the noise is what the line leaves, by the degrees of freedom
/// left.
///
/// fit() takes O(n p min(n, p)) for n networks of p numbers.
///
/// Source: A. Hoerl, R. Kennard: Ridge regression: biased estimation for nonorthogonal problems,
/// Technometrics 1970; the choice: G. Golub, M. Heath, G. Wahba: Generalized cross-validation as a
/// method for choosing a good ridge parameter, Technometrics 1979, equation 1.3 (Allen's PRESS).
/// Test: Ridge.ChoosesTheLeastLeaveOneOutError.
class Ridge : public Predictor {
 public:
  Ridge();
  ~Ridge() override;

  void fit(std::span<const Features> networks, std::span<const double> values) override;
  std::vector<Prediction> predict(std::span<const Features> networks) const override;

  /// What was chosen, and the mean square of the leave-one-out residuals there.
  double penalty() const;
  double leave_one_out() const;

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace espalier
