#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "core/bootstrap.hpp"
#include "core/options.hpp"
#include "core/rng.hpp"
#include "search_spaces/search_space.hpp"

// Statistics of search spaces: not how good the best network is, but all of them.

namespace espalier {

/// The costs that a network may have; each bound is included.
struct CostRanges {
  std::optional<std::int64_t> params_min = {}, params_max = {};
  std::optional<std::int64_t> macs_min = {}, macs_max = {};
};
const OptionTable<CostRanges>& cost_ranges_options();

/// `count` valid canonical architectures, each drawn as sample_uniform() does, again until its
/// costs are in the ranges: with repetition, as independent draws have it. Throws ConfigError for
/// ranges that are empty, and for those that no network of 10,000 draws in a row is in, saying
/// which costs these have.
std::vector<Architecture> sample_in_ranges(const SearchSpace& space, std::size_t count,
                                           const CostRanges& ranges, Rng& rng);

/// What an architecture is worth: an accuracy, an error, a proxy's score. Must be finite.
using Score = std::function<double(const Architecture&)>;
/// Whether high or low scores are good ones.
enum class Better { higher, lower };

/// The empirical distribution function (EDF) of the scores of random networks of a space:
/// F(x) = sum of w_i [score_i < x], w_i = 1/n unless weights are given. Immutable.
/// Source: Radosavovic, Johnson, Xie, Lo, Dollar: On Network Design Spaces for Visual Recognition,
/// ICCV 2019, arXiv 1905.13214, the error EDF and the normalized error EDF of section 3;
/// Radosavovic, Kosaraju, Girshick, He, Dollar: Designing Network Design Spaces, CVPR 2020, arXiv
/// 2003.13678, equation 1.
/// Test: ErrorDistribution.CountsScoresStrictlyBelow.
class ErrorDistribution {
 public:
  /// One weight per score, or none at all; they are scaled to the sum 1, and scores of weight 0 are
  /// left out. Throws NumericalError for no scores, scores that are not finite, weights that are
  /// negative, not finite, all 0, or not one per score.
  explicit ErrorDistribution(std::vector<double> scores, std::vector<double> weights = {});

  /// The share of networks that score less than x, in [0, 1].
  double at(double x) const;
  /// The smallest score that a share p in (0, 1] of networks does not exceed; the lowest score for
  /// p = 0. Throws NumericalError for another p.
  double quantile(double p) const;
  double mean() const;
  /// The mean of F over [low, high], low < high: the area below it, over high - low. With errors
  /// (low scores are good), a larger area is a better space. Throws NumericalError.
  double area(double low, double high) const;

  /// Ascending; of weight above 0.
  std::span<const double> scores() const { return scores_; }
  /// Of the scores; their sum is 1.
  std::span<const double> weights() const { return weights_; }

 private:
  std::vector<double> scores_, weights_;
};

/// Weights that make the distribution of a complexity (params, macs) uniform, so that spaces of
/// unequal complexity can be compared: the range that all the spaces cover is cut into `bins` equal
/// parts, k of them with networks of every space; a network in one that has m of its space gets
/// the weight 1 / (k m). `complexities` has one list per space, and so has the result. Networks
/// elsewhere get 0. Throws NumericalError where the spaces have no bin in common or a complexity is
/// not finite, ConfigError for fewer than one bin.
/// Source: Radosavovic et al., ICCV 2019, arXiv 1905.13214, section 3, "controlling for
/// complexity": w_j = 1 / (k m_j). Test: ComplexityWeights.MakeTheComplexityUniform.
/// Differs from the source: the range is what the samples cover, and a bin that one of them leaves
/// empty does not count, so that the weights of every space have the sum 1.
std::vector<std::vector<double>> complexity_weights(
    std::span<const std::vector<double>> complexities, int bins);

struct ComparisonOptions {
  Better better = Better::higher;
  std::vector<double> levels = {};  ///< scores at which the EDFs are compared
  BootstrapOptions bootstrap = {};
};

/// The EDFs of two spaces at a score.
struct LevelComparison {
  double level = 0;
  double a = 0, b = 0;
  Estimate difference;  ///< a - b
};

struct SpaceComparison {
  Estimate mean_difference;  ///< of the scores, the first space's less the second's
  std::vector<LevelComparison> levels;
  /// The largest distance of the EDFs. Resamples of two equal spaces are apart, too: its interval
  /// lies above 0 even then, and says how well the distance is known, not whether there is one.
  Estimate kolmogorov_smirnov;
  /// That a random network of the first space is better than one of the second; half of that they
  /// are equal counts.
  Estimate win_probability;
};

/// Compares two spaces by their distributions, with percentile bootstrap intervals: each resample
/// draws from both spaces as many networks as they have, with replacement, together with their
/// weights. Throws ConfigError for options out of range, NumericalError for a level that is not
/// finite. O(resamples * (networks + log networks)); a function of the key of `rng`.
/// Source: Radosavovic et al., ICCV 2019, arXiv 1905.13214, section 3: comparison of EDFs and the
/// two-sample Kolmogorov-Smirnov statistic. Test: CompareSpaces.StatisticsEqualTheirDefinitions.
/// Differs from the source: intervals, and the probability of winning.
SpaceComparison compare_spaces(const ErrorDistribution& a, const ErrorDistribution& b,
                               const ComparisonOptions& options, Rng rng);

}  // namespace espalier
