#include "predictors/affine_sampler.hpp"

#include <cassert>
#include <cmath>
#include <cstddef>

namespace espalier {

void stretch_walkers(std::vector<std::vector<double>>& walkers, std::vector<double>& logs,
                     const std::function<double(std::span<const double>)>& density, Rng& rng) {
  assert(walkers.size() % 2 == 0 && logs.size() == walkers.size());
  const std::size_t half = walkers.size() / 2;
  const double freedom = static_cast<double>(walkers[0].size()) - 1;
  std::vector<double> proposed(walkers[0].size());
  for (std::size_t k = 0; k < walkers.size(); ++k) {
    const std::vector<double>& other = walkers[(k < half ? half : 0) + rng.below(half)];
    // Of density proportional to 1 / sqrt(z) in [1/2, 2].
    const double root = (1 + rng.uniform()) / std::sqrt(2.0);
    const double z = root * root;
    for (std::size_t i = 0; i < proposed.size(); ++i) {
      proposed[i] = other[i] + z * (walkers[k][i] - other[i]);
    }
    const double its = density(proposed);
    const double chance = freedom * std::log(z) + its - logs[k];
    if (std::log1p(-rng.uniform()) < chance && !std::isnan(its)) {
      walkers[k] = proposed;
      logs[k] = its;
    }
  }
}

}  // namespace espalier
