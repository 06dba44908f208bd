// Bayesian optimization.
#pragma once

#include <memory>

#include "predictors/encoding.hpp"
#include "predictors/random_forest.hpp"
#include "strategies/start.hpp"
#include "strategies/strategy.hpp"

namespace espalier {

struct BayesianOptions : StartOptions {
  int samples = 10;          ///< random architectures at first, >= 2
  int candidates = 500;      ///< for which improvement is predicted at first, >= 2
  EncodingOptions features;  ///< what the models compare networks by
};
OptionTable<BayesianOptions> bayesian_option_table();

/// Bayesian optimization by Gaussian processes: ModelBasedSearch with one candidate for each fit,
/// that of the largest expected improvement, which climb() finds. For candidates in flight the
/// predicted mean is taken for their value.
///
/// An ask takes O(n^3) for n trials, tens of milliseconds for 100, and the graphs of the networks
/// that it looks at. That is little beside an evaluation that is worth a model, so that a resumed
/// run is replayed and there are no snapshots. Throws ConfigError as Start does.
///
/// Source: D. Jones, M. Schonlau, W. Welch: Efficient global optimization of expensive black-box
/// functions, Journal of Global Optimization 1998, equation 15 (expected improvement); constraints:
/// J. Gardner et al.: Bayesian optimization with inequality constraints, ICML 2014, equation 5;
/// several objectives: E. Bradford et al.: Efficient multiobjective optimization employing Gaussian
/// processes, spectral sampling and a genetic algorithm, Journal of Global Optimization 2018;
/// candidates in flight: D. Ginsbourger et al.: Kriging is well-suited to parallelize optimization,
/// 2010 (the kriging believer). Differs from the sources: normal scores, independent draws, and
/// candidates of a pool instead of continuous optimization.
/// Test: Bayesian.AsksForTheLargestExpectedImprovement,
/// Surrogate.PromisesTheGrowthOfTheHypervolumeTimesTheProbabilityToKeepTheConstraints.
std::unique_ptr<Strategy> bayesian(const RunContext& context, const BayesianOptions& options);

struct SmacOptions : StartOptions {
  int samples = 10;       ///< random architectures at first, >= 2
  int candidates = 1000;  ///< random ones for which improvement is predicted, >= 1
  RandomForestOptions forest{.trees = 10,
                             .tree = {.variables = 5.0 / 6, .split_size = 10}};  ///< the model
  EncodingOptions features;  ///< what it compares networks by
};
OptionTable<SmacOptions> smac_option_table();

/// SMAC's choice of configurations: ModelBasedSearch with a random forest, whose candidates are by
/// turns those of the largest expected improvement, sought by climbing from the told architectures
/// that promise most and among random ones, and random ones (see local_and_random()). Throws
/// ConfigError as Start does.
///
/// Source: F. Hutter, H. Hoos, K. Leyton-Brown: Sequential model-based optimization for general
/// algorithm configuration, LION 2011, section 4 (the model, expected improvement, multi-start
/// local search, random interleaving). Differs from the source: an evaluation is not repeated and
/// there are no instances, so that nothing races; normal scores in place of logarithms of run
/// times; 1,000 random candidates in place of 10,000; several objectives and constraints as in
/// bayesian().
/// Test: Smac.EverySecondCandidateIsRandom.
std::unique_ptr<Strategy> smac(const RunContext& context, const SmacOptions& options);

}  // namespace espalier
