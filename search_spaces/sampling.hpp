#pragma once

#include <functional>
#include <vector>

#include "core/rng.hpp"
#include "search_spaces/search_space.hpp"

namespace espalier {

/// A valid canonical architecture: each decision drawn uniformly, again until the space's
/// constraints hold. Throws UnsupportedError after 100,000 draws without a valid one.
Architecture sample_uniform(const SearchSpace& space, Rng& rng);

/// One active decision of a valid canonical architecture changed to another option, uniformly; a
/// subset decision exchanges one member. The result is valid, canonical and different, or the
/// architecture itself where it has no neighbour.
Architecture mutate(const SearchSpace& space, const Architecture& a, Rng& rng);

/// Uniform crossover: each decision from one parent or the other with probability 1/2; repaired by
/// redrawing until valid, else the first parent. Canonical.
Architecture crossover(const SearchSpace& space, const Architecture& a, const Architecture& b,
                       Rng& rng);

/// All valid canonical architectures that differ from `a` by one change as mutate() makes it, each
/// once, in a fixed order, without `a`.
std::vector<Architecture> neighbours(const SearchSpace& space, const Architecture& a);

/// Calls `visit` with every valid canonical architecture once, in lexicographic order of choices,
/// until it returns false. Complexity: the product of all choice counts.
void enumerate(const SearchSpace& space, const std::function<bool(const Architecture&)>& visit);

/// The valid canonical architecture of the most MACs, and among those of the most params, that is
/// found from the decisions' last options (where those are not valid, from the largest of 1000
/// samples of a fixed seed) by changing one decision at a time; and that of the fewest, from the
/// first options. Throws as sample_uniform().
Architecture largest_architecture(const SearchSpace& space);
Architecture smallest_architecture(const SearchSpace& space);

/// What samples of a space cost.
struct SampledCosts {
  Architecture example;  ///< the first one
  std::int64_t least_params = 0, most_params = 0;
  std::int64_t least_macs = 0, most_macs = 0;
};

/// The costs of `count` (>= 1) architectures that sample_uniform() draws. Throws as it does.
SampledCosts sample_costs(const SearchSpace& space, int count, Rng& rng);

}  // namespace espalier
