#pragma once

#include <memory>

#include "predictors/predictor.hpp"

namespace espalier {

/// A Gaussian process whose kernel compares decisions, patterns and costs of two networks:
/// k = (k_decisions + k_patterns) / 2 k_costs, each exp(-d / l) of a squared distance d: half of
/// that of the decisions, so that nominal ones that differ are counted; of how often each pattern
/// occurs; of the costs, in standard deviations, and of the scores' normal scores among those
/// known, 0 for NaN. Lengths and noise are those of a few that have the
/// largest marginal likelihood; they are sought again once there are a tenth more values.
///
/// fit() takes O(n^3) for n values, and 81 times that where lengths are sought, for which the last
/// 200 values are looked at; predict() O(n^2) a network.
///
/// Source: C. Rasmussen, C. Williams: Gaussian processes for machine learning, MIT Press 2006,
/// algorithm 2.1 and section 5.4; kernels on architectures: see weisfeiler_lehman() and
/// cell_paths(). Differs from the sources: the sum and the product of kernels, and lengths of a
/// grid.
/// Test: GaussianProcess.IsThePosteriorOfTheKernel,
/// GaussianProcess.TheKernelOfDecisionsPatternsAndCostsIsTheLikeliest.
class GaussianProcess : public Predictor {
 public:
  GaussianProcess();
  ~GaussianProcess() override;

  void fit(std::span<const Features> networks, std::span<const double> values) override;
  std::vector<Prediction> predict(std::span<const Features> networks) const override;
  /// As fit(), with the lengths and the noise of the last fit().
  void fit_again(std::span<const Features> networks, std::span<const double> values) override;

  /// What was found: lengths in units of the median distance of the first values.
  struct Kernel {
    double decisions_length = 1, patterns_length = 1, costs_length = 1;
    double noise = 0.01;  ///< variance, as a share of the kernel's
    friend bool operator==(const Kernel&, const Kernel&) = default;
  };
  const Kernel& kernel() const;

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace espalier
