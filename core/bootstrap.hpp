// How far a statistic of a sample may be off: intervals from resampling.
#pragma once

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

/// The mean with its percentile bootstrap interval: each resample draws as many values as there
/// are, with replacement. The interval is somewhat too short for fewer than about 20 values. Throws
/// ConfigError for options out of range, NumericalError as mean() does. O(resamples * values); a
/// function of the key of `rng`.
/// Source: B. Efron, R. Tibshirani: An Introduction to the Bootstrap, Chapman & Hall 1993, chapter
/// 13.
/// Test: BootstrapTest.IntervalsCoverTheTrueMeanAsOftenAsTheySay.
Estimate bootstrap_mean(std::span<const double> values, const BootstrapOptions& options, Rng rng);

}  // namespace espalier
