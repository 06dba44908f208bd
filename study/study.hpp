// The loop: ask, evaluate, tell, record.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "core/json.hpp"
#include "evaluators/evaluator.hpp"
#include "objectives/goals.hpp"
#include "objectives/trial.hpp"
#include "search_spaces/search_space.hpp"
#include "strategies/run_context.hpp"
#include "strategies/strategy.hpp"
#include "study/network_metrics.hpp"

namespace espalier {

/// When a study ends: at whichever comes first. At least one of them is given.
struct Budget {
  std::optional<std::uint64_t> trials = {};  ///< told, >= 1
  std::optional<double> evaluations = {};    ///< sum of the fidelities of all trials, > 0
  std::optional<double> minutes = {};        ///< of this run, pauses left out, > 0
};

/// How a study runs.
struct StudyOptions {
  std::uint64_t seed = 1;  ///< of the strategy and of every trial
  Budget budget = {};
  std::size_t batch = 1;      ///< candidates in flight, >= 1; results depend on it
  std::size_t workers = 1;    ///< threads that evaluate, >= 1; results never depend on it
  int threads_per_trial = 1;  ///< of LibTorch in each worker, >= 1

  /// Where the run is recorded; it is created when it is missing. Empty: nowhere.
  std::filesystem::path directory = {};
  /// Continues the run in the directory where there is one; otherwise a directory that holds
  /// anything is refused.
  bool resume = false;
  /// Continues although program, processor or thread counts differ from those that recorded the
  /// run, which then is no function of its options any more. Where these differences change what
  /// the strategy proposed already, the replay still ends with an error.
  bool continue_as_new = false;
  /// Kept with the run. A resumed run must have the same one, but for "/budget", "/final/train",
  /// "/final/export", "/compute/workers" and "/compute/threads_per_trial", which counts as a part of
  /// the environment.
  Json config = nullptr;

  /// What can be measured of a network without evaluating it. Those that an objective or a
  /// constraint names are metrics of every trial.
  std::vector<NetworkMetric> network_metrics = cost_network_metrics();
  /// Further screens for the strategy, beside the network metrics. Throws ConfigError for a metric
  /// that it does not know.
  std::function<Screen(const std::string& metric)> screen = {};

  /// Polled between trials and while waiting for them; when true, no further trial is told than
  /// those that are being evaluated.
  std::function<bool()> stop_requested = {};
  bool progress = false;            ///< shown on stderr
  std::size_t snapshot_every = 10;  ///< trials told between two snapshots of the strategy, >= 1
  double snapshot_seconds = 60;     ///< after which the next trial is followed by one, too, >= 0
};

/// Throws IoError where a run must not be recorded: in a directory that holds anything already,
/// unless that is a run and `resume` is true.
void check_run_directory(const std::filesystem::path& directory, bool resume);

/// What the evaluator of a study is prepared with. Makes the evaluator's own directory inside that
/// of the run, unless that is empty. Throws IoError.
PrepareContext prepare_context(std::uint64_t seed, const std::filesystem::path& directory,
                               std::function<bool()> stop_requested);

/// Makes the strategy of a study; its goals, generator and screens come from the study.
using StrategyFactory = std::function<std::unique_ptr<Strategy>(const RunContext&)>;

/// One search: a strategy proposes, an evaluator measures, a store records.
///
/// `batch` candidates are in flight and told strictly by trial id: trial t is asked for once trial
/// t - batch was told. Trial t is evaluated with the generator Rng(seed).fork("trial").fork(t). So
/// a run is a function of its options without workers and directory, and of time only through
/// Budget::minutes; one that is resumed with more trials ends as one that had them from the start.
///
/// An exception in evaluate() makes a failed trial, and so does a metric that is NaN or infinite;
/// IoError, which is no fault of the candidate, std::bad_alloc, std::logic_error and what is no
/// std::exception end the run.
///
/// With a directory every ask and tell is recorded; resuming replays them. What a kill takes is
/// what was not committed: trials of the last 10 ms, which are asked for and evaluated again,
/// alike. A trial that took longer is committed at once.
class Study {
 public:
  /// Throws ConfigError for options out of range, for objectives and constraints that do not fit
  /// the metrics, and what the strategy's factory throws.
  Study(std::shared_ptr<const SearchSpace> space, StrategyFactory strategy,
        std::shared_ptr<Evaluator> evaluator, std::vector<Objective> objectives,
        std::vector<Constraint> constraints, StudyOptions options);
  ~Study();
  Study(const Study&) = delete;
  Study& operator=(const Study&) = delete;

  /// Runs, or resumes, to the end of the budget, of the space, or until it is stopped. Returns all
  /// trials that were told, by id. Call it once. Throws IoError for the directory and the record,
  /// ConfigError when a run is resumed with another config or on another machine, Error naming the
  /// trial when the replay differs from the record, and what ends a run.
  std::vector<Trial> run();

  /// Whether run() ended because it was told to stop.
  bool interrupted() const;
  /// Whether the evaluator was prepared; it is not where there was nothing to evaluate.
  bool prepared() const;

  /// The metrics of the trials: what the evaluator measures and the network metrics that are
  /// needed, then those that are for reports only.
  const std::shared_ptr<const MetricTable>& metrics() const;
  /// For the metrics of trials.
  const Goals& goals() const;

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace espalier
