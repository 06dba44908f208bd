// Descriptive statistics and correlation. Every function throws NumericalError for a NaN or an
// infinite value and for fewer values than it needs.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace espalier {

/// The arithmetic mean; of at least 1 value.
double mean(std::span<const double> values);

/// The square root of the unbiased variance (divisor n - 1); of at least 2 values.
double standard_deviation(std::span<const double> values);

/// The value below which a fraction p in [0, 1] of the values lies, interpolated linearly between
/// neighbours; of at least 1 value. 0.5 gives the median. O(n log n).
/// Source: R. Hyndman, Y. Fan: Sample quantiles in statistical packages, The American Statistician
/// 1996, definition 7.
double quantile(std::span<const double> values, double p);

/// The standard normal distribution function: the probability of a number up to x.
double normal_probability(double x);

/// The rank of each value, 1 for the smallest; equal values share the average of their ranks.
/// O(n log n).
std::vector<double> ranks(std::span<const double> values);

/// Correlation coefficients in [-1, 1] of two lists of equal length, at least 2; NumericalError for
/// unequal lengths. NaN when all values of one list are equal: then it is undefined.
double pearson(std::span<const double> x, std::span<const double> y);
/// Pearson's coefficient of the ranks. O(n log n).
double spearman(std::span<const double> x, std::span<const double> y);
/// Kendall's tau-b, which corrects for ties. O(n log n).
/// Source: W. Knight: A computer method for calculating Kendall's tau with ungrouped data, JASA
/// 1966.
double kendall_tau_b(std::span<const double> x, std::span<const double> y);

/// Of the k candidates with the largest scores, the share that is among the k with the largest
/// values: 1 when a score finds the best, k / n on average when it knows nothing. Equal numbers at
/// the border of the k share the places left there, so the order of the lists does not matter.
/// NumericalError for lists of unequal lengths and for k outside 1..n. O(n log n).
double precision_at_top(std::span<const double> scores, std::span<const double> values,
                        std::size_t k);

}  // namespace espalier
