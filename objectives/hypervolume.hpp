// How much of the space of costs a front dominates.
#pragma once

#include <span>

#include "objectives/dominance.hpp"

namespace espalier {

/// The volume of all points that some point of the set dominates and that dominate the reference,
/// exactly. Costs are minimized; a point that does not lie below the reference in every cost adds
/// nothing. O(n log n) for up to three costs, exponential in the number of costs beyond that.
/// Throws NumericalError for a cost that is not finite.
/// Source: for three costs N. Beume et al.: On the complexity of computing the hypervolume
/// indicator, IEEE TEVC 2009; beyond L. While et al.: A fast way of calculating exact hypervolumes,
/// IEEE TEVC 2012 (WFG).
/// Test: HypervolumeTest.AgreesWithCountingCellsForOneToFiveCosts.
double hypervolume(PointsView costs, std::span<const double> reference);

}  // namespace espalier
