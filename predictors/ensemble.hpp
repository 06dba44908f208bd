#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "core/rng.hpp"
#include "predictors/predictor.hpp"

namespace espalier {

struct EnsembleOptions {
  int members = 5;         ///< >= 1
  bool bootstrap = false;  ///< each learns from as many networks, drawn with replacement
};

/// Several predictors of one kind that differ by their generators, and by what they learn from
/// where `bootstrap` says so. The mean is that of their means; the variance that of their means
/// (divisor `members`), plus the mean of their variances.
/// Source: B. Lakshminarayanan, A. Pritzel, C. Blundell: Simple and scalable predictive uncertainty
/// estimation using deep ensembles, NeurIPS 2017, arXiv 1612.01474, section 2.4.
/// Test: Ensemble.IsTheMixtureOfItsMembers.
class Ensemble : public Predictor {
 public:
  /// Makes a member with its own generator.
  using Make = std::function<std::unique_ptr<Predictor>(const Rng&)>;
  Ensemble(const EnsembleOptions& options, const Make& make, const Rng& rng);

  void fit(std::span<const Features> networks, std::span<const double> values) override;
  std::vector<Prediction> predict(std::span<const Features> networks) const override;

 private:
  EnsembleOptions options_;
  Rng rng_;
  std::vector<std::unique_ptr<Predictor>> members_;
};

}  // namespace espalier
