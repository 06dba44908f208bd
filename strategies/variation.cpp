#include "strategies/variation.hpp"

#include <algorithm>

#include "search_spaces/sampling.hpp"

namespace espalier {

Architecture vary(const SearchSpace& space, const Architecture& a, const Architecture& b,
                  const VariationOptions& options, Rng& rng) {
  Architecture child = rng.bernoulli(options.crossover) ? crossover(space, a, b, rng) : a;
  const std::size_t decisions = space.decisions().size();
  const double rate = std::min(1.0, options.mutations / static_cast<double>(decisions));
  for (std::size_t d = 0; d < decisions; ++d) {
    if (rng.bernoulli(rate)) child = mutate(space, child, rng);
  }
  return child;
}

}  // namespace espalier
