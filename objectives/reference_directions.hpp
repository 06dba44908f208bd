// Directions that are spread evenly over all weightings of several costs.
#pragma once

#include <cstddef>
#include <vector>

namespace espalier {

/// The points of the unit simplex whose coordinates are multiples of 1 / divisions, point by point
/// in lexicographic order: binomial(divisions + dimension - 1, dimension - 1) points of `dimension`
/// numbers >= 0 that add up to 1. dimension >= 1, divisions >= 1.
/// Source: I. Das, J. Dennis: Normal-boundary intersection, SIAM Journal on Optimization 1998,
/// section 4.
/// Test: SimplexLattice.HasAllMultiples.
std::vector<std::vector<double>> simplex_lattice(std::size_t dimension, std::size_t divisions);

/// At most `count` directions, as many as the lattice allows, but at least one for each cost. Where
/// a lattice of at most `count` points would have none inside the simplex, a coarse one on its
/// boundary and another of half the size about its middle.
/// Source: K. Deb, H. Jain: An evolutionary many-objective optimization algorithm using
/// reference-point-based nondominated sorting approach, part I, IEEE TEVC 2014, sections IV-B and
/// V-A.
/// Test: ReferenceDirections.TwoLayersWhereOneHasNoneInside.
std::vector<std::vector<double>> reference_directions(std::size_t dimension, std::size_t count);

}  // namespace espalier
