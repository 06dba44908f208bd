// What estimates the value of a network from those of others.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace espalier {

/// How often each label occurs, by label, ascending.
using LabelCounts = std::vector<std::pair<std::uint64_t, std::uint32_t>>;

/// What predictors see of a network. What is empty is not compared.
struct Features {
  std::vector<double> decisions = {};  ///< as many for all networks
  LabelCounts patterns = {};           ///< of its operators
  std::vector<double> costs = {};      ///< their logarithms; as many for all networks
  std::vector<double> scores = {};     ///< such as zero-cost ones, NaN where there is none; as many
};

struct Prediction {
  double mean = 0;
  double variance = 0;  ///< of what is not known, >= 0
};

/// Learns numbers of networks and predicts those of others. A function of its options, its
/// generator and what it was fitted to, in its order. Not synchronized.
class Predictor {
 public:
  virtual ~Predictor() = default;
  /// Learns from networks, at least 1, and as many finite values; what was learned before is
  /// replaced. Throws NumericalError for other values, Error for other numbers.
  virtual void fit(std::span<const Features> networks, std::span<const double> values) = 0;
  /// One for each network. Throws Error before the first fit().
  virtual std::vector<Prediction> predict(std::span<const Features> networks) const = 0;
};

/// Throws what Predictor::fit() promises.
void check_fit_arguments(std::span<const Features> networks, std::span<const double> values);
/// Throws what Predictor::predict() promises.
void check_fitted(bool fitted);

}  // namespace espalier
