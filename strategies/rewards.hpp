// What a trial is worth to a strategy that learns from rewards.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "core/options.hpp"
#include "strategies/individual.hpp"

namespace espalier {

/// `rank`: the share of the other told trials that a trial is better than, those as good counting
/// half, by rank_and_crowding(): constraints come first, and any number of objectives will do.
/// `value`: the only objective's metric, minus a metric that is minimized; where constraints are
/// broken by v in all, divided by 1 + v (a negative one multiplied).
enum class RewardKind { rank, value };

/// The attribute that names them in option tables.
Named<RewardKind> reward_kinds();

/// The rewards of all told trials. A failed one has the lowest.
/// Source: M. Tan et al.: MnasNet: platform-aware neural architecture search for mobile, CVPR 2019,
/// arXiv 1807.11626, equations 2 and 3 with the exponents 0 and -1 (`value`).
/// Differs from the source: several constraints count by the sum of what they are broken by; `rank`
/// is not from a paper. Test: Rewards.AreRanksOrValues.
class Rewards {
 public:
  /// Throws ConfigError for `value` where there are several objectives.
  Rewards(const Goals& goals, RewardKind kind);

  /// Trials in the order of their ids, from 0 on.
  void add(const Trial& trial);
  std::size_t size() const { return told_.size(); }
  /// The reward of a told trial, as things stand: a rank is in [0, 1], 0.5 for a single trial.
  double of(std::uint64_t trial_id);
  bool failed(std::uint64_t trial_id) const { return told_.at(trial_id).failed; }

 private:
  void rank();

  Goals goals_;
  RewardKind kind_;
  std::vector<Individual> told_;  // by trial
  std::size_t failed_ = 0;
  // `rank` with one objective: {violation, cost} of those that did not fail, ascending.
  std::vector<std::pair<double, double>> order_;
  // With several: of each trial, since the last was told.
  std::vector<double> ranks_;
  // `value`:
  std::vector<double> values_;
  double lowest_ = 0;
};

}  // namespace espalier
