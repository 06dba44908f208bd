// Pareto dominance. Costs are minimized and finite throughout.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace espalier {

/// Whether `a` is nowhere worse than `b` and somewhere better. Of equal sizes.
bool dominates(std::span<const double> a, std::span<const double> b);

/// Whether solution `a` is better than `b` under constraints: it keeps them (violation 0) and `b`
/// does not, or both break them and it does so less, or both keep them and it dominates.
/// Source: K. Deb et al.: A fast and elitist multiobjective genetic algorithm: NSGA-II, IEEE TEVC
/// 2002, definition 1.
/// Test: DominanceTest.ConstraintsComeFirst.
bool constrained_dominates(std::span<const double> a, double violation_a, std::span<const double> b,
                           double violation_b);

/// Points of equal size, one after the other in one array.
struct PointsView {
  std::span<const double> values;
  std::size_t dimension = 1;

  std::size_t size() const { return values.size() / dimension; }
  std::span<const double> operator[](std::size_t i) const {
    return values.subspan(i * dimension, dimension);
  }
};

/// The rank of each point: 0 when no other dominates it, 1 when only points of rank 0 do, and so
/// on. Equal points have equal ranks. O(n log n) for up to two costs, else O(n^2) at worst and much
/// less where there are few fronts. Source: X. Zhang et al.: An efficient approach to nondominated
/// sorting for evolutionary multiobjective optimization, IEEE TEVC 2015 (ENS-BS). Differs from the
/// source: with two costs a front is represented by its last point alone.
/// Test: DominanceTest.RanksAgreeWithPeelingForOneToFiveCosts.
std::vector<std::uint32_t> non_dominated_ranks(PointsView costs);

/// The same for constrained_dominates: all points that break constraints come after those that keep
/// them, in the order of their violations; equal violations share a rank.
std::vector<std::uint32_t> non_dominated_ranks(PointsView costs,
                                               std::span<const double> violations);

}  // namespace espalier
