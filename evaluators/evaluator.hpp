#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "core/rng.hpp"
#include "objectives/candidate.hpp"
#include "objectives/metric.hpp"
#include "search_spaces/search_space.hpp"

namespace espalier {

class SharedTraining;

/// What an evaluator may use for long one-off work.
struct PrepareContext {
  std::filesystem::path directory;       ///< its own, inside the run directory; kept for a resume
  Rng rng;                               ///< for the preparation only
  std::function<bool()> stop_requested;  ///< polled in long work
  /// Several searches use it, whose trials have the same numbers: it keeps nothing of a trial.
  bool several_searches = false;
};

/// Produces the metrics of a candidate.
///
/// evaluate() is a function of the candidate, the network and `rng` (trial t gets fork(t)), and at
/// most of what the candidate's parent, which was told before, left in the directory, and of what
/// shared_training() has come to; never of what else was evaluated before, so that a resumed run
/// repeats it exactly. An exception is a failed trial, but an IoError, which is no fault of the
/// candidate, ends the run. What is measured beside the trials of a run
/// has numbers that no trial has had so far. With thread_safe(), evaluate() is called from several
/// worker threads at once.
class Evaluator {
 public:
  virtual ~Evaluator() = default;
  /// The metrics that evaluate() fills, in its order. Fixed from construction on.
  virtual const std::vector<MetricInfo>& metrics() const = 0;
  virtual void prepare(const PrepareContext&) {}
  /// One value per metrics() entry.
  virtual std::vector<double> evaluate(const Candidate& candidate, const Network& network,
                                       Rng& rng) = 0;
  virtual bool thread_safe() const { return true; }
  /// The weights that evaluate() uses, where the strategy is to train them; else none.
  virtual std::shared_ptr<SharedTraining> shared_training() { return nullptr; }
};

}  // namespace espalier
