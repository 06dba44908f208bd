// What a strategy keeps of a trial.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/json_fwd.hpp"
#include "objectives/goals.hpp"
#include "objectives/trial.hpp"

namespace espalier {

/// An architecture and how good it is.
struct Individual {
  std::uint64_t trial_id = 0;
  Architecture architecture = {};
  bool failed = false;             ///< then the rest says nothing
  double violation = 0;            ///< of the constraints
  double cost = 0;                 ///< of the first objective
  std::vector<double> costs = {};  ///< of all objectives, where there are several

  /// Of all objectives, however many there are.
  std::vector<double> all_costs() const { return costs.empty() ? std::vector{cost} : costs; }

  /// Of a trial that was told.
  static Individual of(const Trial& trial, const Goals& goals);
};

/// For snapshots, of one that did not fail. The latter throws Json::exception for what the former
/// did not write.
Json to_json(const Individual& individual);
Individual individual_from_json(const Json& json);

/// Whether `a` is surely better than `b`: it did not fail and `b` did; or else, with one objective,
/// it breaks the constraints less, or as much and has the lower cost; with several,
/// constrained_dominates().
bool better(const Individual& a, const Individual& b);

/// Whether both keep or break the constraints as much and have the same costs; neither failed.
bool as_good(const Individual& a, const Individual& b);

/// Of each individual, none of which failed, {its constrained non-domination rank, minus its
/// crowding distance within the rank}: the smaller in lexicographic order the better. With one
/// objective, the rank is the place in the order of violation and cost, which equal ones share.
/// Pointers are not null.
/// Source: K. Deb et al.: A fast and elitist multiobjective genetic algorithm: NSGA-II, IEEE TEVC
/// 2002, section III-C.
/// Test: RankAndCrowding.IsTheSelectionOfNsga2.
std::vector<std::array<double, 2>> rank_and_crowding(std::span<const Individual* const> pool);

/// Those that did not fail, as positions, the best by rank_and_crowding() first; of equal ones the
/// earlier.
std::vector<std::size_t> best_first(std::span<const Individual> individuals);

}  // namespace espalier
