// How far a statistic of a sample may be off: intervals from resampling.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "core/options.hpp"
#include "core/rng.hpp"

namespace espalier {

struct BootstrapOptions {
  int resamples = 1000;      ///< >= 1
  double confidence = 0.95;  ///< chance that an interval holds the true value, within (0, 1)
};
const OptionTable<BootstrapOptions>& bootstrap_options();

struct Interval {
  double low = 0, high = 0;
};

/// A statistic of a sample, and where its value in the whole population is likely to lie.
struct Estimate {
  double value = 0;
  Interval interval;
};

/// The middle part of a statistic's values in resamples, as much of it as `confidence` in (0, 1)
/// says: from quantile (1 - confidence) / 2 to (1 + confidence) / 2. Throws NumericalError as
/// quantile() does.
Interval percentile_interval(std::span<const double> replicates, double confidence);

/// A statistic of a sample of `size` members, with its percentile bootstrap interval: each resample
/// draws as many members as there are, with replacement. `statistic` gets the positions of those
/// drawn, for the value itself each once. The interval is somewhat too short for fewer than about
/// 20 members. Resamples in which the statistic is undefined, NaN, are left out; where it is
/// undefined in the sample itself or in all resamples, so is the interval. Throws ConfigError for
/// options out of range, NumericalError for a size of 0, and what `statistic` throws. A function of
/// the key of `rng`.
/// Source: B. Efron, R. Tibshirani: An Introduction to the Bootstrap, Chapman & Hall 1993, chapter
/// 13.
/// Test: BootstrapTest.IntervalsCoverTheTrueMeanAsOftenAsTheySay.
Estimate bootstrap(std::size_t size,
                   const std::function<double(std::span<const std::size_t>)>& statistic,
                   const BootstrapOptions& options, Rng rng);

/// bootstrap() of the mean. Throws NumericalError as mean() does.
Estimate bootstrap_mean(std::span<const double> values, const BootstrapOptions& options, Rng rng);

}  // namespace espalier
