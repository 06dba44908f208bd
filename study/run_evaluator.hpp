// The evaluator of a recorded run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>

#include "core/rng.hpp"
#include "objectives/metric.hpp"
#include "search_spaces/architecture.hpp"
#include "search_spaces/search_space.hpp"
#include "study/catalogue.hpp"
#include "study/config.hpp"
#include "study/run_parts.hpp"
#include "study/store.hpp"

namespace espalier {

/// What the evaluator of a recorded run (its shared weights, proxies, short trainings) says of any
/// network of the run's space: the first of the run's objectives that it measures.
class RunEvaluator {
 public:
  /// Throws as read_results() and make_run_parts(), and ConfigError (/objectives) where the
  /// evaluator measures none of them, (/evaluator/train/rule; /evaluator
  /// where it is one of several) where a strategy trained its weights.
  RunEvaluator(std::filesystem::path run, const Catalogue& catalogue);

  const RunConfig& config() const { return config_; }
  const std::shared_ptr<const SearchSpace>& space() const { return parts_.space; }
  const Objective& objective() const { return objective_; }
  bool thread_safe() const { return parts_.evaluator->thread_safe(); }

  /// Prepares the evaluator as in the run, in the run's directory: a supernet that is trained is
  /// read, a training that was cut short is continued. No process can write the run from then on,
  /// until this is destroyed. False when it was stopped. Throws IoError while another process
  /// writes the run, and what evaluators throw.
  bool prepare(const std::function<bool()>& stop_requested = {});
  /// Of a network, after prepare(). The evaluator sees it as trial `number` after the run's own, of
  /// which it may keep something. LibTorch's threads are the run's threads_per_trial. Throws as
  /// Evaluator.
  double value(std::uint64_t number, const Architecture& a, Rng& rng) const;

 private:
  std::filesystem::path run_;
  RunConfig config_;
  RunParts parts_;
  Objective objective_;
  std::size_t metric_ = 0;
  std::shared_ptr<const RunStore> lock_;
  std::uint64_t trials_ = 0;  // that the run has asked for
};

}  // namespace espalier
