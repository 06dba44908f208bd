#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "predictors/encoding.hpp"
#include "predictors/gaussian_process.hpp"
#include "strategies/asked_architectures.hpp"
#include "strategies/individual.hpp"
#include "strategies/start.hpp"
#include "strategies/strategy.hpp"

namespace espalier {

struct BayesianOptions : StartOptions {
  int samples = 10;          ///< random architectures at first, >= 2
  int candidates = 500;      ///< for which improvement is predicted at first, >= 2
  EncodingOptions features;  ///< what the models compare networks by
};
OptionTable<BayesianOptions> bayesian_option_table();

/// Bayesian optimization. The first candidates are the known architectures and random ones. Then
/// Gaussian processes are fitted to each objective and to each metric that a constraint bounds, and
/// the architecture is asked for whose expected improvement is the largest, times the probability
/// that it keeps the constraints: the best of random new architectures and of mutations of the best
/// so far, half of each, of which the best climb to better neighbours, at most 30 times. While
/// nothing keeps the constraints, that probability alone counts.
///
/// With several objectives, each candidate's scores are drawn from the predictions, all
/// independent, and what counts is by how much the hypervolume of the front so far grows with the
/// costs that have these scores, towards a point a tenth of the front's range beyond its worst.
///
/// The processes of objectives are fitted to normal scores, the quantiles of the normal
/// distribution at the ranks of the costs: a few networks that hardly learn would otherwise be all
/// that they tell apart. For candidates in flight the predicted mean is taken for their value.
/// Failed trials are left out. Nothing is asked for twice.
///
/// An ask takes O(n^3) for n trials, tens of milliseconds for 100, and the graphs of the networks
/// that it looks at. That is little beside an evaluation that is worth a model, so that a resumed
/// run is replayed and there are no snapshots.
///
/// Source: D. Jones, M. Schonlau, W. Welch: Efficient global optimization of expensive black-box
/// functions, Journal of Global Optimization 1998, equation 15 (expected improvement); constraints:
/// J. Gardner et al.: Bayesian optimization with inequality constraints, ICML 2014, equation 5;
/// several objectives: E. Bradford et al.: Efficient multiobjective optimization employing Gaussian
/// processes, spectral sampling and a genetic algorithm, Journal of Global Optimization 2018;
/// candidates in flight: D. Ginsbourger et al.: Kriging is well-suited to parallelize optimization,
/// 2010 (the kriging believer). Differs from the sources: normal scores,
/// independent draws, and candidates of a pool instead of continuous optimization.
/// Test: Bayesian.AsksForTheLargestExpectedImprovement.
class Bayesian : public Strategy {
 public:
  /// Throws ConfigError as Start does.
  Bayesian(const RunContext& context, const BayesianOptions& options);

  std::vector<Candidate> ask(std::size_t max_count) override;
  void tell(const Trial& trial) override;
  bool finished() const override { return finished_; }

 private:
  struct Told {
    Individual individual;
    std::vector<double> bounded;  // the metrics that constraints bound
  };
  std::optional<Candidate> proposal();
  void fit();
  std::vector<Individual> best_told() const;
  std::vector<Architecture> pool();
  std::vector<double> improvement(const std::vector<Architecture>& candidates);

  std::shared_ptr<const SearchSpace> space_;
  Goals goals_;
  Rng rng_;
  Start start_;
  BayesianOptions options_;
  AskedArchitectures asked_;
  Encoder encoder_;
  std::uint64_t next_id_ = 0, told_count_ = 0, first_count_;
  bool finished_ = false;

  std::vector<Told> told_;  // those that did not fail
  std::deque<Architecture> in_flight_;
  std::vector<std::unique_ptr<GaussianProcess>> models_;  // of objectives, then of constraints
  // Of the present ask:
  std::optional<double> best_cost_;  // with one objective, where something keeps the constraints
  std::vector<double> front_, reference_;                      // with several
  std::vector<std::vector<std::pair<double, double>>> knots_;  // normal scores and their costs
  Rng draws_{0};
};

}  // namespace espalier
