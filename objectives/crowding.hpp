// How close points lie to others of their rank.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "objectives/dominance.hpp"

namespace espalier {

/// The crowding distance of each point within its rank: the sum over the costs of the distance
/// between its two neighbours in that cost, relative to the rank's spread; infinite for the points
/// with the smallest and the largest cost. A cost that all of the rank share adds nothing, not even
/// at its ends. Equal costs are in the order of the points. Costs are finite. O(d n log n).
/// Source: K. Deb et al.: A fast and elitist multiobjective genetic algorithm: NSGA-II, IEEE TEVC
/// 2002, section III-B.
/// Test: CrowdingDistances.AddsTheGapsOfNeighboursRelativeToTheSpread.
std::vector<double> crowding_distances(PointsView costs, std::span<const std::uint32_t> ranks);

}  // namespace espalier
